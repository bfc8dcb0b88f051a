"""The fund-flow bill of WeChat Pay (basic account), read once from front to back in flat memory.

UTF-8 with or without a BOM, a header, rows whose every field begins with a backquote, then a header
and a row of totals. Columns are found by name; the brackets in two of the names come in both widths.
Source: pay.weixin.qq.com/docs/merchant/products/bill-download/structure/fund-bill.html.

A refund may be booked without the fee that comes back with it: of 50.00 at 0.6 % WeChat takes 49.70
(pay.weixin.qq.com/doc/v3/merchant/4013071200). The remark then tells the whole sum and the fee.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path

from models.clock import CAMPUS_ZONE
from models.errors import Malformed
from payments.reconcile.bill import BOM, fen
from payments.reconcile.odd_rows import SEPARATOR, Joiner, Lines, OddRow, OddRows, number_in, parses, shown

COLUMNS = {
    "at": "记账时间",
    "business_no": "微信支付业务单号",
    "flow_no": "资金流水单号",
    "name": "业务名称",
    "business": "业务类型",
    "direction": "收支类型",
    "amount": "收支金额(元)",
    "balance": "账户结余(元)",
    "applicant": "资金变更提交申请人",
    "remark": "备注",
    "voucher": "业务凭证号",
}
SUMMARY = {
    "rows": "资金流水总笔数",
    "income_rows": "收入笔数",
    "income_fen": "收入金额",
    "expense_rows": "支出笔数",
    "expense_fen": "支出金额",
}
NUMBERS = ("business_no", "flow_no", "voucher")
# Written by persons and other systems.
TEXTS = ("remark", "applicant", "name")
DIRECTIONS = {"收入": True, "支出": False}
TRADE, REFUND, FEE, WITHDRAWAL = "交易", "退款", "手续费", "提现"

_TIME_LENGTH = len("2018-02-01 04:21:23")
_WHOLE = re.compile(r"总金额\s*(\d+\.\d\d)\s*元\s*[;；,，]\s*含手续费\s*(\d+\.\d\d)\s*元")
_DIRECTIONS = frozenset(name.encode() for name in DIRECTIONS)
_COUNT = re.compile(r"(\d{1,12})(?:\.0+)?")
_BRACKETS = str.maketrans("（）", "()")


class Entry(StrEnum):
    """What a row is about."""

    INCOME = "income"
    REFUND = "refund"
    # A refund whose money came back to us.
    RETURNED = "returned"
    FEE = "fee"
    FEE_BACK = "fee_back"
    WITHDRAWAL = "withdrawal"
    OTHER = "other"


@dataclass(frozen=True)
class FundTotals:
    """Rows and fen, of both directions."""

    rows: int = 0
    income_rows: int = 0
    income_fen: int = 0
    expense_rows: int = 0
    expense_fen: int = 0


@dataclass(frozen=True)
class FundRow:
    """One change of the account. Amounts in fen and never negative; `balance_fen` is what it left.

    For an income `business_no` is the transaction and `voucher` our out_trade_no, for a refund
    refund_id and out_refund_no. The applicant may be the name of a person.
    """

    at: datetime
    business_no: str
    flow_no: str
    name: str
    business: str
    came_in: bool
    amount_fen: int
    balance_fen: int
    applicant: str = field(repr=False)
    remark: str = field(repr=False)
    voucher: str

    @property
    def on(self) -> date:
        """The campus day."""
        return self.at.date()

    @property
    def entry(self) -> Entry:
        """What the row is about, by WeChat's word for the business and the direction."""
        if FEE in self.business:
            return Entry.FEE_BACK if self.came_in else Entry.FEE
        if self.business == TRADE and self.came_in:
            return Entry.INCOME
        if REFUND in self.business:
            return Entry.RETURNED if self.came_in else Entry.REFUND
        return Entry.WITHDRAWAL if WITHDRAWAL in self.business else Entry.OTHER

    @property
    def signed_fen(self) -> int:
        """What the row adds to the account."""
        return self.amount_fen if self.came_in else -self.amount_fen

    @property
    def netted_fee_fen(self) -> int:
        """The fee that was taken off within this row, by its remark; mostly 0."""
        found = _WHOLE.search(self.remark)
        if found is None:
            return 0
        whole, fee = (fen(text.encode()) for text in found.groups())
        return fee if self.amount_fen == whole - fee else 0

    @property
    def whole_fen(self) -> int:
        """The sum that payer and merchant know: the amount and the fee that was taken off it."""
        return self.amount_fen + self.netted_fee_fen


