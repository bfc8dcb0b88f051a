"""Movements of money on a bank account: amount, direction, currency and status of one row of a table.

A table says the direction in a column, by two amount columns, by a sign, or not at all (then it lists
incoming money only). What contradicts itself or is not understood is an error, never a guess.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from models.values.tables.amounts import parse_signed_fen
from models.values.tables.errors import RowError, TableRefused
from models.values.tables.headers import Header, normal_title
from models.values.tables.reader import Row, Table
from models.values.tables.text import clean, excerpt
from models.values.tables.words import (
    Direction,
    Outcome,
    parse_currency,
    parse_direction,
    parse_outcome,
    parse_reversed,
)

# Give these to `open_table` beside the columns of the list itself.
COLUMNS: Final = {
    column: tuple(titles.split())
    for column, titles in {
        "amount": "金额 交易金额 发生额 交易发生额 转账金额 amount",
        "income": (
            "收入金额 收入 收款金额 贷方金额 贷方发生额 贷方 贷方交易金额 转入金额 存入金额 "
            "入账金额 来账金额 收入发生额 creditamount credit"
        ),
        "outgo": (
            "支出金额 支出 付款金额 借方金额 借方发生额 借方 借方交易金额 转出金额 支取金额 "
            "出账金额 往账金额 支出发生额 debitamount debit"
        ),
        "direction": (
            "借贷标志 借贷标识 借贷标记 借贷 借贷方向 借/贷 收支 收支标志 收支方向 收/支 收付 "
            "收付标志 收付方向 方向 交易方向 资金方向 资金流向 往来标志 来往标志 来往账标志 往来账标志 "
            "进出标志 转入转出 direction d/c dc c/d dr/cr cr/dr debit/credit"
        ),
        "currency": "币种 币别 货币 交易币种 币种代码 货币代码 账户币种 currency ccy",
        "status": (
            "交易状态 状态 处理状态 处理结果 交易结果 结果 入账状态 支付状态 转账状态 记账状态 "
            "status result state"
        ),
        "reversed": "冲正标志 冲正标识 冲正 是否冲正 撤销标志 是否撤销 冲销标志 抹账标志 红冲标志 reversed",
    }.items()
}

# Titles that are about direction, currency or status in words that are not in the lists above.
_LOOKALIKES: Final = re.compile(
    r"借贷|借方|贷方|收支|收付|收入|支出|方向|流向|往账|来账|往来|转入|转出|汇入|汇出|进出|存取|正负|符号"
    r"|币种|币别|货币|外币|汇率|状态|结果|成功|失败|冲正|冲销|撤销|抹账|红冲|退汇|退票|作废"
    r"|标志$|标识$|标记$|交易类型|类型$"
    r"|direction|debit|credit|inout|in/out|^d/?c$|^c/?d$|^drcr$|^sign$|currency|^ccy$|status|state$|result|revers"
)
# These say it whatever else is in the title, unless it is the time or the number of something.
_CERTAIN: Final = re.compile(
    r"借贷|收支|收付|方向|流向|币种|币别|货币|状态|冲正|冲销|撤销|抹账|红冲|direction|currency|status|revers"
)
_TIME_OR_NUMBER: Final = re.compile(r"时间|日期|流水|编号|号$|time|date")
# About a balance, a name, an account or a document: money's direction is not in them.
_HARMLESS: Final = re.compile(
    r"余额|户名|名称|姓名|账号|帐号|账户|帐户|卡号|行名|行号|开户行|银行|网点|凭证|证件|摘要|用途|附言|备注|说明|时间|日期"
    r"|流水|编号|笔数|累计|合计|balance|name|bank|memo|remark|note|date|time"
)


@dataclass(frozen=True)
class Movement:
    """Money that certainly moved, in yuan: `amount_fen` is positive."""

    direction: Direction
    amount_fen: int


def check_columns(table: Table) -> None:
    """Refuse a table whose amount, direction, currency or status columns are not understood.

    Every word of a direction, currency or status column is looked at: a column of which no word is
    understood is refused as a whole.

    Raises:
        TableRefused: names the column.
    """
    header = table.header
    _check_amounts(header)
    known = set(header.places.values())
    for place, title in enumerate(header.titles):
        if place not in known and is_lookalike(title):
            raise TableRefused(
                f"看不懂“{excerpt(title)}”这一列：可能是收支方向、币种或状态，请删去或改用已知的列名"
            )
    _check_words(table)


def is_lookalike(title: str) -> bool:
    """Return True if a title could be about the direction, the currency or the status of money."""
    name = normal_title(title)
    if _CERTAIN.search(name):
        return not _TIME_OR_NUMBER.search(name)
    return bool(_LOOKALIKES.search(name)) and not _HARMLESS.search(name)


def read_movement(row: Row, *, max_fen: int) -> Movement:
    """Return the movement of a row.

    Raises:
        RowError: not in yuan, failed, reversed or not finished; no amount; a sign that contradicts the
            direction; a word that is not understood.
    """
    if row.has("currency"):
        row.parse("currency", parse_currency)
    for column, parser in (("status", parse_outcome), ("reversed", parse_reversed)):
        if row.has(column) and (outcome := row.parse(column, parser)) != Outcome.DONE:
            raise row.error(column, f"交易{_NOT_DONE[outcome]}，不入账")
    if row.has("income") or row.has("outgo"):
        return _from_two_columns(row, max_fen)
    signed_fen = row.parse("amount", parse_signed_fen, max_fen=max_fen)
    if signed_fen == 0:
        raise row.error("amount", "金额为 0")
    if not row.has("direction"):
        return Movement(Direction.IN if signed_fen > 0 else Direction.OUT, abs(signed_fen))
    direction = row.parse("direction", parse_direction)
    if signed_fen < 0 and direction == Direction.IN:
        raise row.error("amount", "收入的金额为负，可能是冲正")
    return Movement(direction, abs(signed_fen))


_NOT_DONE: Final = {Outcome.FAILED: "失败", Outcome.REVERSED: "已冲正", Outcome.PENDING: "尚未完成"}


def _from_two_columns(row: Row, max_fen: int) -> Movement:
    fens = {column: _fen_or_none(row, column, max_fen) for column in ("income", "outgo")}
    moved = {column: fen for column, fen in fens.items() if fen}
    if len(moved) != 1:
        raise RowError(row.line_no, "收入和支出两列须只有一列有金额")
    column, fen = moved.popitem()
    if fen < 0:
        raise row.error(column, "金额为负，可能是冲正")
    direction = Direction.IN if column == "income" else Direction.OUT
    if row.has("direction") and row.parse("direction", parse_direction) != direction:
        raise row.error("direction", "收支方向与金额所在的列不一致")
    return Movement(direction, fen)


def _fen_or_none(row: Row, column: str, max_fen: int) -> int | None:
    if not row.has(column) or clean(row[column]) in ("", "-", "--"):
        return None
    return row.parse(column, parse_signed_fen, max_fen=max_fen)


def _check_amounts(header: Header) -> None:
    two = [column for column in ("income", "outgo") if column in header.places]
    if "amount" in header.places and two:
        titles = "、".join(f"“{excerpt(header.title(column))}”" for column in ("amount", *two))
        raise TableRefused(f"金额有多列（{titles}），不知道以哪一列为准")
    if "amount" not in header.places and "income" not in header.places:
        raise TableRefused("缺少金额或收入金额一列")


def _check_words(table: Table) -> None:
    parsers: dict[str, Callable[[str], object]] = {
        "direction": parse_direction,
        "currency": parse_currency,
        "status": parse_outcome,
        "reversed": parse_reversed,
    }
    waiting = {column: parsers[column] for column in parsers if column in table.header.places}
    rows = 0
    for row in table.rows():
        rows += 1
        for column in [column for column in waiting if _is_understood(row, column, parsers[column])]:
            del waiting[column]
        if not waiting:
            return
    for column in waiting if rows else ():
        title = table.header.title(column)
        raise TableRefused(f"看不懂“{excerpt(title)}”这一列的内容，没有一行能确认")


def _is_understood(row: Row, column: str, parser: Callable[[str], object]) -> bool:
    try:
        row.parse(column, parser)
    except RowError:
        return False
    return True
