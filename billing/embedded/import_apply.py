"""Opening the accounts of an import: the steps of one batch, in the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import bindparam, insert, select, update
from sqlalchemy.orm import Session

from billing.embedded import accounts, ledger
from billing.embedded.import_rows import Opening, Report
from billing.embedded.seed import OPENING, OPENING_BOOK
from models.account_import import AccountImportRow
from models.ledger import Account, Entry, Posting
from models.package import LotKind, Package, TrafficLot
from models.values.account_no import AccountRules
from models.values.names import names_match
from models.values.tables.errors import RowError

# Written once, so that statements do not keep the numbers that they were asked for.
_NAMES = select(Account.account_no, Account.name).where(
    Account.account_no.in_(bindparam("numbers", expanding=True))
)
_OPENINGS = (
    select(Entry.key, Posting.amount_fen)
    .join(Posting, Posting.entry_id == Entry.id)
    .where(Entry.key.in_(bindparam("keys", expanding=True)), Posting.book != OPENING_BOOK)
)


@dataclass(frozen=True)
class StoredOpening:
    """A usable row as the import stored it."""

    row_id: int
    opening: Opening


def open_rows(
    session: Session,
    rows: Sequence[StoredOpening],
    report: Report,
    account_rules: AccountRules,
    now: datetime,
) -> None:
    """Open the accounts of these rows that are still new, and mark the rows. Others are faults or known."""
    usable = []
    for row in rows:
        if row.opening.ends_at is not None and row.opening.ends_at <= now:
            report.fault(RowError(row.opening.line_no, "套餐在批准前已到期"))
        else:
            usable.append(row.opening)
    new = new_openings(session, usable, report, account_rules)
    codes = {opening.package_code for opening in new if opening.package_code}
    found = session.scalars(select(Package).where(Package.code.in_(codes))) if codes else ()
    entry_ids = _write(session, new, {package.code: package for package in found}, now)
    ids = {row.opening.account_no: row.row_id for row in rows}
    opened = [
        {
            "id": ids[opening.account_no],
            "entry_id": entry_ids.get(opening.account_no),
            "opened_at": now,
        }
        for opening in new
    ]
    if opened:
        session.execute(update(AccountImportRow), opened)


def new_openings(
    session: Session, batch: Sequence[Opening], report: Report, account_rules: AccountRules
) -> list[Opening]:
    """Count what is new and what is there as the table says; anything else is a fault. Returns: the new."""
    numbers = accounts.resolve(session, [opening.account_no for opening in batch], account_rules)
    there = sorted(set(numbers.values()))
    names = {row.account_no: row.name for row in session.execute(_NAMES, {"numbers": there})}
    keys = [_key(number) for number in there]
    opened_fen = {row.key: row.amount_fen for row in session.execute(_OPENINGS, {"keys": keys})}
    new = []
    for opening in batch:
        number = numbers.get(opening.account_no)
        if number is None:
            new.append(opening)
            report.count(opening)
        elif (
            names_match(names[number], opening.name)
            and opened_fen.get(_key(number), 0) == opening.balance_fen
        ):
            report.known += 1
        else:
            report.fault(RowError(opening.line_no, "账号已存在，姓名或期初余额不同"))
    return new


def _write(
    session: Session, batch: Sequence[Opening], packages: dict[str, Package], now: datetime
) -> dict[str, int]:
    """Write accounts, opening entries and lots. Returns: the entry of each account with a balance."""
    if not batch:
        return {}
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
    lots = [_lot(opening, packages[opening.package_code], now) for opening in batch if opening.package_code]
    if lots:
        session.execute(insert(TrafficLot), lots)
    return _write_balances(session, [opening for opening in batch if opening.balance_fen], now)


def _write_balances(session: Session, batch: Sequence[Opening], now: datetime) -> dict[str, int]:
    if not batch:
        return {}
    entries = [
        {"key": _key(opening.account_no), "kind": OPENING, "memo": "", "corrects": None, "at": now}
        for opening in batch
    ]
    written = session.execute(insert(Entry).returning(Entry.id, Entry.key), entries)
    ids = {key.removeprefix(_key("")): entry_id for entry_id, key in written}
    session.execute(
        insert(Posting),
        [
            {"entry_id": ids[opening.account_no], "book": book, "amount_fen": fen}
            for opening in batch
            for book, fen in (
                (ledger.book_of(opening.account_no), opening.balance_fen),
                (OPENING_BOOK, -opening.balance_fen),
            )
        ],
    )
    return ids


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
