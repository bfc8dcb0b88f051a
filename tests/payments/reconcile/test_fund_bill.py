"""The fund-flow bill: WeChat's published row, fees in remarks, and what must not be believed."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from models.errors import Malformed
from payments.reconcile.fund_bill import Entry, FundBill, FundRow, FundTotals
from tests.builders import NOON
from tests.payments.reconcile.fund_maker import HEADER, TOTALS, Flow, write_flow

# As published in pay.weixin.qq.com/docs/merchant/products/bill-download/structure/fund-bill.html, with
# totals of the one row that is shown there.
PUBLISHED = (
    "`2018-02-01 04:21:23,`50000305742018020103387128253,`1900009231201802015884652186,`退款,`退款,"
    "`支出,`0.02,`0.17,`system,`缺货,`REF4200000068201801293084726067"
)
ROW = Flow(NOON, "4200", "4200", "交易", 500, "r1")
BACK = Flow(NOON, "5000", "4200", "退款", -200, "f1")


def read(path: Path) -> list[FundRow]:
    return list(FundBill(path).rows())


def write(path: Path, *lines: str, end: str = "\r\n") -> Path:
    path.write_bytes("".join(f"{line}{end}" for line in lines).encode())
    return path


@pytest.mark.parametrize("header", [HEADER, HEADER.replace("(", "（").replace(")", "）"), f"\ufeff{HEADER}"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_the_published_row_has_all_its_fields(tmp_path: Path, header: str, end: str) -> None:
    path = write(tmp_path / "b", header, PUBLISHED, TOTALS, "`1.0,`0.0,`0.00,`1.0,`0.02", end=end)
    bill = FundBill(path)
    (row,) = bill.rows()
    assert f"{row.at:%Y-%m-%dT%H:%M:%S%z}" == "2018-02-01T04:21:23+0800"
    assert (row.business_no, row.flow_no) == ("50000305742018020103387128253", "1900009231201802015884652186")
    assert (row.name, row.business, row.came_in, row.entry) == ("退款", "退款", False, Entry.REFUND)
    assert (row.amount_fen, row.balance_fen, row.signed_fen) == (2, 17, -2)
    assert (row.applicant, row.remark, row.voucher) == ("system", "缺货", "REF4200000068201801293084726067")
    assert bill.totals == FundTotals(1, 0, 0, 1, 2)


def test_columns_are_found_by_their_names(tmp_path: Path) -> None:
    names, fields = HEADER.split(","), PUBLISHED[1:].split(",`")
    path = write(
        tmp_path / "b",
        ",".join(["新列", *reversed(names)]),
        "`" + ",`".join(["x", *reversed(fields)]),
        TOTALS,
        "`1,`0,`0.00,`1,`0.02",
    )
    (row,) = read(path)
    assert (row.voucher, row.balance_fen) == ("REF4200000068201801293084726067", 17)


@pytest.mark.parametrize(
    ("fen", "remark", "whole_fen", "fee_fen"),
    [
        (-4970, "退款总金额50.00元;含手续费0.30元", 5000, 30),
        (-5000, "退款总金额50.00元;含手续费0.30元", 5000, 0),
        (9940, "结算总金额 100.00 元;含手续费 0.60 元", 10_000, 60),
        (10_000, "结算总金额 100.00 元;含手续费 0.60 元", 10_000, 0),
        (-5000, "缺货", 5000, 0),
        (-4900, "退款总金额50.00元;含手续费0.30元", 4900, 0),
    ],
)
def test_a_fee_that_was_taken_off_within_the_row_is_told_by_its_remark(
    tmp_path: Path, fen: int, remark: str, whole_fen: int, fee_fen: int
) -> None:
    (row,) = read(write_flow(tmp_path / "b", [replace(BACK, fen=fen, remark=remark)], 10_000))
    assert (row.whole_fen, row.netted_fee_fen) == (whole_fen, fee_fen)


@pytest.mark.parametrize(
    ("business", "fen", "entry"),
    [
        ("交易", 1, Entry.INCOME),
        ("交易", -1, Entry.OTHER),
        ("退款", -1, Entry.REFUND),
        ("退款", 1, Entry.RETURNED),
        ("扣除交易手续费", -1, Entry.FEE),
        ("退回交易手续费", 1, Entry.FEE_BACK),
        ("提现", -1, Entry.WITHDRAWAL),
        ("分账", -1, Entry.OTHER),
    ],
)
def test_the_business_of_a_row_is_known(tmp_path: Path, business: str, fen: int, entry: Entry) -> None:
    (row,) = read(write_flow(tmp_path / "b", [replace(ROW, business=business, fen=fen)], 10))
    assert row.entry == entry


@pytest.mark.parametrize("column", HEADER.split(","))
def test_a_bill_without_one_of_its_columns_is_refused(tmp_path: Path, column: str) -> None:
    path = write_flow(tmp_path / "b", [ROW])
    path.write_bytes(path.read_bytes().replace(column.encode(), "别的".encode(), 1))
    with pytest.raises(Malformed, match="no column"):
        FundBill(path)


@pytest.mark.parametrize(
    "totals",
    [
        {"rows": "3.0"},
        {"rows": "2.5"},
        {"income_rows": "2.0"},
        {"income": "5.01"},
        {"expense_rows": "0.0"},
        {"expense": "1.99"},
        {"expense": "2.001"},
    ],
)
def test_totals_that_do_not_add_up_are_refused(tmp_path: Path, totals: dict[str, str]) -> None:
    path = write_flow(tmp_path / "b", [ROW, BACK], 0, **totals)
    with pytest.raises(Malformed):
        read(path)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: raw[: raw.index("资金流水总笔数".encode())],
        lambda raw: raw.rsplit(b"\r\n", 2)[0],
        lambda raw: raw.replace(b",`5.00,", b",`5.001,", 1),
        lambda raw: raw.replace(b",`5.00,", b",`1e9999999,", 1),
        lambda raw: raw.replace(b",`5.00,", b",`-5.00,", 1),
        lambda raw: raw.replace(b",`5.00,`5.00,", b",`5.00,`,", 1),
        lambda raw: raw.replace("收入".encode(), "进".encode(), 1),
        lambda raw: raw.replace(b"2026-03-10 12", b"2026-02-30 12", 1),
        lambda raw: raw.replace(b"2026-03-10 12:00:00", b"2026-03-10T12:00:00Z", 1),
        lambda raw: raw.replace(b",`r1", b"", 1),
        lambda raw: raw.replace(b",`r1", b",`r\t1", 1),
        lambda raw: raw + b"`more\r\n",
    ],
)
def test_a_file_that_is_no_whole_bill_is_refused(tmp_path: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = write_flow(tmp_path / "b", [ROW, BACK])
    good = path.read_bytes()
    path.write_bytes(spoil(good))
    assert path.read_bytes() != good
    with pytest.raises(Malformed):
        read(path)


def _peak_bytes(path: Path) -> int:
    bill = FundBill(path)
    tracemalloc.start()
    try:
        for _ in bill.rows():
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_bill(tmp_path: Path) -> None:
    line = ROW.line(500)
    small, large = (
        write(
            tmp_path / f"{rows}",
            HEADER,
            *[line] * rows,
            TOTALS,
            f"`{rows},`{rows},`{rows * 5}.00,`0,`0.00",
        )
        for rows in (300, 3000)
    )
    assert _peak_bytes(large) < _peak_bytes(small) + 50_000
