"""Moving in: accounts, their balances and running packages from a table that is checked as a whole first.

An opening balance is a ledger entry against the book of openings, a running package becomes a lot.
Each batch is one transaction; an account that is there as the table says is left alone, so a run that
was cut off is repeated as it is.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from billing.embedded import accounts, ledger
from billing.embedded.rules import quota_bytes, rule_in_force
from billing.embedded.seed import OPENING, OPENING_BOOK
from models.clock import CAMPUS_ZONE
from models.csv_rows import Row, read_rows
from models.db.engine import Database
from models.errors import Conflict
from models.ledger import Account, Entry, Posting
from models.money import fen_from
from models.package import LotKind, Package, TrafficLot, TrafficRule

COLUMNS = {
    "account_no": ("学号", "账号", "account_no"),
    "name": ("姓名", "name"),
    "kind": ("类别", "用户类别", "kind"),
    "department": ("部门", "学院", "department"),
    "balance": ("余额", "balance"),
    "package": ("套餐", "套餐编号", "package"),
    "left": ("剩余流量", "剩余流量GB", "left_gb"),
    "ends_on": ("到期日", "套餐到期日", "ends_on"),
}
NEEDED = ("account_no", "name", "kind", "balance")
BATCH = 500
FAULTS_MAX = 1000
NAME_MAX, KIND_MAX, DEPARTMENT_MAX = 64, 32, 64


@dataclass(frozen=True)
class Opening:
    """A usable row. `package_code` None: no running package; `left_bytes` is what is left of it."""

    line_no: int
    account_no: str
    name: str
    kind: str
    department: str
    balance_fen: int
    package_code: str | None
    left_bytes: int
    ends_at: datetime | None


@dataclass
class Report:
    """How many accounts are new and how many were there; `faults` are told by line, never by name."""

    opened: int = 0
    known: int = 0
    balance_fen: int = 0
    packages: int = 0
    faults: list[str] = field(default_factory=list)
    faulty: int = 0

    def fault(self, line_no: int, why: str) -> None:
        """One more row that cannot be taken."""
        self.faulty += 1
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(f"第 {line_no} 行：{why}")


def import_accounts(database: Database, path: Path, *, now: datetime, dry_run: bool = False) -> Report:
    """Open every account of the table, or none when any row is wrong.

    Args:
        dry_run: only check; the report is what a run would say.
    Returns: the report; with faults in it nothing was written.
    Raises: Malformed - no such table; Conflict - somebody opened accounts meanwhile; whole batches stay.
    """
    report = Report()
    with database.reading() as session:
        packages = {package.code: package for package in session.scalars(select(Package))}
        rule = rule_in_force(session, now)
        for batch in _batches(_checked(path, packages, rule, now, report)):
            _compare(session, batch, report)
    if dry_run or report.faulty:
        return report
    done = Report()
    for batch in _batches(_checked(path, packages, rule, now, done)):
        with database.transaction() as session:
            new = _compare(session, batch, done)
            if done.faulty:
                raise Conflict("an account was opened meanwhile: check the table again")
            _write(session, new, packages, now)
    return done


def _checked(
    path: Path, packages: dict[str, Package], rule: TrafficRule, now: datetime, report: Report
) -> Iterator[Opening]:
    # On disk: a set of a million numbers would not be flat memory.
    with closing(sqlite3.connect("")) as seen:
        seen.execute("CREATE TABLE seen (account_no TEXT PRIMARY KEY) WITHOUT ROWID")
        for row in read_rows(path, COLUMNS, needed=NEEDED):
            opening = _opening(row, packages, rule, now)
            if isinstance(opening, str):
                report.fault(row.line_no, opening)
            elif not seen.execute("INSERT OR IGNORE INTO seen VALUES (?)", (opening.account_no,)).rowcount:
                report.fault(row.line_no, "学号在文件中重复")
            else:
                yield opening


def _opening(row: Row, packages: dict[str, Package], rule: TrafficRule, now: datetime) -> Opening | str:
    """The row, or what is wrong with it."""
    package = packages.get(row["package"])
    balance_fen = fen_from(row["balance"])
    ends_at = _end_of(row["ends_on"]) if package else None
    left_bytes = _bytes_of(row["left"], package, rule) if package else 0
    if problem := _wrong_person(row) or _wrong_package(row, package, left_bytes, ends_at, now):
        return problem
    if balance_fen is None:
        return "余额不是非负金额"
    return Opening(
        line_no=row.line_no,
        account_no=row["account_no"],
        name=row["name"],
        kind=row["kind"],
        department=row["department"],
        balance_fen=balance_fen,
        package_code=package.code if package else None,
        left_bytes=left_bytes or 0,
        ends_at=ends_at,
    )


def _wrong_package(
    row: Row, package: Package | None, left_bytes: int | None, ends_at: datetime | None, now: datetime
) -> str:
    if package is None:
        if row["package"]:
            return "没有这个套餐编号"
        return "有剩余流量或到期日，但没有套餐" if row["left"] or row["ends_on"] else ""
    if left_bytes is None:
        return "剩余流量不是套餐范围内的 GB 数"
    return "套餐到期日须为将来的日期（如 2026-03-31）" if ends_at is None or ends_at <= now else ""


def _wrong_person(row: Row) -> str:
    if not accounts.plausible(row["account_no"]) or " " in row["account_no"]:
        return "学号格式不对"
    for column, longest, name in (
        ("name", NAME_MAX, "姓名"),
        ("kind", KIND_MAX, "类别"),
        ("department", DEPARTMENT_MAX, "部门"),
    ):
        text = row[column]
        if len(text) > longest or not text.isprintable() or (not text and column != "department"):
            return f"{name}为空、过长或含有不可见字符"
    return ""


def _bytes_of(text: str, package: Package, rule: TrafficRule) -> int | None:
    """GB of the rule with up to two decimals; nothing means the whole quota."""
    whole_bytes = quota_bytes(rule, package.quota_bytes)
    if not text:
        return whole_bytes
    hundredths = fen_from(text)
    if hundredths is None or not 0 < hundredths * rule.bytes_per_gb // 100 <= whole_bytes:
        return None
    return hundredths * rule.bytes_per_gb // 100


def _end_of(text: str) -> datetime | None:
    """The end of a campus day, aware UTC."""
    try:
        day = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=CAMPUS_ZONE)
    except ValueError:
        return None
    return (day + timedelta(days=1)).astimezone(UTC)


def _batches(openings: Iterator[Opening]) -> Iterator[list[Opening]]:
    while batch := list(islice(openings, BATCH)):
        yield batch


def _compare(session: Session, batch: Sequence[Opening], report: Report) -> list[Opening]:
    """Count what is new and what is there as the table says; anything else is a fault. Returns: the new."""
    numbers = [opening.account_no for opening in batch]
    there = {
        account.account_no: account
        for account in session.scalars(select(Account).where(Account.account_no.in_(numbers)))
    }
    written = (
        select(Entry.key, Posting.amount_fen)
        .join(Posting, Posting.entry_id == Entry.id)
        .where(Entry.key.in_([_key(number) for number in there]), Posting.book != OPENING_BOOK)
    )
    opened = {row.key: row.amount_fen for row in session.execute(written)}
    new = []
    for opening in batch:
        account = there.get(opening.account_no)
        if account is None:
            new.append(opening)
            report.opened += 1
            report.balance_fen += opening.balance_fen
            report.packages += opening.package_code is not None
        elif account.name == opening.name and opened.get(_key(account.account_no), 0) == opening.balance_fen:
            report.known += 1
        else:
            report.fault(opening.line_no, "账号已存在，姓名或期初余额不同")
    return new


def _write(session: Session, batch: Sequence[Opening], packages: dict[str, Package], now: datetime) -> None:
    if not batch:
        return
    session.execute(
        insert(Account),
        [
            {
                "account_no": opening.account_no,
                "name": opening.name,
                "kind": opening.kind,
                "department": opening.department,
                "active": True,
                "balance_fen": opening.balance_fen,
                "created_at": now,
            }
            for opening in batch
        ],
    )
    _write_balances(session, [opening for opening in batch if opening.balance_fen], now)
    lots = [_lot(opening, packages[opening.package_code], now) for opening in batch if opening.package_code]
    if lots:
        session.execute(insert(TrafficLot), lots)


def _write_balances(session: Session, batch: Sequence[Opening], now: datetime) -> None:
    if not batch:
        return
    entries = [
        {"key": _key(opening.account_no), "kind": OPENING, "memo": "", "corrects": None, "at": now}
        for opening in batch
    ]
    written = session.execute(insert(Entry).returning(Entry.id, Entry.key), entries)
    ids = {key: entry_id for entry_id, key in written}
    session.execute(
        insert(Posting),
        [
            {"entry_id": ids[_key(opening.account_no)], "book": book, "amount_fen": fen}
            for opening in batch
            for book, fen in (
                (ledger.book_of(opening.account_no), opening.balance_fen),
                (OPENING_BOOK, -opening.balance_fen),
            )
        ],
    )


def _lot(opening: Opening, package: Package, now: datetime) -> dict[str, object]:
    return {
        "account_no": opening.account_no,
        "kind": LotKind.SPECIAL if package.special else LotKind.PACKAGE,
        "package_code": package.code,
        # What was used elsewhere is not known by day: the lot is what is left.
        "total_bytes": opening.left_bytes,
        "used_bytes": 0,
        "starts_at": now,
        "ends_at": opening.ends_at,
    }


def _key(account_no: str) -> str:
    return f"{OPENING}:{account_no}"
