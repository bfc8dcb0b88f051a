"""A second payment is credited and asked back at once, with the negative control."""

from __future__ import annotations

import pytest
from sqlalchemy import Select, select

from models import allocation
from models.errors import IllegalTransition, Refused, Unknown
from models.order import Order, PaymentFact
from models.refund import Refund
from models.values.actor import Actor
from payments import credit, numbers, orders, second_payments, settle
from payments.outcome import Park
from payments.refunds import approval as refunds
from tests.models_of_money.world import PEOPLE
from tests.races.conftest import AMOUNT_FEN, Desk
from tests.races.meeting import Meeting, together

pytestmark = pytest.mark.postgres


def paid_at_wechat_twice(desk: Desk) -> str:
    """An order whose two numbers are both paid, of which nobody told us yet."""
    order_no = desk.order()
    desk.counterpart.fault("effect_then_timeout", "pay.prepay")
    with pytest.raises(Unknown):
        orders.pay_params(desk.services, order_no=order_no, openid=PEOPLE[0])
    platform = desk.counterpart.platform
    platform.book.close(numbers.out_trade_no(order_no, 1))
    orders.pay_params(desk.services, order_no=order_no, openid=PEOPLE[0])
    for seq in (1, 2):
        platform.pay(numbers.out_trade_no(order_no, seq), force=True)
    return order_no


def paid_twice(desk: Desk) -> tuple[str, str]:
    """An order whose two numbers are both paid and known. Returns: the order, its second payment's number."""
    order_no = paid_at_wechat_twice(desk)
    desk.ask(order_no)
    with desk.services.reading() as session:
        order = session.scalars(select(Order).where(Order.order_no == order_no)).one()
        facts = session.scalars(select(PaymentFact).where(PaymentFact.order_id == order.id)).all()
        second = next(fact for fact in facts if fact.transaction_id != order.transaction_id)
    return order_no, second.out_trade_no


def credit_and_ask_back(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Both have looked at the payment before either writes, unless one hangs on a lock of the other."""
    order_no, number = paid_twice(desk)
    meeting = Meeting(desk.database)
    meeting.at(monkeypatch, second_payments, "_own_order")
    meeting.at(monkeypatch, refunds, "_check_money")

    def credit_too() -> Order:
        now = desk.services.clock()
        with desk.services.transaction() as session:
            query = select(PaymentFact.transaction_id).where(PaymentFact.out_trade_no == number)
            transaction_id = session.scalars(query).one()
            return second_payments.credit_too(session, transaction_id, actor=Actor.from_name("anna"), now=now)

    def ask_back() -> Refund:
        return refunds.request(
            desk.services,
            order_no=order_no,
            amount_fen=AMOUNT_FEN,
            reason="重复支付",
            actor=Actor.from_name("anna"),
            out_trade_no=number,
        )

    return together(credit_too, ask_back)


def orders_of_refund_and_payment(desk: Desk) -> list[tuple[int, int]]:
    """For each refund: the order that it is of, and the one that its payment belongs to."""
    query = select(Refund.order_id, PaymentFact.order_id).join(
        PaymentFact, PaymentFact.out_trade_no == Refund.out_trade_no
    )
    with desk.services.reading() as session:
        return [(row[0], row[1]) for row in session.execute(query)]


def test_a_second_payment_is_credited_or_asked_back_never_both(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    credited, asked = credit_and_ask_back(desk, monkeypatch)
    assert isinstance(credited, Order) != isinstance(asked, Refund), (credited, asked)
    assert isinstance(credited, Order | IllegalTransition)
    assert isinstance(asked, Refund | Refused)
    assert all(ours == paid for ours, paid in orders_of_refund_and_payment(desk))
    assert desk.findings() == []


def test_without_the_order_s_lock_a_credited_payment_is_asked_back_as_well(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Select, "with_for_update", lambda self, **_: self)
    credited, asked = credit_and_ask_back(desk, monkeypatch)
    assert isinstance(credited, Order), credited
    assert isinstance(asked, Refund), asked
    ((ours, paid),) = orders_of_refund_and_payment(desk)
    assert ours != paid


def test_a_second_payment_and_a_refused_credit_do_not_wait_for_one_another(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The one has the order and wants its allocation; the other has that, and its question names the order.
    order_no = paid_at_wechat_twice(desk)
    trades = [desk.services.pay.query(numbers.out_trade_no(order_no, seq)) for seq in (1, 2)]
    settle.record_trade(desk.services, trades[0], cause="query")
    held = desk.claim("w1", desk.services)

    def refuse(*_: object, **__: object) -> None:
        raise Refused("不行")

    monkeypatch.setattr(desk.services.billing, "credit", refuse)
    meeting = Meeting(desk.database)
    meeting.at(monkeypatch, allocation, "record_paid")
    meeting.at(monkeypatch, credit, "_ask")
    done = together(
        lambda: settle.record_trade(desk.services, trades[1], cause="query"),
        lambda: credit.deliver(desk.services, held),
    )
    assert [type(one) for one in done] == [Order, Park], done
    assert desk.findings() == []
