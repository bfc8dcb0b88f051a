from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from models.errors import Mismatch, ServiceError, Unavailable, Unknown
from payments.views import OrderView
from payments.wechatpay.errors import PayRefused
from tests.web.conftest import csrf_in
from tests.web.world import OTHER, OWN, STRANGER, World

JSON = {"Accept": "application/json"}


def check(client: FlaskClient, order: OrderView) -> str:
    path = f"/h5/orders/{order.order_no}"
    token = csrf_in(client.get(path).text)
    answer = client.post(f"{path}/check", data={"csrf_token": token}, follow_redirects=True)
    return answer.text


def test_each_step_has_its_words(world: World, reader: FlaskClient) -> None:
    order = world.order()
    path = f"/h5/orders/{order.order_no}"
    assert "待支付" in reader.get(path).text
    assert "正在确认支付结果" in reader.get(f"{path}?paid=1").text
    world.pay_order(order)
    paid = reader.get(path).text
    assert "支付成功，正在到账" in paid
    assert "不用重复支付" in paid
    assert f'href="/h5/pay/{order.order_no}"' not in paid
    world.credit_order(order)
    assert "充值成功" in reader.get(path).text


def test_a_stuck_payment_says_that_people_work_on_it(world: World, reader: FlaskClient) -> None:
    order = world.order()
    world.pay_order(order)
    world.stick_order(order)
    html = reader.get(f"/h5/orders/{order.order_no}").text
    assert "人工处理中" in html
    assert "0773-2290739" in html


def test_a_balance_is_shown_to_the_owner_and_to_nobody_else(world: World, reader: FlaskClient) -> None:
    world.bind(OWN)
    own, other = world.order(account_no=OWN), world.order(account_no=OTHER)
    for order in (own, other):
        world.pay_order(order)
        world.credit_order(order)
    assert "¥17.34" in reader.get(f"/h5/orders/{own.order_no}").text
    shown = reader.get(f"/h5/orders/{other.order_no}")
    assert "充值后余额" not in shown.text
    assert "992.65" not in shown.text
    state = reader.get(f"/h5/orders/{other.order_no}/state", headers=JSON)
    assert "992.65" not in state.text


@pytest.mark.parametrize("path", ["/h5/orders/{}", "/h5/orders/{}/state", "/h5/pay/{}"])
def test_another_readers_order_does_not_exist(world: World, path: str) -> None:
    order = world.order()
    answer = world.reader(STRANGER).get(path.format(order.order_no))
    assert answer.status_code == 404
    assert order.account_no not in answer.text


def test_an_order_past_paying_cannot_be_reviewed_for_paying(world: World, reader: FlaskClient) -> None:
    order = world.order()
    world.clock.pass_by(1801)
    answer = reader.get(f"/h5/pay/{order.order_no}")
    assert answer.headers["Location"] == f"/h5/orders/{order.order_no}"
    assert "订单已过期" in reader.get(answer.headers["Location"]).text


def test_the_payment_parameters_come_as_json(world: World, reader: FlaskClient) -> None:
    order = world.order()
    token = csrf_in(reader.get(f"/h5/pay/{order.order_no}").text)
    answer = reader.post(f"/h5/pay/{order.order_no}/params", headers={"X-CSRFToken": token, **JSON})
    assert answer.json == {"appId": "wxapp", "package": "prepay_id=wx-prepay-1", "paySign": "signed"}


def test_a_paid_order_gives_no_parameters(world: World, reader: FlaskClient) -> None:
    order = world.order()
    token = csrf_in(reader.get(f"/h5/pay/{order.order_no}").text)
    world.pay_order(order)
    answer = reader.post(f"/h5/pay/{order.order_no}/params", headers={"X-CSRFToken": token, **JSON})
    assert answer.status_code == 409
    assert answer.json is not None
    assert "请勿重复支付" in answer.json["message"]


def test_not_arrived_asks_wechat_and_finds_the_payment(world: World, reader: FlaskClient) -> None:
    order = world.order()
    assert "还没有付款记录" in check(reader, order)
    world.trade(order)
    assert "款项已收到，正在入账" in check(reader, order)


def test_not_arrived_can_be_asked_six_times_a_minute(world: World, reader: FlaskClient) -> None:
    order = world.order()
    for _ in range(6):
        check(reader, order)
    assert "E-LIMIT" in check(reader, order)


def test_waiting_asks_wechat_at_three_and_ten_seconds_and_at_no_other_time(
    world: World, reader: FlaskClient
) -> None:
    order = world.order()
    asked = []
    for waited_s in (0, 1, 2, 3, 4, 6, 9, 10, 11, 15, 25, 60):
        reader.get(f"/h5/orders/{order.order_no}/state?paid=1&waited_s={waited_s}", headers=JSON)
        asked.append(len(world.pay.asked))
    assert asked == [0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 2]


def test_waiting_without_having_paid_asks_nobody(world: World, reader: FlaskClient) -> None:
    order = world.order()
    answer = reader.get(f"/h5/orders/{order.order_no}/state", headers=JSON)
    assert answer.json is not None
    assert answer.json["step"] == "unpaid"
    assert world.pay.asked == []


@pytest.mark.parametrize(
    "error",
    [Unavailable("no answer"), Unknown("late"), PayRefused("SIGNERROR", "", ""), Mismatch("amount", "r1")],
)
def test_waiting_goes_on_whatever_is_the_matter_with_wechats_answer(
    world: World, reader: FlaskClient, monkeypatch: pytest.MonkeyPatch, error: ServiceError
) -> None:
    order = world.order()

    def away(_: str) -> None:
        raise error

    monkeypatch.setattr(world.pay, "query", away)
    answer = reader.get(f"/h5/orders/{order.order_no}/state?paid=1&waited_s=3", headers=JSON)
    assert answer.status_code == 200
    assert answer.json is not None
    assert answer.json["step"] == "unpaid"


def test_waiting_finds_a_payment_whose_notice_was_lost(world: World, reader: FlaskClient) -> None:
    order = world.order()
    world.trade(order)
    answer = reader.get(f"/h5/orders/{order.order_no}/state?paid=1&waited_s=3", headers=JSON)
    assert answer.json is not None
    assert answer.json["step"] == "crediting"
    assert "支付成功" in answer.json["html"]


def test_giving_up_closes_the_order(world: World, reader: FlaskClient) -> None:
    order = world.order()
    token = csrf_in(reader.get(f"/h5/pay/{order.order_no}").text)
    answer = reader.post(
        f"/h5/pay/{order.order_no}/cancel", data={"csrf_token": token}, follow_redirects=True
    )
    assert "订单已关闭" in answer.text


def test_the_list_is_paged_without_gaps_or_repeats(world: World, reader: FlaskClient) -> None:
    placed = [world.order(amount_fen=100 * n) for n in range(1, 46)]
    seen: list[str] = []
    path: str | None = "/h5/orders"
    while path:
        html = reader.get(path).text
        rows = [order for order in placed if f"/h5/orders/{order.order_no}" in html]
        seen += [order.order_no for order in sorted(rows, key=lambda order: -order.id)]
        path = f"/h5/orders?before={rows[0].id}" if "更早的记录" in html else None
    assert seen == [order.order_no for order in reversed(placed)]


def test_an_empty_list_says_so(reader: FlaskClient) -> None:
    assert "还没有充值记录" in reader.get("/h5/orders").text
