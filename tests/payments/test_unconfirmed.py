"""Nothing invites to pay while another order is paid but not confirmed, whichever of them it is."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from models.db.engine import Database
from models.errors import Mismatch, ServiceError, Unavailable, Unknown
from models.order import Order, OrderStatus
from models.values import request_id
from payments import orders, unconfirmed
from payments.unconfirmed import PaymentInDoubt
from payments.views import OrderView, Step
from payments.wechatpay.client import Trade
from payments.wechatpay.errors import PayRefused
from tests.builders import ACCOUNT, PAYER, ScriptedPay, World

STRANGER = "oStranger0000000000000000001"


class Pay(ScriptedPay):
    """`silent` numbers get no answer."""

    def __init__(self) -> None:
        super().__init__()
        self.silent: dict[str, ServiceError] = {}
        self.asked_under: list[str | None] = []

    def query(self, out_trade_no: str) -> Trade:
        self.asked_under.append(request_id.current())
        if out_trade_no in self.silent:
            raise self.silent[out_trade_no]
        return super().query(out_trade_no)


class Payer(World):
    """Three open orders, prepared for paying, the first is the oldest."""

    def __init__(self, database: Database) -> None:
        self.scripted = Pay()
        super().__init__(database, pay=self.scripted)
        self.views = [self.prepaid(fen) for fen in (500, 600, 700)]

    def number(self, at: int) -> str:
        return f"{self.views[at].order_no}01"

    def pay_at_wechat(self, at: int) -> None:
        self.pay.trades[self.number(at)] = "SUCCESS"

    def invite(self, at: int) -> None:
        unconfirmed.check_none(
            self.services, openid=PAYER, account_no=ACCOUNT, besides=self.views[at].order_no
        )

    def checked(self) -> orders.Checked:
        found = orders.check_open(self.services, openid=PAYER)
        assert found is not None
        return found


@pytest.fixture
def payer(sqlite_database: Database) -> Payer:
    return Payer(sqlite_database)


def test_each_query_logs_under_the_id_of_the_request(payer: Payer) -> None:
    with request_id.bound("a" * 32):
        payer.checked()
    assert payer.scripted.asked_under == ["a" * 32] * 3


@pytest.mark.parametrize("at", [0, 1, 2])
def test_the_paid_one_of_three_is_found_and_shown_first(payer: Payer, at: int) -> None:
    payer.pay_at_wechat(at)
    found = payer.checked()
    assert (found.shown.order_no, found.shown.step) == (payer.views[at].order_no, Step.CREDITING)
    assert payer.woken
    # Until it is credited, asking again offers no other order.
    assert payer.checked().shown.order_no == payer.views[at].order_no


def test_without_a_payment_the_newest_open_order_is_shown(payer: Payer) -> None:
    assert payer.checked().shown.order_no == payer.views[2].order_no


@pytest.mark.parametrize(
    "trouble", [Unknown("late"), Unavailable("off"), PayRefused("SIGNERROR", "", ""), Mismatch("x", "y")]
)
@pytest.mark.parametrize("at", [0, 1, 2])
def test_an_order_without_an_answer_offers_none(payer: Payer, at: int, trouble: ServiceError) -> None:
    payer.scripted.silent[payer.number(at)] = trouble
    with pytest.raises(Unknown):
        payer.checked()
    payer.pay_at_wechat((at + 1) % 3)
    assert payer.checked().shown.order_no == payer.views[(at + 1) % 3].order_no


def test_two_paid_orders_are_both_shown(payer: Payer) -> None:
    payer.pay_at_wechat(0)
    payer.pay_at_wechat(1)
    found = payer.checked()
    assert {found.shown.order_no, *(view.order_no for view in found.also_paid)} == {
        payer.views[0].order_no,
        payer.views[1].order_no,
    }


def test_a_payment_that_contradicts_its_order_offers_none(payer: Payer) -> None:
    payer.pay_at_wechat(0)
    payer.pay.amounts[payer.number(0)] = 499
    with pytest.raises(Unknown):
        payer.checked()
    with pytest.raises(PaymentInDoubt):
        payer.invite(2)


def test_a_bounded_number_of_orders_is_queried(payer: Payer) -> None:
    for fen in range(1000, 1000 + 100 * 25, 100):
        payer.prepaid(fen)
    payer.pay.calls.clear()
    payer.checked()
    assert payer.pay.calls.count("query") == unconfirmed.ORDERS_MAX


@pytest.mark.parametrize("at", [0, 1])
def test_no_invitation_to_pay_while_another_is_paid(payer: Payer, at: int) -> None:
    payer.pay_at_wechat(at)
    with pytest.raises(PaymentInDoubt):
        payer.invite(2)
    assert payer.order(payer.views[at]).status == OrderStatus.PAID


def test_the_own_earlier_attempt_does_not_count_as_another_order(payer: Payer) -> None:
    payer.invite(2)


def test_an_order_that_was_never_prepared_is_not_asked_about(sqlite_database: Database) -> None:
    world = World(sqlite_database)
    world.start(500)
    world.pay.calls.clear()
    unconfirmed.check_none(world.services, openid=PAYER, account_no=ACCOUNT)
    assert world.pay.calls == []


def test_an_order_of_another_payer_for_the_account_counts(payer: Payer) -> None:
    payer.pay_at_wechat(0)
    with payer.database.transaction() as session:
        session.execute(update(Order).values(payer_openid=PAYER))
    with pytest.raises(PaymentInDoubt):
        unconfirmed.check_none(payer.services, openid=STRANGER, account_no=ACCOUNT)
    unconfirmed.check_none(payer.services, openid=STRANGER, account_no="2400101999")


def is_offered(payer: Payer) -> list[OrderView]:
    try:
        found = payer.checked()
    except Unknown:
        return []
    return [view for view in (found.shown, *found.also_paid) if view.payable]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(states=st.lists(st.sampled_from(["unpaid", "paid", "silent"]), min_size=1, max_size=5))
def test_an_order_is_offered_only_when_none_is_paid_or_unknown(
    sqlite_database: Database, states: list[str]
) -> None:
    with sqlite_database.transaction() as session:
        session.execute(update(Order).values(payer_openid="oBefore", account_no="before", open_key=None))
    payer = Payer.__new__(Payer)
    payer.scripted = Pay()
    World.__init__(payer, sqlite_database, pay=payer.scripted)
    payer.views = [payer.prepaid(500 + 100 * number) for number in range(len(states))]
    for at, state in enumerate(states):
        if state == "paid":
            payer.pay_at_wechat(at)
        elif state == "silent":
            payer.scripted.silent[payer.number(at)] = Unknown("late")
    assert bool(is_offered(payer)) == (set(states) == {"unpaid"})
    paid = {payer.views[at].order_no for at, state in enumerate(states) if state == "paid"}
    for view in payer.views:
        assert (payer.order(view).status == OrderStatus.PAID) == (view.order_no in paid)