class FundBill:
    """One fund-flow bill file. `totals` are complete once `rows()` ended.

    `odd` are the rows that were joined again around a text that broke them. A row that cannot be joined
    is refused with its bill: the balance could not be followed from row to row.

    Raises: Malformed - the header lacks a column.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.totals = FundTotals()
        self.odd = OddRows()
        with path.open("rb") as file:
            names = _names(file.readline().removeprefix(BOM))
        missing = [name for name in COLUMNS.values() if name not in names]
        if missing:
            raise Malformed(f"the fund-flow bill has no column {missing[0]}")
        self._width = len(names)
        self._at = {ours: names.index(theirs) for ours, theirs in COLUMNS.items()}
        texts = [self._at[name] for name in TEXTS]
        used = [place for place in self._at.values() if place not in texts]
        free = [place for place in range(self._width) if place not in used and place not in texts]
        self._joiner = Joiner(self._width, texts, free, used, self._plausible, SUMMARY["rows"])

    def rows(self) -> Iterator[FundRow]:
        """Every row, in order.

        Raises: Malformed - a row cannot be read, the file ends early or goes on after its totals, or
            the totals are not the sums of the rows.
        """
        sums = {True: [0, 0], False: [0, 0]}
        self.odd.clear()
        with self._path.open("rb") as file:
            file.readline()
            lines = Lines(file, 2)
            while some := lines.take(1):
                if self._joiner.ends(some[0], lines):
                    self.totals = _totals(sums)
                    _check(some[0], lines, self.totals)
                    return
                if not some[0].strip():
                    continue
                row = self._row(self._fields(some[0], lines))
                of_direction = sums[row.came_in]
                of_direction[0] += 1
                of_direction[1] += row.amount_fen
                yield row
        raise Malformed("the fund-flow bill ends without its totals")

    def _fields(self, line: bytes, lines: Lines) -> list[bytes]:
        fields = line.rstrip(b"\r\n").split(SEPARATOR)
        if len(fields) == self._width and line.startswith(b"`") and not self._joiner.goes_on(lines):
            return fields
        number = lines.number - 1
        joined = self._joiner.join(line, lines)
        if joined is None:
            raise Malformed("a row of the fund-flow bill has another number of fields than its header")
        self.odd.add(OddRow(number, number_in(line, self._at["voucher"]), repaired=True))
        return joined

    def _plausible(self, fields: list[bytes]) -> bool:
        return (
            fields[self._at["direction"]] in _DIRECTIONS
            and all(parses(fen, fields[self._at[name]]) for name in ("amount", "balance"))
            and parses(lambda raw: _moment(_text(raw)), fields[self._at["at"]].removeprefix(b"`"))
        )

    def _row(self, fields: list[bytes]) -> FundRow:
        fields = [fields[0].removeprefix(b"`"), *fields[1:]]
        by_name = {ours: fields[place] for ours, place in self._at.items()}
        amount_fen = fen(by_name.pop("amount"))
        if amount_fen < 0:
            raise Malformed("an amount of the fund-flow bill is negative")
        balance_fen = fen(by_name.pop("balance"))
        texts = {ours: (shown if ours in TEXTS else _text)(raw) for ours, raw in by_name.items()}
        if any("\t" in texts[name] for name in NUMBERS):
            raise Malformed("a number of the fund-flow bill has a tab in it")
        direction = texts.pop("direction")
        if direction not in DIRECTIONS:
            raise Malformed("a row of the fund-flow bill neither comes in nor goes out")
        return FundRow(
            at=_moment(texts.pop("at")),
            came_in=DIRECTIONS[direction],
            amount_fen=amount_fen,
            balance_fen=balance_fen,
            **texts,
        )


def _names(line: bytes) -> list[str]:
    return _text(line).strip().translate(_BRACKETS).split(",")


def _totals(sums: dict[bool, list[int]]) -> FundTotals:
    (came_rows, came_fen), (went_rows, went_fen) = sums[True], sums[False]
    return FundTotals(came_rows + went_rows, came_rows, came_fen, went_rows, went_fen)


def _check(header: bytes, rest: Lines, summed: FundTotals) -> None:
    """The last two lines; nothing but empty lines may follow. Raises: Malformed."""
    names = _names(header)
    values = rest.take(1)[0].rstrip(b"\r\n")[1:].split(SEPARATOR)
    if any(name not in names for name in SUMMARY.values()) or len(values) != len(names):
        raise Malformed("the totals of the fund-flow bill cannot be read")
    if rest.go_on():
        raise Malformed("the fund-flow bill goes on after its totals")
    by_name = dict(zip(names, values, strict=True))
    said = FundTotals(
        **{
            ours: (fen if ours.endswith("_fen") else _count)(by_name[theirs])
            for ours, theirs in SUMMARY.items()
        }
    )
    if said != summed:
        raise Malformed("the totals of the fund-flow bill are not the sums of its rows")


def _count(raw: bytes) -> int:
    # The count may read 45.0.
    found = _COUNT.fullmatch(_text(raw).strip())
    if found is None:
        raise Malformed("a count of the fund-flow bill is no number")
    return int(found[1])


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("the fund-flow bill is not UTF-8") from None


def _moment(text: str) -> datetime:
    try:
        # Other lengths are other ways to write a time, which WeChat does not use here.
        at = datetime.fromisoformat(text) if len(text) == _TIME_LENGTH else None
    except ValueError:
        at = None
    if at is None:
        raise Malformed("a time of the fund-flow bill cannot be read")
    return at.replace(tzinfo=CAMPUS_ZONE)
