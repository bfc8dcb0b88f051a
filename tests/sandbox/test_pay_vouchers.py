"""Part of the price paid with a voucher: in the query, the notice, the refund and the bill."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from payments.reconcile.bill import Bill
from payments.wechatpay.bills import trade_bill
from sandbox.faults import Fault
from sandbox.pay.bill_files import DETAIL, TOTALS
from sandbox.pay.orders import BEIJING
from tests.sandbox.our_client import our_client
from tests.sandbox.pay_rig import PayRig

NUMBER = "R202609010001"


@pytest.fixture
def rig() -> Iterator[PayRig]:
    with PayRig() as started:
        yield started


def paid(rig: PayRig, name: str, **args: float) -> date:
    """An order of five yuan, one of them as a voucher. Returns: the day."""
    rig.prepay(NUMBER)
    rig.engine.faults.add(Fault(name, "pay.payment", args=args))
    rig.sim(f"orders/{NUMBER}/pay")
    rig.site.wait_for(1)
    return datetime.fromtimestamp(rig.engine.stamp(), BEIJING).date()


def refund(rig: PayRig, fen: int, number: str = "f00001") -> dict[str, Any]:
    amount = {"refund": fen, "total": 500, "currency": "CNY"}
    body = {"out_trade_no": NUMBER, "out_refund_no": number, "amount": amount, "notify_url": rig.notify_url}
    answered: dict[str, Any] = rig.call("POST", "/v3/refund/domestic/refunds", body).json()
    return answered


def to_eleven_tomorrow(rig: PayRig) -> None:
    now = datetime.fromtimestamp(rig.engine.stamp(), BEIJING)
    goal = (now + timedelta(days=1)).replace(hour=11, minute=0, second=0)
    rig.engine.scheduler.advance((goal - now).total_seconds())


def bill(rig: PayRig, on: date, kind: str = "tradebill", which: str = "bill_type=ALL") -> list[list[str]]:
    target = f"/v3/bill/{kind}?bill_date={on}&{which}&tar_type=GZIP"
    url = rig.call("GET", target).json()["download_url"].removeprefix(rig.url)
    text = gzip.decompress(rig.call("GET", url).content).decode("utf-8-sig")
    return [line.lstrip("`").split(",`") for line in text.split("\r\n")[:-1]]


@pytest.mark.parametrize(("name", "kind"), [("voucher", "CASH"), ("discount", "NOCASH")])
def test_query_and_notice_show_what_the_payer_paid_and_the_voucher(rig: PayRig, name: str, kind: str) -> None:
    paid(rig, name)
    shown = rig.query(NUMBER).json()
    assert rig.open_notification(rig.site.received[0][1]) == shown
    assert (shown["amount"]["total"], shown["amount"]["payer_total"]) == (500, 400)
    (used,) = shown["promotion_detail"]
    assert (used["type"], used["amount"]) == (kind, 100)


def test_a_voucher_never_exceeds_the_price(rig: PayRig) -> None:
    paid(rig, "voucher", fen=900)
    assert rig.query(NUMBER).json()["amount"]["payer_total"] == 0


@pytest.mark.parametrize(("name", "settled"), [("voucher", 500), ("discount", 400)])
def test_a_refund_gives_back_the_share_of_the_voucher(rig: PayRig, name: str, settled: int) -> None:
    paid(rig, name)
    part = refund(rig, 250)["amount"]
    assert (part["payer_total"], part["payer_refund"], part["discount_refund"]) == (400, 200, 50)
    assert (part["settlement_total"], part["settlement_refund"]) == (settled, settled // 2)
    rig.engine.scheduler.advance(60)
    assert refund(rig, 250, "f00002")["promotion_detail"][0]["refund_amount"] == 50
    rig.engine.scheduler.advance(60)
    rig.site.wait_for(3)
    for _, body in rig.site.received[1:]:
        told = rig.open_notification(body)["amount"]
        assert (told["refund"], told["payer_refund"], told["payer_total"]) == (250, 200, 400)


@pytest.mark.parametrize(
    ("name", "settled", "refunded", "coupons"),
    [("voucher", "5.00", "2.50", "0.50"), ("discount", "4.00", "2.00", "0.00")],
)
def test_the_bill_has_the_voucher_in_its_columns_and_totals(
    rig: PayRig, name: str, settled: str, refunded: str, coupons: str
) -> None:
    on = paid(rig, name)
    refund(rig, 250)
    to_eleven_tomorrow(rig)
    _, payment, back, _, totals = bill(rig, on)
    row, returned = (dict(zip(DETAIL.split(","), line, strict=True)) for line in (payment, back))
    assert (row["应结订单金额"], row["代金券金额"], row["订单金额"]) == (settled, "1.00", "5.00")
    assert (returned["退款金额"], returned["充值券退款金额"]) == (refunded, coupons)
    assert returned["申请退款金额"] == "2.50"
    summed = dict(zip(TOTALS.split(","), totals, strict=True))
    assert (summed["应结订单总金额"], summed["退款总金额"]) == (settled, refunded)
    assert (summed["充值券退款总金额"], summed["订单总金额"]) == (coupons, "5.00")
    assert [line[6] for line in bill(rig, on, "fundflowbill", "account_type=BASIC")[1:3]] == [
        settled,
        refunded,
    ]


@pytest.mark.parametrize("name", ["voucher", "discount"])
def test_our_client_credits_the_price_and_finds_the_bill_in_order(
    rig: PayRig, tmp_path: Path, name: str
) -> None:
    client = our_client(rig)
    on = paid(rig, name)
    notice = client.verify_notify(*rig.site.received[0])
    assert client.trade_from(notice.resource_plain) == client.query(NUMBER)
    assert client.query(NUMBER).amount_fen == 500
    back = client.refund(
        out_trade_no=NUMBER, out_refund_no="F000000001", amount_fen=500, total_fen=500, reason="多充"
    )
    assert (back.amount_fen, back.total_fen) == (500, 500)
    to_eleven_tomorrow(rig)
    trade_bill(client, on, tmp_path / "bill")
    read = Bill(tmp_path / "bill")
    rows = [row for some in read.batches() for row in some]
    assert len(rows) == 2
    assert read.differing_totals() == []
    client.disconnect()
