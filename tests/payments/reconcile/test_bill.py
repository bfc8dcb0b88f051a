"""The trade bill: WeChat's published file, awkward rows, and what must not be believed."""

from __future__ import annotations

import base64
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.errors import Malformed
from payments.reconcile.bill import Bill, BillTotals, Layout, fee_of, fen
from tests.payments.reconcile.bill_maker import HEADER, Paid, write_bill
from tests.places import vectors

VECTORS = vectors("pay")
PUBLISHED = {vector["id"]: vector for vector in VECTORS["vectors"]}


@pytest.fixture
def published(tmp_path: Path) -> Bill:
    path = tmp_path / "published.csv"
    path.write_bytes(base64.b64decode(PUBLISHED["bill-all-csv"]["raw_base64"]))
    return Bill(path)


def read(bill: Bill) -> int:
    return sum(map(len, bill.batches()))


def test_the_published_bill_has_its_published_sums(published: Bill) -> None:
    vector = PUBLISHED["bill-all-csv"]
    assert read(published) == vector["detail_rows"] == 45
    summed = vector["recomputed_here"]
    assert published.totals == BillTotals(
        rows=45,
        settled=int(Decimal(summed["应结订单金额"]) * 100),
        refunded=int(Decimal(summed["退款金额"]) * 100),
        coupon_refunded=0,
        fee=int(Decimal(summed["手续费"]) * 100_000),
        order=int(Decimal(summed["订单金额"]) * 100),
        asked_back=int(Decimal(summed["申请退款金额"]) * 100),
    )
    assert published.said.rows == 45
    assert published.differing_totals() == []


def test_the_published_rows_have_types(published: Bill) -> None:
    refund, *_ = published.find({b"autotest_20190216081946_82335"})
    assert (refund.paid, refund.order_fen, refund.refund_fen) == (False, 0, 1)
    assert refund.out_refund_no == "REF42000002632019021677009639" + refund.out_refund_no[-2:]
    assert f"{refund.at:%Y-%m-%dT%H:%M:%SZ}" == "2019-02-18T21:01:46Z"


def test_the_documented_columns_are_known() -> None:
    assert PUBLISHED["bill-headers-doc"]["ALL"]["detail"] == HEADER
    assert Layout(HEADER.encode()).width == 27


def test_an_early_layout_is_read_by_its_names(tmp_path: Path) -> None:
    header = (
        "交易时间,公众账号ID,商户号,子商户号,设备号,微信订单号,商户订单号,用户标识,交易类型,交易状态,付款银行,货币种类,总金额,"
        "代金券或立减优惠金额,微信退款单号,商户退款单号,退款金额,代金券或立减优惠退款金额,退款类型,退款状态,商品名称,商户数据包,手续费,费率"
    )
    row = (
        "`2026-03-10 12:00:00,`wx1,`19,`0,`,`4200,`r2026,`o1,`JSAPI,`SUCCESS,`B,`CNY,`5.00,`0.00,`0,`0,`0.00,"
        "`0.00,`,`,`x,`,`0.03000,`0.60%"
    )
    totals = "总交易单数,总交易额,总退款金额,总代金券或立减优惠退款金额,手续费总金额"
    path = tmp_path / "early.csv"
    path.write_bytes(f"{header}\n{row}\n{totals}\n`1,`5.00,`0.00,`0.00,`0.03\n".encode())
    bill = Bill(path)
    assert read(bill) == 1
    assert (bill.totals.order, bill.said.settled, bill.said.order) == (500, 500, None)
    assert bill.differing_totals() == []


def test_commas_in_names_do_not_move_the_columns(tmp_path: Path) -> None:
    bill = Bill(write_bill(tmp_path / "b", [Paid("n1", "t1", 500, description="一,二,,三")]))
    assert read(bill) == 1
    assert [row.order_fen for row in bill.find({b"n1"})] == [500]


@pytest.mark.parametrize(
    ("totals", "wrong"),
    [
        ({"rows": "3"}, "rows"),
        ({"order": "10.01"}, "order"),
        ({"settled": "9.99"}, "settled"),
        ({"asked_back": "0.01"}, "asked_back"),
        ({"refunded": "0.01"}, "refunded"),
        ({"fee": "0.01"}, "fee"),
        ({"coupon": "0.01"}, "coupon_refunded"),
    ],
)
def test_a_total_that_is_a_fen_off_is_seen(tmp_path: Path, totals: dict[str, str], wrong: str) -> None:
    rows = [Paid("n1", "t1", 500), Paid("n2", "t2", 500)]
    bill = Bill(write_bill(tmp_path / "b", rows, **totals))
    read(bill)
    assert bill.differing_totals() == [wrong]


@pytest.mark.parametrize(
    "spoil",
    [
        lambda raw: raw[: raw.index("总交易单数".encode())],
        lambda raw: raw.replace(b",`5.00", b",`5.001", 1),
        lambda raw: raw.replace(b",`5.00", b",`nan", 1),
        lambda raw: raw.replace(b",`5.00", b",`1e999999", 1),
        lambda raw: raw.replace(b"`JSAPI,", b"", 1),
        lambda raw: raw + b"`more\r\n",
        lambda raw: raw.replace("商户订单号".encode(), "别的".encode(), 1),
        lambda raw: b"\xff\xfe" + raw,
        lambda raw: raw.rsplit(b"\r\n", 2)[0],
    ],
)
def test_a_file_that_is_no_whole_bill_is_refused(tmp_path: Path, spoil: object) -> None:
    path = write_bill(tmp_path / "b", [Paid("n1", "t1", 500)])
    path.write_bytes(spoil(path.read_bytes()))  # type: ignore[operator]
    with pytest.raises(Malformed):
        read(Bill(path))


@given(st.integers(min_value=0, max_value=10**12))
def test_every_fen_survives_the_yuan_of_the_bill(amount: int) -> None:
    text = f"{amount // 100}.{amount % 100:02d}".encode()
    assert fen(text) == amount
    assert fen(b"-" + text) == -amount
    assert fee_of(text) == amount * 1000


@given(st.text(max_size=12))
def test_what_is_no_amount_is_malformed_and_never_rounded(text: str) -> None:
    try:
        exact = Decimal(text)
    except ArithmeticError:
        exact = Decimal("NaN")
    try:
        found = fen(text.encode())
    except Malformed:
        return
    assert exact * 100 == found
