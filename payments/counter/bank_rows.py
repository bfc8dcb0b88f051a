"""The rows of a bank list: which columns it has, what one row says, and which rows undo others.

Amount, direction, currency and status are read by `models.values.tables.movements`.
"""

from __future__ import annotations

import re
import unicodedata
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date
from typing import Final

from models.values.account_no import AccountRules
from models.values.names import is_visible, normal_name
from models.values.tables import movements
from models.values.tables.amounts import parse_signed_fen
from models.values.tables.dates import parse_date
from models.values.tables.errors import CellError, RowError, TableRefused
from models.values.tables.movements import Movement, read_movement
from models.values.tables.reader import Row, Table
from models.values.tables.text import clean, half_width, is_blank
from models.values.tables.words import Direction, Outcome, parse_outcome, parse_reversed
from payments.counter.transfers import Transfer, parse_reference, reference_key

# What several titles may name stands in columns of its own, the best one first.
ACCOUNTS: Final = ("account_no", "other_account_no")
NAMES: Final = ("name", "payer_name", "other_name")
DATES: Final = ("date", "booked_date", "time")
MEMOS: Final = ("summary", "purpose", "message", "remark")
COLUMNS: Final = {
    **movements.COLUMNS,
    "reference": ("流水号", "交易流水号", "银行流水号", "交易流水", "reference"),
    "account_no": ("学号", "校园网账号", "学工号", "account_no"),
    "other_account_no": ("账号",),
    "name": ("姓名", "学生姓名", "name"),
    "payer_name": ("付款人姓名", "付款人", "付款人名称", "付款人户名"),
    "other_name": ("对方户名", "对方姓名", "对方名称"),
    "date": ("交易日期", "日期", "date", "transaction date"),
    "booked_date": ("记账日期", "入账日期", "到账日期", "记账日"),
    "time": ("交易时间", "交易日期时间", "时间"),
    "source": ("本方账号", "本方账户", "收款账号", "收款人账号", "收款账户", "我方账号", "查询账号"),
    "summary": ("摘要", "交易摘要"),
    "purpose": ("用途", "交易用途", "资金用途"),
    "message": ("附言", "交易附言", "留言"),
    "remark": ("备注", "交易备注"),
}
REQUIRED: Final = ("reference",)
SOURCE_MAX: Final = 64
_TIME_ONLY: Final = re.compile(r"[0-2]?[0-9]:[0-5][0-9](?::[0-5][0-9])?", re.ASCII)
# Searched in `_squeezed` text; simplified and traditional characters.
_UNDONE: Final = re.compile(r"[冲沖衝][正销銷]|抹[账帐賬帳]|[红紅][冲沖衝]|退[汇匯票款回]|撤[销銷]")
_OWN_ACCOUNT: Final = re.compile(r"(?:账号|帐号|账户|帐户|卡号)[^0-9]{0,8}([0-9][0-9 *-]{5,40})", re.ASCII)


@dataclass(frozen=True)
class UndoneRow:
    """A row that says that money did not stay: failed, reversed, or gone out under the same number."""

    line_no: int
    reference: str
    amount_fen: int | None


@dataclass
class Contested:
    """What a list itself takes back: the rows, and the payers and amounts of reversals."""

    rows: list[UndoneRow] = field(default_factory=list)
    numbers: set[str] = field(default_factory=set)
    moneys: set[tuple[str, int]] = field(default_factory=set)

    def concerns(self, transfer: Transfer) -> bool:
        """Return True if another row of the list, or this one, takes the transfer back."""
        if reference_key(transfer.reference) in self.numbers:
            return True
        payers = (transfer.account_no, normal_name(transfer.name))
        return any((payer, transfer.amount_fen) in self.moneys for payer in payers if payer)


def check_columns(table: Table) -> None:
    """Refuse a table without payer columns, or with money columns that are not understood.

    Raises:
        TableRefused: names the column.
    """
    places = table.header.places
    for choice, title in ((ACCOUNTS, "学号"), (NAMES, "姓名")):
        if not any(column in places for column in choice):
            raise TableRefused(f"缺少“{title}”一列")
    movements.check_columns(table)


def account_above(table: Table) -> str:
    """Return the bank account that the lines above the header name, empty where there is none."""
    for cells in table.above():
        found = _OWN_ACCOUNT.search(half_width(" ".join(cells)))
        if found:
            return normal_source(found[1])
    return ""


def sources_in(table: Table) -> set[str]:
    """Return the bank accounts that the rows themselves name."""
    named = set()
    for row in table.rows() if "source" in table.header.places else ():
        with suppress(RowError):
            named.add(normal_source(row["source"]))
    return named - {""}


def check_source(table: Table, given: str) -> None:
    """Refuse a bank account that was given for a list which names another one.

    Accounts with stars are compared by the digits at both ends.

    Raises:
        TableRefused: names the account in the file.
    """
    if not given:
        return
    for named in sorted({account_above(table), *sources_in(table)} - {""}):
        if not _may_be_one(given, named):
            raise TableRefused(f"--source 是“{given}”，但清单里写的本方账户是“{named}”，请核对")


