"""Refunds at the simulated platform: rules, answers, notices, faults, and the merchant console."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from sandbox.faults import Fault
from sandbox.pay.refunds_api import SETTLE_S
from tests.sandbox.pay_rig import PayRig, wait_until

ORDER = "R202501010001"
NUMBER = "F2025010100010001"
PATH = "/v3/refund/domestic/refunds"


@pytest.fixture
def rig() -> Iterator[PayRig]:
    with PayRig() as started:
        started.prepay(ORDER)
        started.engine.faults.add(Fault("lost", "pay.notify"))
        started.sim(f"orders/{ORDER}/pay")
        yield started


def wanted(rig: PayRig, number: str = NUMBER, fen: int = 200, **changed: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "out_trade_no": ORDER,
        "out_refund_no": number,
        "reason": "充错账号",
        "notify_url": rig.notify_url,
        "amount": {"refund": fen, "total": 500, "currency": "CNY"},
    }
    return {**body, **changed}


def refund(rig: PayRig, number: str = NUMBER, fen: int = 200, **changed: Any) -> requests.Response:
    return rig.call("POST", PATH, wanted(rig, number, fen, **changed))


def look(rig: PayRig, number: str = NUMBER) -> requests.Response:
    return rig.call("GET", f"{PATH}/{number}")


def settled(rig: PayRig, number: str = NUMBER) -> str:
    """The refund's state once the platform has done its part."""
    rig.engine.scheduler.advance(SETTLE_S)
    wait_until(lambda: look(rig, number).json()["status"] != "PROCESSING")
    return str(look(rig, number).json()["status"])


