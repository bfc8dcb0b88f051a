"""Orders before, while and after they are paid, on the scripted outsides."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, select

from models.errors import (
    AmountOutOfRange,
    Conflict,
    IllegalTransition,
    LimitReached,
    Mismatch,
    NoSuchOrder,
    Unavailable,
    Unknown,
)
from models.journal import JournalRow
from models.order import Credit, Order, OrderAction, OrderEvent, OrderStatus, PaymentFact
from models.review import ReviewItem, ReviewKind
from payments import orders, settle
from payments.outcome import Done, Later
from payments.views import OrderView, Step, steps
from payments.wechatpay.client import Trade
from payments.wechatpay.errors import OrderClosed, PayRefused, TradeNotFound
from tests.builders import ACCOUNT, NOON, PAYER, World


def settle_once(world: World, view: OrderView) -> object:
    (held,) = [item for item in world.claim("settle") if item.key == view.order_no]
    return settle.deliver(world.services, held)


def test_the_order_is_committed_before_wechat_hears_of_it(world: World) -> None:
    world.pay.troubles = [Unknown("timeout")]
    view = world.start()
    with pytest.raises(Unknown):
        orders.pay_params(world.services, order_no=view.order_no, openid=PAYER)
    assert world.order(view).status == OrderStatus.CREATED
    assert orders.pay_params(world.services, order_no=view.order_no, openid=PAYER)
    assert world.order(view).status == OrderStatus.PREPAID


def test_the_same_wish_finds_the_open_order(world: World) -> None:
    assert world.start().order_no == world.start().order_no
    assert world.start(600).order_no != world.start().order_no


def test_an_order_about_to_expire_is_not_offered_again(world: World) -> None:
    first = world.start()
    world.clock.forward(minutes=29)
    second = world.start()
    assert first.order_no != second.order_no
    assert second.payable


@pytest.mark.parametrize("amount_fen", [0, 99, 50_100, 550])
def test_an_amount_outside_the_rules_makes_no_order(world: World, amount_fen: int) -> None:
    with pytest.raises(AmountOutOfRange):
        world.start(amount_fen)
    with world.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Order)) == 0


def test_the_daily_limit_counts_what_was_paid_today(world: World) -> None:
    for _ in range(4):
        world.paid(50_000)
        world.clock.forward(minutes=30)
    with pytest.raises(LimitReached):
        world.start(100)
    world.clock.forward(days=1)
    assert world.start(100)


def test_the_daily_limit_counts_what_may_still_be_paid(world: World) -> None:
    for amount_fen in (50_000, 49_900, 49_800, 49_700):
        world.start(amount_fen)
    with pytest.raises(LimitReached):
        world.start(700)
    assert world.start(600)
    world.clock.forward(minutes=31)
    assert world.start(50_000)


def test_the_daily_limit_holds_for_the_account_whoever_pays(world: World) -> None:
    for _ in range(4):
        world.paid(50_000)
        world.clock.forward(minutes=1)
    with pytest.raises(LimitReached, match="该账号"):
        orders.start_recharge(world.services, openid="oSomebodyElse", account_no=ACCOUNT, amount_fen=100)


def test_an_order_of_yesterday_that_is_paid_today_counts_today(world: World) -> None:
    world.clock.now = NOON.replace(hour=15, minute=50)
    view = world.prepaid(50_000)
    world.clock.forward(minutes=20)
    world.confirm(view, paid_at=world.clock.now)
    for _ in range(3):
        world.paid(50_000)
        world.clock.forward(minutes=1)
    with pytest.raises(LimitReached):
        world.start(100)


def test_another_persons_order_does_not_exist(world: World) -> None:
    view = world.start()
    for ask in (orders.look, orders.check_now, orders.cancel, orders.pay_params):
        with pytest.raises(NoSuchOrder):
            ask(world.services, order_no=view.order_no, openid="oSomebodyElse")


def test_a_paid_order_cannot_be_paid_again(world: World) -> None:
    view = world.paid()
    with pytest.raises(IllegalTransition):
        orders.pay_params(world.services, order_no=view.order_no, openid=PAYER)


def test_an_order_closed_at_wechat_gets_a_new_number(world: World) -> None:
    view = world.start()
    world.pay.troubles = [OrderClosed("ORDERCLOSED", "", "")]
    params = orders.pay_params(world.services, order_no=view.order_no, openid=PAYER)
    assert params["package"].endswith(f"{view.order_no}02")


def test_a_second_notice_changes_nothing(world: World) -> None:
    view = world.paid()
    world.confirm(view)
    with world.database.reading() as session:
        counts = [session.scalar(select(func.count()).select_from(t)) for t in (Credit, PaymentFact)]
        assert counts == [1, 1]
        assert session.scalars(select(JournalRow.what)).all() == ["paid"]


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"amount_fen": 501}, "amount"),
        ({"currency": "USD"}, "currency"),
        ({"openid": "oThief"}, "openid"),
        ({"out_trade_no": "nobody01"}, "out_trade_no"),
    ],
)
def test_a_fact_that_contradicts_the_order_credits_nothing(
    world: World, changes: dict[str, object], what: str
) -> None:
    view = world.prepaid()
    with pytest.raises(Mismatch) as caught:
        world.confirm(view, **changes)
    assert caught.value.field == what
    assert world.order(view).status == OrderStatus.PREPAID


def test_the_same_number_with_another_transaction_is_a_contradiction(world: World) -> None:
    view = world.paid()
    with pytest.raises(Mismatch):
        world.confirm(view, transaction_id="42other")


def test_an_order_paid_twice_keeps_both_facts_and_asks_a_person(world: World) -> None:
    view = world.start()
    world.pay.troubles = [OrderClosed("ORDERCLOSED", "", "")]
    orders.pay_params(world.services, order_no=view.order_no, openid=PAYER)
    world.pay.trades[f"{view.order_no}01"] = "SUCCESS"
    world.confirm(view)
    world.confirm(view, out_trade_no=f"{view.order_no}02", transaction_id="42second")
    with world.database.reading() as session:
        assert session.scalar(select(func.sum(PaymentFact.amount_fen))) == 1000
        assert session.scalar(select(func.count()).select_from(Credit)) == 1
        assert session.scalars(select(ReviewItem.kind)).all() == [ReviewKind.SECOND_PAYMENT]


def test_silence_is_asked_about_on_schedule_and_a_payment_found(world: World) -> None:
    view = world.prepaid()
    world.clock.forward(seconds=10)
    assert settle_once(world, view) == Later(NOON + timedelta(seconds=30))
    world.pay.trades[f"{view.order_no}01"] = "SUCCESS"
    world.clock.forward(seconds=31)
    assert settle_once(world, view) == Done()
    assert world.order(view).status == OrderStatus.PAID


def test_the_end_is_query_close_query(world: World) -> None:
    view = world.prepaid()
    world.clock.forward(minutes=31)
    world.pay.calls.clear()
    assert settle_once(world, view) == Done()
    assert world.pay.calls == ["query", "close", "query"]
    assert world.order(view).status == OrderStatus.EXPIRED


def test_a_payment_in_the_moment_of_closing_wins(world: World) -> None:
    view = world.prepaid()
    world.clock.forward(minutes=31)
    world.pay.pay_before_close = True
    settle_once(world, view)
    assert world.order(view).status == OrderStatus.PAID


def test_an_order_wechat_never_saw_is_not_closed_there(world: World) -> None:
    view = world.start()
    world.clock.forward(minutes=31)
    settle_once(world, view)
    assert "close" not in world.pay.calls
    assert world.order(view).status == OrderStatus.EXPIRED


def test_without_wechats_word_an_order_does_not_end(world: World) -> None:
    view = world.prepaid()
    world.clock.forward(minutes=31)
    world.pay.troubles = [Unavailable("down")]
    with pytest.raises(Unavailable):
        settle_once(world, view)
    assert world.order(view).status == OrderStatus.PREPAID


@pytest.mark.parametrize("end", [OrderAction.CLOSE, OrderAction.EXPIRE])
def test_a_late_payment_is_accepted_and_marked(world: World, end: OrderAction) -> None:
    view = world.prepaid()
    settle.end(world.services, view.order_no, end, cause="test")
    world.confirm(view)
    order = world.order(view)
    assert (order.status, order.late) == (OrderStatus.PAID, True)


def test_giving_up_closes_the_order_at_wechat(world: World) -> None:
    view = world.prepaid()
    assert orders.cancel(world.services, order_no=view.order_no, openid=PAYER).step is Step.CLOSED
    assert world.pay.trades[f"{view.order_no}01"] == "CLOSED"


def test_each_state_leaves_one_event(world: World) -> None:
    view = world.paid()
    with world.database.reading() as session:
        path = session.scalars(
            select(OrderEvent.status).where(OrderEvent.order_id == view.id).order_by(OrderEvent.id)
        ).all()
    assert path == [OrderStatus.CREATED, OrderStatus.PREPAID, OrderStatus.PAID]


def test_the_progress_bar_follows_the_money(world: World) -> None:
    view = world.prepaid()
    assert [state for _, state in steps(view)] == ["done", "now", "todo", "todo"]
    world.confirm(view)
    paid = orders.look(world.services, order_no=view.order_no, openid=PAYER)
    assert [state for _, state in steps(paid)] == ["done", "done", "now", "todo"]


def test_history_is_newest_first_and_goes_on_where_it_stopped(world: World) -> None:
    made = [world.start(100 * n).order_no for n in range(1, 6)]
    first = orders.history(world.services, openid=PAYER, limit=3)
    rest = orders.history(world.services, openid=PAYER, limit=3, before_id=first[-1].id)
    assert [view.order_no for view in (*first, *rest)] == made[::-1]


def while_wechat_prepares(world: World, act: Callable[[], object], error: Exception | None = None) -> None:
    """The next answer to prepay comes after `act`; with an error it is that."""
    prepay = world.pay.prepay

    def prepared(**wanted: Any) -> str:
        world.pay.prepay = prepay  # type: ignore[method-assign]
        act()
        if error is not None:
            raise error
        return prepay(**wanted)

    world.pay.prepay = prepared  # type: ignore[method-assign]


@pytest.mark.parametrize("error", [None, OrderClosed("ORDERCLOSED", "", "")])
def test_an_order_given_up_while_wechat_prepares_it_cannot_be_paid(
    world: World, error: Exception | None
) -> None:
    view = world.start()
    give_up = partial(orders.cancel, world.services, order_no=view.order_no, openid=PAYER)
    while_wechat_prepares(world, give_up, error)
    with pytest.raises(IllegalTransition):
        orders.pay_params(world.services, order_no=view.order_no, openid=PAYER)
    assert world.order(view).status == OrderStatus.CLOSED
    assert f"{view.order_no}02" not in world.pay.trades


def test_an_order_prepared_while_it_is_given_up_stays_open(world: World) -> None:
    view = world.start()
    query = world.pay.query

    def asked(out_trade_no: str) -> Trade:
        # WeChat does not know the number yet, and a second tab prepares it in the next moment.
        world.pay.query = query  # type: ignore[method-assign]
        with pytest.raises(TradeNotFound) as unknown:
            query(out_trade_no)
        orders.pay_params(world.services, order_no=view.order_no, openid=PAYER)
        raise unknown.value

    world.pay.query = asked  # type: ignore[method-assign]
    with pytest.raises(Conflict):
        orders.cancel(world.services, order_no=view.order_no, openid=PAYER)
    assert world.order(view).status == OrderStatus.PREPAID
    orders.cancel(world.services, order_no=view.order_no, openid=PAYER)
    assert world.pay.trades[f"{view.order_no}01"] == "CLOSED"


def test_two_tabs_get_the_same_new_number_of_an_order_closed_at_wechat(world: World) -> None:
    view = world.start()
    closed = OrderClosed("ORDERCLOSED", "", "")

    def second_tab() -> None:
        while_wechat_prepares(world, lambda: None, closed)
        orders.pay_params(world.services, order_no=view.order_no, openid=PAYER)

    while_wechat_prepares(world, second_tab, closed)
    params = orders.pay_params(world.services, order_no=view.order_no, openid=PAYER)
    assert params == {"package": f"prepay_id=wx{view.order_no}02"}


@pytest.mark.parametrize("act", [orders.check_now, orders.cancel])
def test_nobody_is_told_that_nothing_was_paid_because_wechat_refused_the_question(
    world: World, act: Callable[..., OrderView]
) -> None:
    # A refusal to prepay is one: nothing was paid. Of a question it says nothing about the money.
    view = world.prepaid()
    world.pay.trades[f"{view.order_no}01"] = "SUCCESS"
    world.pay.troubles = [PayRefused("SIGNERROR", "", "")]
    with pytest.raises(Unknown):
        act(world.services, order_no=view.order_no, openid=PAYER)
    assert act(world.services, order_no=view.order_no, openid=PAYER).paid_at == NOON
