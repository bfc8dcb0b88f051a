"""The bank's answer to a payout list: each row is one certain result of one part, or a row error.

A file that names amount, payee or account is compared with the list; two rows that contradict each other
are both errors.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy import select

from models.payout import PartStatus, PartWay, Payout, PayoutPart
from models.values.names import names_match
from models.values.tables.amounts import parse_amount_fen
from models.values.tables.errors import CellError, RowError, TableRefused
from models.values.tables.movements import is_lookalike
from models.values.tables.reader import Row, Table, open_table
from models.values.tables.text import excerpt
from models.values.tables.words import Outcome, parse_currency, parse_outcome
from payments.services import Services

COLUMNS: Final = {
    "list_no": ("名单号", "list_no"),
    "part_no": ("编号", "part_no"),
    "account_no": ("学号", "校园网账号", "account_no"),
    "payee": ("户名", "收款人", "收款人姓名", "收款户名", "收款人户名", "收款人名称", "姓名", "payee"),
    "amount": ("金额", "付款金额", "支付金额", "交易金额", "转账金额", "amount"),
    "currency": ("币种", "币别", "货币", "currency"),
    "result": (
        "结果", "处理结果", "交易结果", "支付结果", "付款结果", "处理状态", "交易状态", "状态",
        "result", "status",
    ),
    "reason": ("失败原因", "退票原因", "原因", "错误信息", "失败信息"),
}  # fmt: skip
REQUIRED: Final = ("list_no", "part_no", "result")
AMOUNT_MAX_FEN: Final = 10**12
_RESULTS: Final = {Outcome.DONE: PartStatus.PAID, Outcome.FAILED: PartStatus.WITHDRAWN}


@dataclass(frozen=True)
class BankResult:
    """What the bank did with one part: PAID, or WITHDRAWN for one that it could not pay, and its words."""

    line_no: int
    list_no: str
    part_no: str
    new: PartStatus
    said: str


@dataclass(frozen=True)
class BankResults:
    """The certain results of a file, and the errors of its other rows, both in the order of the file."""

    rows: list[BankResult]
    errors: list[RowError]


def read_bank_results(services: Services, path: Path) -> BankResults:
    """Read the bank's answer; nothing is changed.

    Raises:
        TableRefused: no such table, or a column about money that is not understood.
    """
    table = open_table(path, COLUMNS, required=REQUIRED)
    _check_columns(table)
    found: list[BankResult] = []
    errors: list[RowError] = []
    for row in table.rows():
        try:
            result = _result_of(row)
            _compare(services, row, result)
        except RowError as error:
            errors.append(error)
        else:
            found.append(result)
    said = {(result.part_no, result.new) for result in found}
    contradicted = {part_no for part_no, new in said if new == PartStatus.PAID} & {
        part_no for part_no, new in said if new == PartStatus.WITHDRAWN
    }
    errors += [
        RowError(result.line_no, "与本文件另一行的结果矛盾")
        for result in found
        if result.part_no in contradicted
    ]
    rows = [result for result in found if result.part_no not in contradicted]
    return BankResults(rows, sorted(errors, key=lambda error: error.line_no))


def _check_columns(table: Table) -> None:
    known = set(table.header.places.values())
    for place, title in enumerate(table.header.titles):
        if place not in known and is_lookalike(title):
            raise TableRefused(f"看不懂“{excerpt(title)}”这一列，请删去或改用已知的列名")


def _result_of(row: Row) -> BankResult:
    list_no, part_no = row["list_no"], row["part_no"]
    outcome = row.parse("result", parse_outcome)
    if outcome not in _RESULTS:
        raise row.error("result", "结果不是“成功”或“失败”")
    if outcome == Outcome.DONE and row["reason"].strip("-"):
        raise row.error("reason", "结果为成功，却写有失败原因")
    if row.has("currency"):
        row.parse("currency", parse_currency)
    said = f"{row['result']} {row['reason']}".strip()
    return BankResult(row.line_no, list_no, part_no, _RESULTS[outcome], said)


def _compare(services: Services, row: Row, result: BankResult) -> None:
    """Raises: RowError - no such part, or another amount, payee or account than its list has."""
    query = (
        select(PayoutPart, Payout)
        .join(Payout, Payout.id == PayoutPart.payout_id)
        .where(PayoutPart.part_no == result.part_no, PayoutPart.way == PartWay.BANK)
    )
    with services.reading() as session:
        found = session.execute(query).one_or_none()
    if found is None:
        raise row.error("part_no", "没有这笔退费")
    part, payout = found
    if row.has("amount") and row.parse("amount", parse_amount_fen, max_fen=AMOUNT_MAX_FEN) != part.amount_fen:
        raise row.error("amount", "金额与名单不一致")
    if row.has("payee") and not names_match(row["payee"].removeprefix("'"), payout.payee):
        raise row.error("payee", "户名与名单不一致")
    if row.has("account_no"):
        _compare_account(services, row, payout.account_no)


def _compare_account(services: Services, row: Row, account_no: str) -> None:
    rules = services.account_rules
    try:
        same = rules.key(rules.parse_cell(row["account_no"])) == rules.key(account_no)
    except CellError as error:
        raise row.error("account_no", error.text) from None
    if not same:
        raise row.error("account_no", "学号与名单不一致")
