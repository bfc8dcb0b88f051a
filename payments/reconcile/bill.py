"""The trade bill of WeChat Pay, read once from front to back in flat memory.

UTF-8 with BOM, a header, rows whose every field begins with a backquote and may hold commas, then
a header and a row of totals. Columns are found by name, because old merchants still get an early
layout. A row that is broken by the text of a column that is not used costs at most itself
(`odd_rows`). Source: pay.weixin.qq.com/docs/merchant/products/bill-download/format-trade.html.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from pathlib import Path

from models.clock import CAMPUS_ZONE
from models.errors import Malformed
from payments.reconcile.odd_rows import (
    SEPARATOR,
    Joiner,
    Lines,
    OddRow,
    OddRows,
    number_in,
    parses,
    shown,
)

BOM = b"\xef\xbb\xbf"
PAID = b"SUCCESS"
STATES = frozenset({PAID, b"REFUND", b"REVOKED"})
FEN_PER_YUAN = 100
# Fees are written with five decimals.
FEE_PER_YUAN = 100_000
AMOUNT_LENGTH_MAX = 32
DISTINCT_MAX = 20_000
ROWS_AT_ONCE = 500
FEE_PER_FEN = FEE_PER_YUAN // FEN_PER_YUAN

_USUAL_AMOUNT = re.compile(rb"\d{1,12}\.\d\d")
_CURRENCY = re.compile(rb"[A-Z]{3}")
_TIME = "%Y-%m-%d %H:%M:%S"

# Our name for a column, and WeChat's names for it, the newest first.
COLUMNS: dict[str, tuple[str, ...]] = {
    "at": ("交易时间",),
    "app_id": ("公众账号ID",),
    "mch_id": ("商户号",),
    "transaction_id": ("微信订单号",),
    "out_trade_no": ("商户订单号",),
    "openid": ("用户标识",),
    "state": ("交易状态",),
    "currency": ("货币种类",),
    "settled": ("应结订单金额", "总金额"),
    "order": ("订单金额", "应结订单金额", "总金额"),
    "refund_id": ("微信退款单号",),
    "out_refund_no": ("商户退款单号",),
    "refunded": ("退款金额",),
    "coupon_refunded": ("充值券退款金额", "代金券或立减优惠退款金额"),
    "asked_back": ("申请退款金额", "退款金额"),
    "refund_state": ("退款状态",),
    "fee": ("手续费",),
    "attach": ("商户数据包",),
}
# Columns of other systems' free text, and others of ours that are compared for our own payments only.
TEXTS = ("商品名称", "商户数据包", "费率备注")
# Early layouts lack these.
OPTIONAL = frozenset({"currency", "fee", "coupon_refunded", "openid", "attach"})
SUMMARY: dict[str, tuple[str, ...]] = {
    "rows": ("总交易单数",),
    "settled": ("应结订单总金额", "总交易额"),
    "refunded": ("退款总金额", "总退款金额"),
    "coupon_refunded": ("充值券退款总金额", "总代金券或立减优惠退款金额"),
    "fee": ("手续费总金额",),
    "order": ("订单总金额",),
    "asked_back": ("申请退款总金额",),
}


@dataclass(frozen=True)
class BillTotals:
    """Rows and fen; `fee` in thousandths of a fen. None: the layout has no such total."""

    rows: int | None = 0
    settled: int | None = 0
    refunded: int | None = 0
    coupon_refunded: int | None = 0
    fee: int | None = 0
    order: int | None = 0
    asked_back: int | None = 0


@dataclass(frozen=True)
class BillRow:
    """One trade or refund; a refund row has order 0 and its own two numbers. Amounts in fen."""

    at: datetime
    app_id: str
    mch_id: str
    transaction_id: str
    out_trade_no: str
    openid: str | None = field(repr=False)
    paid: bool
    currency: str
    order_fen: int
    refund_id: str
    out_refund_no: str
    refund_fen: int
    refund_state: str
    attach: str = field(default="", repr=False)


class Layout:
    """Where the columns of one bill are. Raises: Malformed - one that is needed is missing."""

    def __init__(self, header: bytes) -> None:
        self.names = _text(header.removeprefix(BOM)).strip().split(",")
        self.width = len(self.names)
        self._at: dict[str, int] = {}
        for ours, theirs in COLUMNS.items():
            found = next((self.names.index(name) for name in theirs if name in self.names), None)
            if found is None and ours not in OPTIONAL:
                raise Malformed(f"the bill has no column {theirs[0]}")
            if found is not None:
                self._at[ours] = found

    def __getitem__(self, ours: str) -> int:
        return self._at[ours]

    def has(self, ours: str) -> bool:
        """Whether this layout has the column."""
        return ours in self._at

    def used(self) -> list[int]:
        """Return where the columns stand whose content matters for every row."""
        return sorted({place for ours, place in self._at.items() if ours != "attach"})

    def fields(self, line: bytes) -> list[bytes]:
        """The fields of one row. Raises: Malformed - more or fewer than the header names."""
        fields = line.rstrip(b"\r\n")[1:].split(SEPARATOR)
        if len(fields) != self.width:
            raise Malformed("a row of the bill has another number of fields than its header")
        return fields

    def row(self, line: bytes) -> BillRow:
        """One row with types. Raises: Malformed."""
        fields = self.fields(line)

        def text(name: str, otherwise: str = "") -> str:
            return shown(fields[self._at[name]]) if name in self._at else otherwise

        return BillRow(
            at=_moment(text("at")),
            app_id=text("app_id"),
            mch_id=text("mch_id"),
            transaction_id=text("transaction_id"),
            out_trade_no=text("out_trade_no"),
            openid=text("openid") or None,
            paid=fields[self._at["state"]] == PAID,
            currency=text("currency", "CNY"),
            order_fen=fen(fields[self._at["order"]]),
            refund_id=text("refund_id"),
            out_refund_no=text("out_refund_no"),
            refund_fen=fen(fields[self._at["asked_back"]]),
            refund_state=text("refund_state"),
            attach=text("attach"),
        )


class Bill:
    """One bill file. `totals` are our own sums and `said` WeChat's, both complete after `batches()` ended.

    `odd` are the rows that were joined again or could not be read; the latter are in no batch and no sum.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.totals = BillTotals()
        self.said = BillTotals()
        self.odd = OddRows()
        with path.open("rb") as file:
            self.layout = Layout(file.readline())
        self._joiner = _joiner(self.layout)

    @property
    def size_bytes(self) -> int:
        """How long the file is."""
        return self._path.stat().st_size

    def batches(self) -> Iterator[list[list[bytes]]]:
        """The fields of every row, in order and some rows at once; a row's first field keeps its backquote.

        Raises: Malformed - an amount or the totals cannot be read, the file ends early, or not one row
            of it can be read.
        """
        sums = _Sums(self.layout)
        self.odd.clear()
        for rows in self._rows(self.odd):
            sums.count(rows)
            yield rows
        self.totals = sums.totals()
        if self.odd.unreadable and not self.totals.rows:
            raise Malformed("a row of the bill cannot be read")

    def find(self, wanted: set[bytes], column: str = "out_trade_no") -> Iterator[BillRow]:
        """The rows whose `column` is among `wanted`, in a pass of its own after `batches()`.

        A row that matches and cannot be read is added to `odd`.
        """
        place = self.layout[column]
        if self.odd.rows:
            # Lines are not rows here.
            for rows in self._rows(OddRows()):
                for row in rows:
                    if row[place] in wanted:
                        yield from self.row_of(SEPARATOR.join(row))
            return
        with self._path.open("rb") as file:
            next(file)
            for line in file:
                fields = line.split(SEPARATOR, place + 1)
                if len(fields) > place and fields[place] in wanted:
                    yield from self.row_of(line)

    def row_of(self, line: bytes) -> Iterator[BillRow]:
        """Yield the row with types; one that cannot be read is added to `odd` instead."""
        try:
            yield self.layout.row(line)
        except Malformed:
            number = number_in(line, self.layout["out_trade_no"])
            self.odd.add(OddRow(0, number, repaired=False))

    def _rows(self, odd: OddRows) -> Iterator[list[list[bytes]]]:
        right = {self.layout.width}
        with self._path.open("rb") as file:
            next(file)
            lines = Lines(file, 2)
            while some := lines.take(ROWS_AT_ONCE):
                rows = [line.split(SEPARATOR) for line in some]
                if set(map(len, rows)) == right:
                    yield rows
                    continue
                lines.put_back(some)
                rows, ended = self._one_by_one(lines, len(some), odd)
                yield rows
                if ended:
                    return
        raise Malformed("the bill ends without its totals")

    def _one_by_one(self, lines: Lines, count: int, odd: OddRows) -> tuple[list[list[bytes]], bool]:
        """Read on over about `count` lines, not all of them rows. Returns: the rows; True at the end."""
        rows: list[list[bytes]] = []
        until = lines.number + count
        while lines.number < until and (some := lines.take(1)):
            line, number = some[0], lines.number - 1
            fields = line.split(SEPARATOR)
            if len(fields) == self.layout.width and not self._joiner.goes_on(lines):
                rows.append(fields)
            elif self._joiner.ends(line, lines):
                self.said = _said(line, lines.take(1)[0])
                if lines.go_on():
                    raise Malformed("the bill goes on after its totals")
                return rows, True
            elif line.strip():
                joined = self._joiner.join(line, lines)
                out_trade_no = number_in(line, self.layout["out_trade_no"])
                odd.add(OddRow(number, out_trade_no, repaired=joined is not None))
                if joined is not None:
                    rows.append(joined)
        return rows, False

    def differing_totals(self) -> list[str]:
        """The totals in which WeChat's last line and our sums differ; empty when all agree."""
        return [
            name
            for name in SUMMARY
            if (said := getattr(self.said, name)) is not None and said != self._comparable(name)
        ]

    def _comparable(self, name: str) -> int:
        summed: int = getattr(self.totals, name)
        # WeChat writes the total of fees in whole fen.
        return (summed + FEE_PER_FEN // 2) // FEE_PER_FEN * FEE_PER_FEN if name == "fee" else summed


class _Sums:
    """The sums of a bill's amounts. They repeat: equal ones are counted, and multiplied at the end."""

    def __init__(self, layout: Layout) -> None:
        self._names = [name for name in SUMMARY if name != "rows" and layout.has(name)]
        self._pick = itemgetter(*(layout[name] for name in self._names))
        self._counts: Counter[tuple[bytes, ...]] = Counter()
        self._rows = 0
        self._sums = dict.fromkeys(SUMMARY, 0)

    def count(self, rows: list[list[bytes]]) -> None:
        """Some rows more. Raises: Malformed - an amount that is none."""
        self._counts.update(map(self._pick, rows))
        if len(self._counts) > DISTINCT_MAX:
            self._fold()

    def totals(self) -> BillTotals:
        """The sums of everything so far. Raises: Malformed."""
        self._fold()
        return BillTotals(**{**self._sums, "rows": self._rows})

    def _fold(self) -> None:
        for texts, times in self._counts.items():
            self._rows += times
            for name, text in zip(self._names, texts, strict=True):
                self._sums[name] += times * (fee_of(text) if name == "fee" else fen(text))
        self._counts.clear()


@lru_cache(maxsize=65_536)
def fen(text: bytes) -> int:
    """Yuan of the bill as fen, exactly. Raises: Malformed - no amount, or finer than a fen."""
    text = text.rstrip(b"\r\n")
    if _USUAL_AMOUNT.fullmatch(text):
        return int(text.replace(b".", b""))
    return _scaled(text, FEN_PER_YUAN)


@lru_cache(maxsize=65_536)
def fee_of(text: bytes) -> int:
    """A fee in yuan as thousandths of a fen, exactly. Raises: Malformed."""
    return _scaled(text.rstrip(b"\r\n"), FEE_PER_YUAN)


def _scaled(text: bytes, units: int) -> int:
    if len(text) > AMOUNT_LENGTH_MAX:
        raise Malformed("an amount of the bill is too long")
    try:
        value = Decimal(_text(text)) * units
        # An exponent would make a number of millions of digits.
        whole = int(value) if -AMOUNT_LENGTH_MAX < value.adjusted() < AMOUNT_LENGTH_MAX else 0
    except (ArithmeticError, ValueError):
        raise Malformed("an amount of the bill is no number") from None
    if whole != value:
        raise Malformed("an amount of the bill is finer than its unit")
    return whole


def _joiner(layout: Layout) -> Joiner:
    used = layout.used()
    texts = [layout.names.index(name) for name in TEXTS if name in layout.names]
    free = [place for place in range(layout.width) if place not in used and place not in texts]
    amounts = [layout[name] for name in SUMMARY if name not in ("rows", "fee") and layout.has(name)]

    def plausible(fields: list[bytes]) -> bool:
        return (
            fields[layout["state"]] in STATES
            and fields[layout["transaction_id"]] != b""
            and (not layout.has("currency") or _CURRENCY.fullmatch(fields[layout["currency"]]) is not None)
            and all(parses(fen, fields[place]) for place in amounts)
            and (not layout.has("fee") or parses(fee_of, fields[layout["fee"]]))
            and parses(lambda raw: _moment(_text(raw)), fields[layout["at"]].removeprefix(b"`"))
        )

    return Joiner(layout.width, texts, free, used, plausible, SUMMARY["rows"][0])


def _said(header: bytes, row: bytes) -> BillTotals:
    names = _text(header).strip().split(",")
    by_name = dict(zip(names, row.rstrip(b"\r\n")[1:].split(SEPARATOR), strict=True))
    return BillTotals(**{ours: _total(ours, theirs, by_name) for ours, theirs in SUMMARY.items()})


def _total(ours: str, theirs: Sequence[str], by_name: dict[str, bytes]) -> int | None:
    value = next((by_name[name] for name in theirs if name in by_name), None)
    if value is None:
        return None
    # The count may read 45.0.
    return _scaled(value, 1) if ours == "rows" else fee_of(value) if ours == "fee" else fen(value)


def _text(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        raise Malformed("the bill is not UTF-8") from None


def _moment(text: str) -> datetime:
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=CAMPUS_ZONE).astimezone(UTC)
    except ValueError:
        raise Malformed("a time of the bill cannot be read") from None