def _may_be_one(one: str, other: str) -> bool:
    if "*" not in one + other:
        return one == other
    heads = one.partition("*")[0], other.partition("*")[0]
    tails = one.rpartition("*")[2], other.rpartition("*")[2]
    head, tail = min(map(len, heads)), min(map(len, tails))
    same_head = heads[0][:head] == heads[1][:head]
    return same_head and tails[0][len(tails[0]) - tail :] == tails[1][len(tails[1]) - tail :]


def normal_source(text: str) -> str:
    """Return a bank account as transfers keep it: no width, blanks or hyphens."""
    return "".join(c for c in half_width(text) if c.isalnum() or c == "*").casefold()[:SOURCE_MAX]


def transfer_of(
    row: Row, *, accounts: AccountRules, source: str, fixed_source: bool, max_fen: int, today: date
) -> Transfer:
    """Return the incoming transfer of a row.

    Raises:
        RowError: money that went out, was reversed, failed, is in another currency or above `max_fen`;
            no usable number, amount or date; a date after `today`.
    """
    reference = row.parse("reference", parse_reference)
    movement = read_movement(row, max_fen=max_fen)
    if movement.direction == Direction.OUT:
        raise RowError(row.line_no, "是支出，不入账")
    own = "" if fixed_source else normal_source(row["source"])
    return Transfer(
        line_no=row.line_no,
        source=own or source,
        day=_past_day_of(row, today),
        reference=reference,
        amount_fen=movement.amount_fen,
        account_no=_account_no_of(row, accounts),
        name=_name_of(row),
    )


def contested(table: Table, *, accounts: AccountRules, max_fen: int) -> Contested:
    """Return what the rows of a list take back, before any of them is booked."""
    found = Contested()
    for row in table.rows():
        undone, is_reversal = _undone(row, max_fen)
        if not undone:
            continue
        amount_fen = _amount_of(row)
        try:
            reference = row.parse("reference", parse_reference)
        except RowError:
            reference = ""
        if reference:
            found.rows.append(UndoneRow(row.line_no, reference, amount_fen))
            found.numbers.add(reference_key(reference))
        if is_reversal and amount_fen:
            found.moneys.update((payer, amount_fen) for payer in _payers_of(row, accounts))
    return found


def _undone(row: Row, max_fen: int) -> tuple[bool, bool]:
    """Return whether the money of a row did not stay, and whether the row says that it takes it back."""
    if any(_UNDONE.search(_squeezed(_text(row, column))) for column in MEMOS):
        return True, True
    try:
        movement: Movement | None = read_movement(row, max_fen=max_fen)
    except RowError:
        movement = None
    if _signed_of(row) < 0:
        return True, True
    if movement is not None:
        return movement.direction == Direction.OUT, False
    outcomes = {_outcome(row, "status"), _outcome(row, "reversed")}
    return bool(outcomes & {Outcome.FAILED, Outcome.REVERSED}), Outcome.REVERSED in outcomes


def _outcome(row: Row, column: str) -> Outcome | None:
    try:
        return row.parse(column, parse_outcome if column == "status" else parse_reversed)
    except RowError:
        return None


def _signed_of(row: Row) -> int:
    """Return the amount of a row with its sign, 0 where there is none."""
    for column in ("amount", "income", "outgo"):
        try:
            fen = row.parse(column, parse_signed_fen, max_fen=2**62)
        except RowError:
            continue
        if fen:
            return fen
    return 0


def _amount_of(row: Row) -> int | None:
    return abs(_signed_of(row)) or None


def _payers_of(row: Row, accounts: AccountRules) -> list[str]:
    found = []
    with suppress(RowError):
        found.append(_account_no_of(row, accounts))
    with suppress(RowError):
        found.append(normal_name(_name_of(row)))
    return [payer for payer in found if payer]


def _account_no_of(row: Row, accounts: AccountRules) -> str:
    """Return the account number, or what the payer wrote instead of one."""
    column = _best(row, ACCOUNTS)
    text = row[column]
    if not text:
        return ""
    try:
        return accounts.key(accounts.parse_cell(text))
    except CellError:
        if not is_visible(text):
            raise row.error(column, "含有不可见字符") from None
        return text


def _name_of(row: Row) -> str:
    column = _best(row, NAMES)
    text = row[column]
    if not is_visible(text):
        raise row.error(column, "姓名含有不可见字符")
    return text


def _day_of(row: Row) -> date | None:
    column = _best(row, DATES)
    if not row.has(column):
        return None
    if column == "time" and _TIME_ONLY.fullmatch(clean(half_width(row[column]))):
        return None
    return row.parse(column, parse_date)


def _past_day_of(row: Row, today: date) -> date | None:
    day = _day_of(row)
    if day is not None and day > today:
        raise row.error(_best(row, DATES), f"{day} 晚于今天，请核对")
    return day


def _best(row: Row, columns: tuple[str, ...]) -> str:
    return next((column for column in columns if row.has(column)), columns[0])


def _squeezed(text: str) -> str:
    """Return a text as words are looked for in it: no width, blanks or invisible characters."""
    return "".join(c for c in unicodedata.normalize("NFKC", text) if not is_blank(c))


def _text(row: Row, column: str) -> str:
    """Return a cell that is only looked at; a damaged one says nothing."""
    try:
        return row[column]
    except RowError:
        return ""
