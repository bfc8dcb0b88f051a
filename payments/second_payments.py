"""A second payment of one order: credited as an order of its own, or refunded; never dropped.

An order has one credit, so money that is to be credited too becomes an order of its own: the payment
moves there with its number, and everything after that is the ordinary way.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from models import allocation, journal
from models.errors import IllegalTransition
from models.order import Order, OrderAction, OrderEvent, OrderStatus, PaymentAttempt, PaymentFact, advance
from models.refund import Refund, RefundStatus
from models.values.actor import Actor
from payments import numbers
from payments.confirm import WECHAT, promise_credit
from payments.refunds import approval as refunds

CAUSE = "second-payment"
REASON = "重复支付，原路退回"


def credit_too(session: Session, transaction_id: str, *, actor: Actor, now: datetime) -> Order:
    """Make the payment an order of its own and queue its credit; again gives the same order.

    Raises: IllegalTransition - no such second payment, or (part of) it is on its way back.
    """
    order, fact = _locked(session, transaction_id)
    if order.transaction_id == transaction_id:
        return order
    if _back_fen(session, fact):
        raise IllegalTransition("这笔重复支付已申请退款，不能入账")
    other = _own_order(session, order, fact, now)
    allocation.move_paid(session, order.id, other.id, fact.amount_fen)
    fact.order_id = other.id
    attempt = session.scalars(
        select(PaymentAttempt).where(PaymentAttempt.out_trade_no == fact.out_trade_no)
    ).one()
    attempt.order_id, attempt.seq = other.id, 1
    promise_credit(session, other, now)
    for number in (order.order_no, other.order_no):
        journal.note(
            session,
            CAUSE,
            order_no=number,
            actor=actor.name,
            now=now,
            transaction_id=transaction_id,
            amount_fen=fact.amount_fen,
            paid_order_no=order.order_no,
            new_order_no=other.order_no,
        )
    return other


def refund_it(
    session: Session, transaction_id: str, *, requested_by: Actor, approved_by: Actor, now: datetime
) -> None:
    """Send back what of the payment is not on its way back already.

    Raises: IllegalTransition - no such second payment, or it was credited; the errors of `refunds.ask_for`.
    """
    order, fact = _locked(session, transaction_id)
    if order.transaction_id == transaction_id:
        raise IllegalTransition("这笔付款已入账，请按订单退款")
    left_fen = fact.amount_fen - _back_fen(session, fact)
    if left_fen <= 0:
        return
    wanted = refunds.Wanted(order.order_no, left_fen, REASON, fact.out_trade_no)
    refund = refunds.ask_for(session, wanted, actor=requested_by, now=now)
    refunds.agree_to(session, refund.out_refund_no, actor=approved_by, now=now)


def _locked(session: Session, transaction_id: str) -> tuple[Order, PaymentFact]:
    query = (
        select(Order)
        .join(PaymentFact, PaymentFact.order_id == Order.id)
        .where(*_is(transaction_id))
        .with_for_update(of=Order, key_share=True)
    )
    order = session.scalar(query.execution_options(populate_existing=True))
    if order is None:
        raise IllegalTransition("找不到这笔付款")
    found = select(PaymentFact).where(*_is(transaction_id))
    return order, session.scalars(found.execution_options(populate_existing=True)).one()


def _is(transaction_id: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    # The counter takes no money for an order that is there already.
    return PaymentFact.provider == WECHAT, PaymentFact.transaction_id == transaction_id


def _back_fen(session: Session, fact: PaymentFact) -> int:
    amounts = select(Refund.amount_fen).where(
        Refund.order_id == fact.order_id,
        Refund.out_trade_no == fact.out_trade_no,
        Refund.status != RefundStatus.CLOSED,
    )
    return sum(session.scalars(amounts))


def _own_order(session: Session, order: Order, fact: PaymentFact, now: datetime) -> Order:
    other = Order(
        order_no=numbers.new_order_no(now),
        open_key=None,
        source=order.source,
        payer_openid=order.payer_openid,
        account_no=order.account_no,
        masked_name=order.masked_name,
        amount_fen=fact.amount_fen,
        status=OrderStatus.CREATED,
        late=False,
        transaction_id=fact.transaction_id,
        created_at=now,
        expires_at=order.expires_at,
        paid_at=fact.paid_at,
    )
    session.add(other)
    session.flush()  # the id is needed by the event and the allocation
    session.add(
        OrderEvent(
            order_id=other.id, status=OrderStatus.CREATED, action=OrderAction.CREATE, cause=CAUSE, at=now
        )
    )
    advance(session, other, OrderAction.PAY, cause=CAUSE, now=now)
    return other
