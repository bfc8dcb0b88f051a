"""Rows of an import of accounts: read strictly, each a usable opening or an error with its line."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path

from billing.embedded.rules import quota_bytes
from models.clock import CAMPUS_ZONE
from models.package import Package, TrafficRule
from models.values.account_no import DEFAULT_RULES as DEFAULT_ACCOUNT_RULES
from models.values.account_no import AccountRules
from models.values.names import is_visible, parse_name
from models.values.tables.amounts import parse_amount_fen
from models.values.tables.dates import parse_date
from models.values.tables.errors import RowError
from models.values.tables.reader import Row, Table, open_table

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
REQUIRED = ("account_no", "name", "kind", "balance")
ERRORS_MAX = 1000
KIND_MAX, DEPARTMENT_MAX = 32, 64
# Hundredths of a GB; the quota of the package is the real bound.
_LEFT_MAX = 10**10


@dataclass(frozen=True)
class ImportRules:
    """Bounds of an import: one balance, and the total above which a second operator approves it, in fen."""

    max_balance_fen: int = 1_000_000
    approve_above_fen: int = 1_000_000
    account_rules: AccountRules = DEFAULT_ACCOUNT_RULES


DEFAULT_RULES = ImportRules()


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


OPENING_FIELDS = tuple(column.name for column in fields(Opening))


@dataclass
class Report:
    """How many accounts are new and how many were there; `faults` name the line, never the person.

    `import_id` is the number of the import, None for a dry run. With `needs_approval` nothing is opened yet.
    """

    opened: int = 0
    known: int = 0
    balance_fen: int = 0
    packages: int = 0
    faults: list[str] = field(default_factory=list)
    faulty: int = 0
    needs_approval: bool = False
    import_id: int | None = field(default=None, compare=False)

    def count(self, opening: Opening) -> None:
        """Count an account that is new."""
        self.opened += 1
        self.balance_fen += opening.balance_fen
        self.packages += opening.package_code is not None

    def fault(self, error: RowError) -> None:
        """Count a row that cannot be used."""
        self.faulty += 1
        if len(self.faults) < ERRORS_MAX:
            self.faults.append(error.text)


@dataclass(frozen=True)
class Reading:
    """What rows are checked against."""

    packages: Mapping[str, Package]
    traffic_rule: TrafficRule
    rules: ImportRules
    now: datetime


def open_accounts_table(path: Path) -> Table:
    """Open a table of accounts. Raises: TableRefused."""
    return open_table(path, COLUMNS, required=REQUIRED)


def openings(table: Table, reading: Reading, report: Report) -> Iterator[Opening]:
    """Yield the usable rows; the others, and the second row of an account, are faults of the report."""
    # On disk: a set of a million numbers would not be flat memory.
    with closing(sqlite3.connect("")) as seen:
        seen.execute("CREATE TABLE seen (key TEXT PRIMARY KEY) WITHOUT ROWID")
        for row in table.rows():
            try:
                opening = _opening(row, reading)
                key = reading.rules.account_rules.key(opening.account_no)
                if not seen.execute("INSERT OR IGNORE INTO seen VALUES (?)", (key,)).rowcount:
                    raise row.error("account_no", "学号在文件中重复")
            except RowError as error:
                report.fault(error)
            else:
                yield opening


def _opening(row: Row, reading: Reading) -> Opening:
    account_no = row.parse("account_no", reading.rules.account_rules.parse_cell)
    name = row.parse("name", parse_name)
    kind = _word(row, "kind", KIND_MAX)
    department = _word(row, "department", DEPARTMENT_MAX) if row["department"] else ""
    balance_fen = row.parse("balance", parse_amount_fen, max_fen=reading.rules.max_balance_fen)
    package_code, left_bytes, ends_at = _package(row, reading)
    return Opening(
        row.line_no, account_no, name, kind, department, balance_fen, package_code, left_bytes, ends_at
    )


def _word(row: Row, column: str, longest: int) -> str:
    text = row[column]
    if not text:
        raise row.error(column, "不能为空")
    if len(text) > longest:
        raise row.error(column, f"超过 {longest} 个字")
    if not is_visible(text):
        raise row.error(column, "含有不可见字符")
    return text


def _package(row: Row, reading: Reading) -> tuple[str | None, int, datetime | None]:
    """Return the code of the running package, what is left of it and when it ends."""
    code = row["package"]
    if not code:
        if row["left"] or row["ends_on"]:
            raise row.error("package", "有剩余流量或到期日，但没有套餐")
        return None, 0, None
    package = reading.packages.get(code)
    if package is None:
        raise row.error("package", "没有这个套餐编号")
    left_bytes = _left_bytes(row, quota_bytes(reading.traffic_rule, package.quota_bytes), reading)
    midnight = datetime.combine(row.parse("ends_on", parse_date), datetime.min.time(), CAMPUS_ZONE)
    ends_at = (midnight + timedelta(days=1)).astimezone(UTC)
    if ends_at <= reading.now:
        raise row.error("ends_on", "套餐到期日须为将来的日期（如 2026-03-31）")
    return code, left_bytes, ends_at


def _left_bytes(row: Row, whole_bytes: int, reading: Reading) -> int:
    """GB of the rule with up to two decimals; nothing means the whole quota."""
    if not row["left"]:
        return whole_bytes
    try:
        hundredths = row.parse("left", parse_amount_fen, max_fen=_LEFT_MAX)
    except RowError:
        hundredths = 0
    left_bytes = hundredths * reading.traffic_rule.bytes_per_gb // 100
    if not 0 < left_bytes <= whole_bytes:
        raise row.error("left", "剩余流量不是套餐范围内的 GB 数")
    return left_bytes
