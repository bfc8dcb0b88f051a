"""Faults of the API side: what happened, and what the merchant saw of it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import requests

from sandbox.faults import Fault
from tests.sandbox.pay_rig import OPENID, PayRig, wait_until

NUMBER = "R202501010001"


@pytest.fixture
def rig() -> Iterator[PayRig]:
    with PayRig() as started:
        yield started


@pytest.mark.parametrize(
    ("name", "args", "placed"),
    [
        ("effect_then_timeout", {"seconds": 0.2}, True),
        ("timeout", {"seconds": 0.2}, False),
        ("reset", {}, False),
    ],
)
def test_a_call_without_answer(rig: PayRig, name: str, args: dict[str, float], *, placed: bool) -> None:
    rig.engine.faults.add(Fault(name, "pay.prepay", args=args))
    with pytest.raises(requests.ConnectionError):
        rig.prepay()
    assert (rig.query().status_code == 200) is placed
    assert rig.prepay().status_code == 200


def test_silence_outlasts_an_impatient_client(rig: PayRig) -> None:
    rig.engine.faults.add(Fault("effect_then_timeout", "pay.close", args={"seconds": 2.0}))
    rig.prepay()
    body = {"mchid": rig.credentials.mch_id}
    with pytest.raises(requests.ReadTimeout):
        rig.call("POST", f"/v3/pay/transactions/out-trade-no/{NUMBER}/close", body, timeout_s=0.3)
    assert rig.query().json()["trade_state"] == "CLOSED"


@pytest.mark.parametrize(
    ("name", "status", "code", "placed"),
    [
        ("error_500", 500, "SYSTEM_ERROR", False),
        ("error_500_after", 500, "SYSTEM_ERROR", True),
        ("rate_429", 429, "FREQUENCY_LIMITED", False),
    ],
)
def test_an_error_with_and_without_effect(
    rig: PayRig, name: str, status: int, code: str, *, placed: bool
) -> None:
    rig.engine.faults.add(Fault(name, "pay.prepay"))
    response = rig.prepay()
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert (rig.query().status_code == 200) is placed


def test_a_stale_answer_is_a_day_old_and_rightly_signed(rig: PayRig) -> None:
    rig.prepay()
    rig.engine.faults.add(Fault("stale_timestamp", "pay.query"))
    response = rig.query()
    assert rig.verify(response.headers, response.content)
    assert rig.engine.clock.timestamp() - int(response.headers["Wechatpay-Timestamp"]) > 86_000


def test_a_query_may_say_notpay_first(rig: PayRig) -> None:
    rig.prepay()
    rig.sim(f"orders/{NUMBER}/pay")
    rig.engine.faults.add(Fault("query_notpay_first", "pay.query"))
    assert [rig.query().json()["trade_state"] for _ in range(2)] == ["NOTPAY", "SUCCESS"]


def test_a_tampered_query_is_signed_and_wrong(rig: PayRig) -> None:
    rig.prepay()
    rig.sim(f"orders/{NUMBER}/pay")
    rig.engine.faults.add(Fault("tamper_amount", "pay.query"))
    response = rig.query()
    assert rig.verify(response.headers, response.content)
    assert response.json()["amount"]["total"] == 501


def test_a_payment_may_be_told_before_the_prepay_is_answered(rig: PayRig) -> None:
    rig.engine.faults.add(Fault("before_answer", "pay.prepay"))
    rig.engine.faults.add(Fault("before_answer", "pay.notify"))
    response = rig.prepay()
    assert len(rig.site.received) == 1
    assert response.status_code == 200
    assert rig.query().json()["trade_state"] == "SUCCESS"


def test_magic_amounts_need_the_switch(rig: PayRig) -> None:
    rig.prepay(amount={"total": 1})
    assert rig.query().json()["trade_state"] == "NOTPAY"


def test_magic_amounts(rig: PayRig) -> None:
    rig.sim("magic", {"on": True})
    rig.prepay("MAGIC00001", amount={"total": 1})
    assert rig.query("MAGIC00001").json()["trade_state"] == "SUCCESS"
    rig.site.wait_for(1)
    prepay_id = rig.prepay("MAGIC00002", amount={"total": 2}).json()["prepay_id"]
    cancelled = rig.sim("invoke", {"openid": OPENID, "params": rig.pay_params(prepay_id)})
    assert cancelled == {"err_msg": "get_brand_wcpay_request:cancel"}
    rig.prepay("MAGIC00003", amount={"total": 3})
    rig.sim("orders/MAGIC00003/pay")
    rig.prepay("MAGIC00005", amount={"total": 5})
    rig.sim("orders/MAGIC00005/pay")
    assert len(rig.site.received) == 2, "the notice of 3 fen is lost, that of 5 fen comes before the answer"
    rig.prepay("MAGIC00004", amount={"total": 4})
    rig.sim("orders/MAGIC00004/pay")
    rig.site.wait_for(5)
    assert rig.prepay("MAGIC00006", amount={"total": 6}).status_code == 500
    assert rig.prepay("MAGIC00006", amount={"total": 6}).status_code == 200
    assert rig.query("MAGIC00006").json()["trade_state"] == "SUCCESS"


def test_magic_amounts_of_vouchers_and_refunds(rig: PayRig) -> None:
    rig.sim("magic", {"on": True})
    amounts = {}
    for fen in (7, 8, 9):
        number = f"MAGIC0000{fen}"
        rig.prepay(number, amount={"total": fen})
        rig.sim(f"orders/{number}/pay")
        amount = {"refund": fen, "total": fen, "currency": "CNY"}
        body = {"out_trade_no": number, "out_refund_no": f"f{fen}", "amount": amount}
        amounts[fen] = rig.call("POST", "/v3/refund/domestic/refunds", body).json()
    assert amounts[7]["amount"]["payer_total"] == 4
    assert amounts[8]["code"] == "NOT_ENOUGH"
    rig.engine.scheduler.advance(10)
    wait_until(lambda: rig.engine.scheduler.pending() == 0)
    assert rig.call("GET", "/v3/refund/domestic/refunds/f9").json()["status"] == "ABNORMAL"
