"""The daily limit stops money, never other people."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from models.errors import LimitReached
from models.order import OrderStatus
from payments import orders
from payments.services import Services
from payments.views import OrderView
from tests.builders import ACCOUNT, PAYER, RULES, World

STRANGER = "oStranger000000000000000000002"
LIMIT_FEN = 2000


def limited(world: World) -> Services:
    return replace(world.services, rules=replace(RULES, daily_limit_fen=LIMIT_FEN))


def order(world: World, openid: str, amount_fen: int, account_no: str = ACCOUNT) -> OrderView:
    return orders.start_recharge(limited(world), openid=openid, account_no=account_no, amount_fen=amount_fen)


def params(world: World, view: OrderView, openid: str) -> dict[str, str]:
    return orders.pay_params(limited(world), order_no=view.order_no, openid=openid)


def pay(world: World, view: OrderView, openid: str) -> None:
    world.confirm(view, openid=openid)


def test_unpaid_orders_of_others_stop_nobody(world: World) -> None:
    for amount_fen in (500, 400, 300, 800):
        order(world, STRANGER, amount_fen)
    view = order(world, PAYER, 500)
    assert params(world, view, PAYER)


def test_ones_own_unpaid_orders_count(world: World) -> None:
    order(world, PAYER, 1600)
    with pytest.raises(LimitReached, match="今日累计充值"):
        order(world, PAYER, 500)


def test_money_that_others_paid_into_the_account_counts(world: World) -> None:
    pay(world, order(world, STRANGER, 1600), STRANGER)
    with pytest.raises(LimitReached, match="该账号今日累计充值"):
        order(world, PAYER, 500)


@pytest.mark.parametrize("prepared_before", [True, False])
def test_an_order_that_others_overtook_is_not_offered_to_pay(world: World, prepared_before: bool) -> None:  # noqa: FBT001 - by name
    mine, theirs = order(world, PAYER, 500), order(world, STRANGER, 1600)
    if prepared_before:
        params(world, mine, PAYER)
    pay(world, theirs, STRANGER)
    with pytest.raises(LimitReached):
        params(world, mine, PAYER)


def test_yesterdays_money_does_not_count(world: World) -> None:
    pay(world, order(world, STRANGER, 1600), STRANGER)
    world.clock.forward(days=1)
    assert order(world, PAYER, 500)


def test_money_that_arrives_is_accepted_above_the_limit(world: World) -> None:
    late, theirs = order(world, PAYER, 500), order(world, STRANGER, 1600)
    pay(world, theirs, STRANGER)
    pay(world, late, PAYER)
    assert world.order(late).status == OrderStatus.PAID
    assert world.credit(late).amount_fen == 500


def test_an_order_at_the_limit_to_the_fen_is_taken(world: World) -> None:
    view: Any = order(world, PAYER, LIMIT_FEN)
    assert params(world, view, PAYER)