def code_of(response: requests.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


def test_an_accepted_refund_is_signed_and_under_way(rig: PayRig) -> None:
    response = refund(rig)
    assert response.status_code == 200
    assert rig.verify(response.headers, response.content)
    shown = response.json()
    assert (shown["status"], shown["out_refund_no"], shown["out_trade_no"]) == ("PROCESSING", NUMBER, ORDER)
    assert shown["transaction_id"] == rig.query(ORDER).json()["transaction_id"]
    assert {name: shown["amount"][name] for name in ("total", "refund", "currency")} == {
        "total": 500,
        "refund": 200,
        "currency": "CNY",
    }
    assert "success_time" not in shown
    assert look(rig).json() == shown


def test_it_ends_after_a_while_and_the_merchant_is_told(rig: PayRig) -> None:
    refund(rig)
    assert settled(rig) == "SUCCESS"
    rig.site.wait_for(1)
    headers, body = rig.site.received[0]
    assert rig.verify(headers, body)
    envelope, told = json.loads(body), rig.open_notification(body)
    assert (envelope["event_type"], envelope["resource"]["original_type"]) == ("REFUND.SUCCESS", "refund")
    assert told == {
        "mchid": rig.credentials.mch_id,
        "transaction_id": rig.query(ORDER).json()["transaction_id"],
        "out_trade_no": ORDER,
        "refund_id": look(rig).json()["refund_id"],
        "out_refund_no": NUMBER,
        "refund_status": "SUCCESS",
        "success_time": look(rig).json()["success_time"],
        "user_received_account": "支付用户零钱",
        "amount": {"total": 500, "refund": 200, "payer_total": 500, "payer_refund": 200},
    }


def test_a_notice_that_is_not_accepted_comes_again(rig: PayRig) -> None:
    rig.site.statuses = [500]
    refund(rig)
    rig.engine.scheduler.advance(SETTLE_S)
    rig.site.wait_for(1)
    scheduler = rig.engine.scheduler
    wait_until(lambda: len(scheduler._heap) == 1 and scheduler._running == 0)
    scheduler.advance(15)
    rig.site.wait_for(2)


def test_the_order_shows_that_it_was_refunded(rig: PayRig) -> None:
    assert rig.query(ORDER).json()["trade_state"] == "SUCCESS"
    refund(rig)
    shown = rig.query(ORDER).json()
    assert (shown["trade_state"], shown["amount"]["total"]) == ("REFUND", 500)


def test_the_same_number_is_the_same_refund(rig: PayRig) -> None:
    first = refund(rig).json()
    assert refund(rig).json() == first
    assert code_of(refund(rig, fen=201)) == (400, "INVALID_REQUEST")
    assert code_of(refund(rig, reason="别的")) == (400, "INVALID_REQUEST")
    assert settled(rig) == "SUCCESS"
    assert refund(rig).json()["status"] == "SUCCESS"


def test_a_number_that_was_never_accepted_is_not_found(rig: PayRig) -> None:
    assert code_of(look(rig)) == (404, "RESOURCE_NOT_EXISTS")
    assert code_of(refund(rig, out_trade_no="R202501019999")) == (404, "RESOURCE_NOT_EXISTS")
    assert code_of(look(rig)) == (404, "RESOURCE_NOT_EXISTS")


def test_refunds_never_exceed_the_order(rig: PayRig) -> None:
    assert code_of(refund(rig, fen=501)) == (400, "INVALID_REQUEST")
    refund(rig, fen=300)
    rig.engine.clock.advance(60)
    assert code_of(refund(rig, "F2", 201)) == (400, "INVALID_REQUEST")
    assert refund(rig, "F2", 200).status_code == 200


def test_a_closed_refund_frees_its_part_of_the_order(rig: PayRig) -> None:
    rig.engine.faults.add(Fault("refund_closed", "pay.refund"))
    refund(rig, fen=500)
    assert settled(rig) == "CLOSED"
    rig.engine.clock.advance(60)
    assert refund(rig, "F2", 500).status_code == 200


def test_refunds_of_one_order_are_a_minute_apart(rig: PayRig) -> None:
    refund(rig, fen=1)
    rig.engine.clock.advance(50)
    assert code_of(refund(rig, "F2", 1)) == (429, "FREQUENCY_LIMITED")
    rig.engine.clock.advance(10)
    assert refund(rig, "F2", 1).status_code == 200


def test_there_are_at_most_fifty_of_one_order(rig: PayRig) -> None:
    for index in range(50):
        assert refund(rig, f"F{index}", 1).status_code == 200
        rig.engine.clock.advance(60)
    assert code_of(refund(rig, "F50", 1)) == (400, "INVALID_REQUEST")


def test_after_a_year_it_is_too_late(rig: PayRig) -> None:
    rig.engine.clock.advance(366 * 86_400)
    assert code_of(refund(rig)) == (400, "INVALID_REQUEST")


def test_an_unpaid_order_has_nothing_to_refund(rig: PayRig) -> None:
    rig.prepay("R202501010002")
    assert code_of(refund(rig, out_trade_no="R202501010002")) == (400, "INVALID_REQUEST")


def test_a_refund_by_transaction_id(rig: PayRig) -> None:
    body = wanted(rig, transaction_id=rig.query(ORDER).json()["transaction_id"])
    del body["out_trade_no"]
    assert rig.call("POST", PATH, body).json()["out_trade_no"] == ORDER


@pytest.mark.parametrize(
    "changed",
    [
        {"out_refund_no": "F#1"},
        {"out_refund_no": "F" * 65},
        {"out_refund_no": None},
        {"reason": "长" * 81},
        {"notify_url": "https://site.example/refund?x=1"},
        {"notify_url": "http://site.example/refund"},
        {"amount": {"refund": 0, "total": 500, "currency": "CNY"}},
        {"amount": {"refund": 2.0, "total": 500, "currency": "CNY"}},
        {"amount": {"refund": True, "total": 500, "currency": "CNY"}},
        {"amount": {"refund": 200, "total": 500, "currency": "USD"}},
        {"amount": {"refund": 200, "total": 500}},
        {"amount": {"refund": 200, "currency": "CNY"}},
        {"amount": 200},
        {"mystery": 1},
    ],
)
def test_what_the_document_does_not_allow_is_refused(rig: PayRig, changed: dict[str, Any]) -> None:
    assert code_of(rig.call("POST", PATH, {**wanted(rig), **changed})) == (400, "PARAM_ERROR")


def test_the_total_must_be_that_of_the_order(rig: PayRig) -> None:
    amount = {"refund": 200, "total": 501, "currency": "CNY"}
    assert code_of(refund(rig, amount=amount)) == (400, "INVALID_REQUEST")


def test_requests_are_verified_and_verbs_checked(rig: PayRig) -> None:
    forged = rig.call("POST", PATH, wanted(rig), signature="AAAA")
    assert code_of(forged) == (401, "SIGN_ERROR")
    assert rig.call("GET", PATH).status_code == 405


@pytest.mark.parametrize(
    ("name", "status", "code", "accepted"),
    [
        ("not_enough", 403, "NOT_ENOUGH", False),
        ("account_abnormal", 403, "USER_ACCOUNT_ABNORMAL", False),
        ("rate_429", 429, "FREQUENCY_LIMITED", False),
        ("rate_429_after", 429, "FREQUENCY_LIMITED", True),
        ("error_500", 500, "SYSTEM_ERROR", False),
        ("error_500_after", 500, "SYSTEM_ERROR", True),
    ],
)
def test_a_refusal_with_and_without_effect(
    rig: PayRig, name: str, status: int, code: str, *, accepted: bool
) -> None:
    rig.engine.faults.add(Fault(name, "pay.refund"))
    assert code_of(refund(rig)) == (status, code)
    assert (look(rig).status_code == 200) is accepted
    assert refund(rig).status_code == 200


def test_accepted_for_later_means_nothing_yet(rig: PayRig) -> None:
    rig.engine.faults.add(Fault("answer_202", "pay.refund"))
    assert refund(rig).status_code == 202
    assert look(rig).status_code == 404


@pytest.mark.parametrize(
    ("name", "args", "accepted"),
    [
        ("effect_then_timeout", {"seconds": 0.2}, True),
        ("timeout", {"seconds": 0.2}, False),
        ("reset", {}, False),
    ],
)
def test_a_refund_without_answer(rig: PayRig, name: str, args: dict[str, float], *, accepted: bool) -> None:
    rig.engine.faults.add(Fault(name, "pay.refund", args=args))
    with pytest.raises(requests.ConnectionError):
        refund(rig)
    assert (look(rig).status_code == 200) is accepted


@pytest.mark.parametrize(("name", "end"), [("refund_abnormal", "ABNORMAL"), ("refund_closed", "CLOSED")])
def test_a_refund_that_does_not_arrive(rig: PayRig, name: str, end: str) -> None:
    rig.engine.faults.add(Fault(name, "pay.refund"))
    refund(rig)
    assert settled(rig) == end
    rig.site.wait_for(1)
    body = rig.site.received[0][1]
    assert json.loads(body)["event_type"] == f"REFUND.{end}"
    assert "success_time" not in rig.open_notification(body)


def test_an_abnormal_refund_is_finished_by_hand(rig: PayRig) -> None:
    rig.engine.faults.add(Fault("refund_abnormal", "pay.refund"))
    refund(rig)
    settled(rig)
    assert rig.sim(f"refunds/{NUMBER}/settle", {"status": "SUCCESS"})["status"] == "SUCCESS"
    rig.site.wait_for(2)
    assert "error" in rig.sim(f"refunds/{NUMBER}/settle", {"status": "CLOSED"})


def test_a_stuck_refund_waits_for_a_hand(rig: PayRig) -> None:
    rig.engine.faults.add(Fault("refund_stuck", "pay.refund"))
    refund(rig)
    assert rig.engine.scheduler.pending() == 0
    assert "error" in rig.sim(f"refunds/{NUMBER}/notify")


def test_a_lost_notice_can_be_told_again(rig: PayRig) -> None:
    rig.engine.faults.add(Fault("lost", "pay.refund_notify"))
    refund(rig)
    settled(rig)
    assert rig.site.received == []
    assert rig.sim(f"refunds/{NUMBER}/notify", {"times": 2})["statuses"] == [204, 204]


def test_a_refund_in_the_console_is_seen_by_whoever_asks(rig: PayRig) -> None:
    made = rig.sim("refunds", {"out_trade_no": ORDER, "amount_fen": 500})
    assert (made["external"], made["amount_fen"]) == (True, 500)
    number = made["out_refund_no"]
    assert settled(rig, number) == "SUCCESS"
    assert rig.query(ORDER).json()["trade_state"] == "REFUND"
    assert rig.site.received == []
    rig.engine.clock.advance(60)
    assert code_of(refund(rig, fen=1)) == (400, "INVALID_REQUEST")


def test_the_console_may_tell(rig: PayRig) -> None:
    made = rig.sim("refunds", {"out_trade_no": ORDER, "amount_fen": 100, "tell": True, "at_once": True})
    assert made["status"] == "SUCCESS"
    rig.site.wait_for(1)
    assert rig.open_notification(rig.site.received[0][1])["out_refund_no"] == made["out_refund_no"]


def test_reset_forgets_refunds(rig: PayRig) -> None:
    refund(rig)
    rig.platform.reset()
    assert look(rig).status_code == 404
