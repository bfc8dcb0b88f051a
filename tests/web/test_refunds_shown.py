"""Refunds where the payer looks: the order, its live part and the list."""

from __future__ import annotations

from typing import Any

from flask.testing import FlaskClient
from sqlalchemy import event

from app.listing import list_orders
from models.refund import RefundStatus
from payments import orders
from payments.views import OrderView
from tests.money_back import ask_back, hear, send_back
from tests.web.world import OPENID, World


def credited(world: World, amount_fen: int = 500) -> OrderView:
    order = world.order(amount_fen=amount_fen)
    world.pay_order(order)
    world.credit_order(order)
    return order


def shown(reader: FlaskClient, order: OrderView) -> tuple[str, str]:
    """The order's page and the list."""
    return reader.get(f"/h5/orders/{order.order_no}").text, reader.get("/h5/orders").text


def test_what_nobody_has_agreed_to_is_not_promised(world: World, reader: FlaskClient) -> None:
    order = credited(world)
    ask_back(world.services, order.order_no, 200)
    for html in shown(reader, order):
        assert "退款" not in html


def test_a_part_is_on_its_way_and_then_back(world: World, reader: FlaskClient) -> None:
    order = credited(world)
    number = send_back(world.services, order.order_no, 200)
    page, listed = shown(reader, order)
    assert "充值成功" in page
    for html in (page, listed):
        assert "退款中 ¥2.00" in html
        assert "已退款" not in html
    hear(world.services, number, RefundStatus.SUCCESS)
    for html in shown(reader, order):
        assert "已退款 ¥2.00" in html
        assert "退款中" not in html


def test_several_refunds_are_added_up(world: World, reader: FlaskClient) -> None:
    order = credited(world)
    for _ in range(2):
        hear(world.services, send_back(world.services, order.order_no, 100), RefundStatus.SUCCESS)
        world.clock.pass_by(61)
    send_back(world.services, order.order_no, 150)
    for html in shown(reader, order):
        assert "退款中 ¥1.50，已退款 ¥2.00" in html


def test_a_bank_that_refuses_leaves_the_money_on_its_way(world: World, reader: FlaskClient) -> None:
    order = credited(world)
    number = send_back(world.services, order.order_no, 200)
    hear(world.services, number, RefundStatus.ABNORMAL)
    assert "退款中 ¥2.00" in shown(reader, order)[0]


def test_a_refund_that_wechat_closed_is_not_shown(world: World, reader: FlaskClient) -> None:
    order = credited(world)
    hear(world.services, send_back(world.services, order.order_no, 200), RefundStatus.CLOSED)
    for html in shown(reader, order):
        assert "退款" not in html


def test_money_that_never_reached_the_account_goes_back(world: World, reader: FlaskClient) -> None:
    order = world.order()
    world.pay_order(order)
    number = send_back(world.services, order.order_no, 500)
    page, listed = shown(reader, order)
    assert "退款中 ¥5.00" in page
    assert "人工处理中" not in page
    assert "没到账" not in page
    assert "badge-refunding" in listed
    state = reader.get(f"/h5/orders/{order.order_no}/state").json
    assert state is not None
    assert (state["step"], state["title"], state["settled"]) == ("refunding", "退款中", True)
    hear(world.services, number, RefundStatus.SUCCESS)
    page, listed = shown(reader, order)
    assert "已退款 ¥5.00" in page
    assert "退款中" not in page
    assert "badge-refunded" in listed
    assert list_orders(world.database, 5)[0].endswith("  refunded")


def test_money_that_went_neither_way_is_with_people(world: World, reader: FlaskClient) -> None:
    order = world.order()
    world.pay_order(order)
    hear(world.services, send_back(world.services, order.order_no, 500), RefundStatus.CLOSED)
    assert "人工处理中" in shown(reader, order)[0]


def test_refunds_of_a_page_are_one_query(world: World) -> None:
    placed = [credited(world, 100 * number) for number in range(1, 7)]
    for order in placed:
        send_back(world.services, order.order_no, 50)
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        seen.append(statement)

    event.listen(world.database.engine, "before_cursor_execute", note)
    try:
        views = orders.history(world.services, openid=OPENID)
    finally:
        event.remove(world.database.engine, "before_cursor_execute", note)
    assert [view.back.under_way_fen for view in views] == [50] * 6
    assert sum("FROM refund" in statement for statement in seen) == 1
