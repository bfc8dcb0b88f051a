"""What WeChat says of a trade is compared with who we are; what it refuses to say ends nothing."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from app.worker import Worker
from models.errors import Mismatch, ServiceError, Unknown
from models.order import OrderStatus, PaymentAttempt
from models.outbox import OutboxStatus
from models.review import ReviewItem
from payments import settle
from payments.views import OrderView
from payments.wechatpay.errors import PayRefused
from tests.builders import World


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"app_id": "wx0000000000000009"}, "appid"),
        ({"mch_id": "1900000009"}, "mchid"),
        ({"currency": "USD"}, "currency"),
        ({"currency": ""}, "currency"),
        ({"openid": "oSomebodyElse000000000000000"}, "openid"),
        ({"openid": None}, "openid"),
        ({"amount_fen": 499}, "amount"),
        ({"amount_fen": None}, "incomplete"),
        ({"transaction_id": None}, "incomplete"),
        ({"paid_at": None}, "incomplete"),
    ],
)
def test_a_trade_that_differs_or_keeps_silent_is_a_contradiction(
    world: World, changes: dict[str, Any], what: str
) -> None:
    view = world.prepaid()
    world.pay.trades[f"{view.order_no}01"] = "SUCCESS"
    trade = world.pay.trade(f"{view.order_no}01")
    with pytest.raises(Mismatch) as caught:
        settle.record_trade(world.services, replace(trade, **changes), cause="query")
    assert caught.value.field == what
    assert world.order(view).status == OrderStatus.PREPAID
    assert settle.record_trade(world.services, trade, cause="query") is not None


def paid_by_its_second_number(world: World) -> OrderView:
    view = world.prepaid()
    number = f"{view.order_no}02"
    with world.database.transaction() as session:
        now = world.clock()
        session.add(
            PaymentAttempt(order_id=view.id, seq=2, out_trade_no=number, prepaid_at=now, created_at=now)
        )
    world.pay.trades[number], world.pay.amounts[number] = "SUCCESS", view.amount_fen
    world.clock.forward(minutes=1)
    return view


@pytest.mark.parametrize(
    "trouble", [Mismatch("amount", "r1"), Unknown("no trade"), PayRefused("PARAMERROR", "", "")]
)
def test_trouble_with_one_number_hides_no_payment_of_another(world: World, trouble: ServiceError) -> None:
    view = paid_by_its_second_number(world)
    world.pay.troubles = [trouble]
    with pytest.raises(type(trouble)):
        settle.ask(world.services, view.order_no)
    assert world.order(view).status == OrderStatus.PAID


def test_a_question_that_wechat_refuses_is_asked_again_and_one_person_is_told(world: World) -> None:
    views = [world.prepaid(500), world.prepaid(600)]
    world.clock.forward(minutes=1)
    world.pay.troubles = [PayRefused("SIGNERROR", "", "")] * 2
    worker = Worker(world.services, {"settle": settle.deliver}, wait=lambda _: None)
    assert worker.run_once() == len(views)
    for view in views:
        item = world.item("settle", view.order_no)
        assert item is not None
        assert item.status == OutboxStatus.READY
    with world.database.reading() as session:
        asked = session.scalars(select(ReviewItem)).one()
    assert asked.key == "settle:2026-03-10:SIGNERROR"
    world.pay.trades[f"{views[0].order_no}01"] = "SUCCESS"
    world.clock.forward(minutes=1)
    worker.run_once()
    assert world.order(views[0]).status == OrderStatus.PAID


@pytest.mark.parametrize("days", [-400, -2, 2, 365 * 900])
def test_an_impossible_time_of_payment_is_recorded_as_now(world: World, days: int) -> None:
    view = world.prepaid()
    world.pay.trades[f"{view.order_no}01"] = "SUCCESS"
    trade = world.pay.trade(f"{view.order_no}01")
    shifted = replace(trade, paid_at=world.clock() + timedelta(days=days))
    settle.record_trade(world.services, shifted, cause="query")
    order = world.order(view)
    assert (order.status, order.paid_at) == (OrderStatus.PAID, world.clock())
    # The same answer again is the same payment.
    settle.record_trade(world.services, shifted, cause="query")


def test_a_time_that_clocks_may_differ_by_is_recorded_as_it_is(world: World) -> None:
    view = world.prepaid()
    world.pay.trades[f"{view.order_no}01"] = "SUCCESS"
    trade = world.pay.trade(f"{view.order_no}01")
    paid_at = world.clock() + timedelta(hours=20)
    settle.record_trade(world.services, replace(trade, paid_at=paid_at), cause="query")
    assert world.order(view).paid_at == paid_at
