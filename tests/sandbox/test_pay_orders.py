"""The life of an order: placed, placed again, paid, closed, over; and the payer's sheet."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from sandbox.pay import PaidOrder
from sandbox.pay.orders import beijing
from tests.sandbox.pay_rig import OPENID, OTHER_OPENID, PayRig

NUMBER = "R202501010001"


@pytest.fixture
def rig() -> Iterator[PayRig]:
    with PayRig() as started:
        yield started


def sheet(rig: PayRig, prepay_id: str, openid: str = OPENID, **changed: str) -> dict[str, Any]:
    return rig.sim("invoke", {"openid": openid, "params": rig.pay_params(prepay_id, **changed)})


def test_the_same_request_again_gets_a_fresh_prepay_id(rig: PayRig) -> None:
    first, second = rig.prepay().json()["prepay_id"], rig.prepay().json()["prepay_id"]
    assert first.startswith("wx")
    assert first != second
    assert "pay_token" in sheet(rig, first)
    assert "pay_token" in sheet(rig, second)


@pytest.mark.parametrize(
    "changed",
    [
        {"amount": {"total": 501}},
        {"description": "别的"},
        {"attach": "x"},
        {"payer": {"openid": OTHER_OPENID}},
    ],
)
def test_a_changed_request_under_the_same_number_is_refused(rig: PayRig, changed: dict[str, Any]) -> None:
    rig.prepay()
    response = rig.prepay(**changed)
    assert (response.status_code, response.json()["code"]) == (400, "INVALID_REQUEST")
    assert response.json()["message"] == "请求重入时，参数与首次请求时不一致"
    assert response.headers["Request-ID"].endswith("-268498688")


def test_a_paid_order_is_neither_placed_nor_closed_again(rig: PayRig) -> None:
    rig.prepay()
    rig.sim(f"orders/{NUMBER}/pay")
    for response in (rig.prepay(), rig.close()):
        assert (response.status_code, response.json()["code"]) == (400, "ORDERPAID")


def test_a_closed_order_stays_closed(rig: PayRig) -> None:
    prepay_id = rig.prepay().json()["prepay_id"]
    assert [rig.close().status_code for _ in range(2)] == [204, 204]
    assert rig.query().json()["trade_state"] == "CLOSED"
    assert rig.prepay().json()["code"] == "ORDER_CLOSED"
    assert "已关闭" in sheet(rig, prepay_id)["reason"]


def test_closing_a_number_that_was_never_placed_burns_it(rig: PayRig) -> None:
    assert rig.close("NEVER00001").status_code == 204
    assert rig.prepay("NEVER00001").json()["code"] == "ORDER_CLOSED"
    assert rig.query("NEVER00001").json()["code"] == "ORDER_NOT_EXIST"


def test_an_unpaid_order_shows_no_payment(rig: PayRig) -> None:
    rig.prepay()
    assert rig.query().json() == {
        "appid": rig.credentials.app_id,
        "mchid": rig.credentials.mch_id,
        "out_trade_no": NUMBER,
        "trade_state": "NOTPAY",
        "trade_state_desc": "订单未支付",
    }


def test_a_paid_order_is_found_by_both_numbers(rig: PayRig) -> None:
    rig.prepay(attach="a=1")
    rig.sim(f"orders/{NUMBER}/pay")
    shown = rig.query().json()
    assert shown["trade_state"] == "SUCCESS"
    assert shown["trade_type"] == "JSAPI"
    assert shown["attach"] == "a=1"
    assert shown["payer"] == {"openid": OPENID}
    assert shown["amount"] == {"total": 500, "payer_total": 500, "currency": "CNY", "payer_currency": "CNY"}
    assert shown["success_time"].endswith("+08:00")
    target = f"/v3/pay/transactions/id/{shown['transaction_id']}?mchid={rig.credentials.mch_id}"
    assert rig.call("GET", target).json() == shown
    assert rig.call("GET", target.replace("/id/4", "/id/5")).status_code == 404


def test_six_digits_pay_and_the_sheet_works_once(rig: PayRig) -> None:
    paid: list[tuple[str, PaidOrder]] = []
    rig.platform.on_paid = lambda openid, order: paid.append((openid, order))
    opened = sheet(rig, rig.prepay().json()["prepay_id"])
    assert (opened["amount_fen"], opened["description"]) == (500, "校园网充值")
    done = rig.sim("confirm", {"pay_token": opened["pay_token"], "password": "123456"})
    assert done["err_msg"] == "get_brand_wcpay_request:ok"
    ((openid, order),) = paid
    assert (openid, order.amount_fen, order.transaction_id) == (OPENID, 500, done["transaction_id"])
    again = rig.sim("confirm", {"pay_token": opened["pay_token"], "password": "123456"})
    assert again["err_msg"] == "get_brand_wcpay_request:fail"


def test_two_sheets_of_one_order_pay_once(rig: PayRig) -> None:
    prepay_id = rig.prepay().json()["prepay_id"]
    tokens = [sheet(rig, prepay_id)["pay_token"] for _ in range(8)]
    answers: list[str] = []
    threads = [
        threading.Thread(
            target=lambda token=token: answers.append(rig.sim("confirm", {"pay_token": token})["err_msg"])
        )
        for token in tokens
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answer.rpartition(":")[2] for answer in answers) == ["fail"] * 7 + ["ok"]


@pytest.mark.parametrize("password", ["12345", "1234567", "abcdef", ""])
def test_a_password_of_another_shape_keeps_the_sheet(rig: PayRig, password: str) -> None:
    token = sheet(rig, rig.prepay().json()["prepay_id"])["pay_token"]
    assert rig.sim("confirm", {"pay_token": token, "password": password})["err_msg"].endswith(":fail")
    assert rig.sim("confirm", {"pay_token": token, "password": "000000"})["err_msg"].endswith(":ok")


def test_a_cancelled_sheet_leaves_the_order_payable(rig: PayRig) -> None:
    prepay_id = rig.prepay().json()["prepay_id"]
    token = sheet(rig, prepay_id)["pay_token"]
    assert rig.sim("cancel", {"pay_token": token})["err_msg"] == "get_brand_wcpay_request:cancel"
    assert rig.sim("confirm", {"pay_token": token})["err_msg"].endswith(":fail")
    assert "pay_token" in sheet(rig, prepay_id)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"paySign": "AAAA"}, "签名"),
        ({"nonceStr": "changed"}, "签名"),
        ({"signType": "MD5"}, "signType"),
        ({"appId": "wx0"}, "appId"),
        ({"package": "wx1"}, "package"),
        ({"timeStamp": ""}, "timeStamp"),
    ],
)
def test_wrong_parameters_open_no_sheet(rig: PayRig, changed: dict[str, str], reason: str) -> None:
    answer = sheet(rig, rig.prepay().json()["prepay_id"], **changed)
    assert answer["err_msg"] == "get_brand_wcpay_request:fail"
    assert reason in answer["reason"]


def test_a_timestamp_given_as_number_opens_no_sheet(rig: PayRig) -> None:
    params: dict[str, Any] = rig.pay_params(rig.prepay().json()["prepay_id"])
    params["timeStamp"] = int(params["timeStamp"])
    assert "timeStamp" in rig.sim("invoke", {"openid": OPENID, "params": params})["reason"]


def test_somebody_else_cannot_pay_the_order(rig: PayRig) -> None:
    assert "openid" in sheet(rig, rig.prepay().json()["prepay_id"], OTHER_OPENID)["reason"]
    assert "openid" in rig.sim(f"orders/{NUMBER}/pay", {"openid": OTHER_OPENID})["error"]


def test_a_prepay_id_lives_two_hours(rig: PayRig) -> None:
    prepay_id = rig.prepay().json()["prepay_id"]
    rig.engine.scheduler.advance(7190)
    assert "pay_token" in sheet(rig, prepay_id)
    rig.engine.scheduler.advance(20)
    assert "prepay_id" in sheet(rig, prepay_id)["reason"]
    assert "pay_token" in sheet(rig, rig.prepay().json()["prepay_id"])


def test_an_order_is_payable_for_seven_days(rig: PayRig) -> None:
    rig.prepay()
    rig.engine.scheduler.advance(7 * 86_400 + 1)
    assert "结束时间" in rig.sim(f"orders/{NUMBER}/pay")["error"]
    assert rig.query().json()["trade_state"] == "NOTPAY"
    assert rig.prepay().json()["code"] == "INVALID_REQUEST"


def test_time_expire_ends_payability_but_does_not_close(rig: PayRig) -> None:
    moment = beijing(rig.engine.clock.now() + timedelta(minutes=10))
    prepay_id = rig.prepay(time_expire=moment).json()["prepay_id"]
    rig.engine.scheduler.advance(605)
    assert "结束时间" in sheet(rig, prepay_id)["reason"]
    assert rig.query().json()["trade_state"] == "NOTPAY"
    assert rig.close().status_code == 204


def test_a_time_expire_that_is_too_early_becomes_one_minute(rig: PayRig) -> None:
    moment = beijing(rig.engine.clock.now() - timedelta(days=1))
    prepay_id = rig.prepay(time_expire=moment).json()["prepay_id"]
    assert "pay_token" in sheet(rig, prepay_id)
    rig.engine.scheduler.advance(61)
    assert "结束时间" in sheet(rig, prepay_id)["reason"]


def test_a_site_on_its_own_clock_is_understood_after_the_sandbox_s_has_moved() -> None:
    with PayRig(shared_clock=False) as rig:
        rig.engine.scheduler.advance(86_400)
        now = datetime.now(UTC)
        prepay_id = rig.prepay(time_expire=beijing(now + timedelta(minutes=10))).json()["prepay_id"]
        rig.engine.scheduler.advance(300)
        assert "pay_token" in sheet(rig, prepay_id)
        rig.sim(f"orders/{NUMBER}/pay")
        paid_at = datetime.fromisoformat(rig.query().json()["success_time"])
        assert abs(paid_at - now) < timedelta(minutes=2)
        rig.site.wait_for(1)
        headers, body = rig.site.received[0]
        assert rig.verify(headers, body)
        assert abs(int(headers["Wechatpay-Timestamp"]) - now.timestamp()) < 120


def test_force_pays_after_the_close_as_a_late_payer_does(rig: PayRig) -> None:
    rig.prepay()
    rig.close()
    assert rig.sim(f"orders/{NUMBER}/pay", {"force": True})["state"] == "SUCCESS"
    rig.site.wait_for(1)
    assert rig.query().json()["trade_state"] == "SUCCESS"
    assert "error" in rig.sim(f"orders/{NUMBER}/pay", {"force": True})


def test_the_sim_lists_orders_and_knows_what_is_missing(rig: PayRig) -> None:
    rig.prepay("LIST000001")
    listed = rig.http.get(f"{rig.url}/sim/pay/orders", timeout=5).json()["orders"]
    assert [order["out_trade_no"] for order in listed] == ["LIST000001"]
    assert rig.http.get(f"{rig.url}/sim/pay/orders/LIST000001", timeout=5).json() == listed[0]
    assert rig.http.get(f"{rig.url}/sim/pay/orders/OTHER00001", timeout=5).status_code == 404
    assert "error" in rig.sim("orders/LIST000001/notify")
    assert "error" in rig.sim("mode", {"mode": "none"})


def test_reset_forgets_orders_and_modes(rig: PayRig) -> None:
    rig.prepay()
    rig.sim("mode", {"mode": "mixed"})
    rig.sim("magic", {"on": True})
    rig.platform.reset()
    assert rig.query().json()["code"] == "ORDER_NOT_EXIST"
    assert rig.http.get(f"{rig.url}/sim/pay/mode", timeout=5).json() == {"mode": "public_key"}
    assert rig.http.get(f"{rig.url}/sim/pay/magic", timeout=5).json() == {"on": False}
