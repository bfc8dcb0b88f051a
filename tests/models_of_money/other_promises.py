"""What must hold of swaps, of the counter and of second payments after every step."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from models.counter import CounterBooking, ReturnItem, ReturnStatus
from models.order import Credit, CreditStatus, Order, OrderStatus, PaymentAttempt, PaymentFact
from models.package import Purchase
from models.refund import Refund, RefundStatus
from models.review import ReviewItem, ReviewKind, ReviewStatus
from models.swap import SwapIntent, SwapStatus
from payments.confirm import COUNTER


def check_swaps(session: Session, *, at_rest: bool = False) -> None:
    """A wish is fulfilled once, after its money has arrived, or refused and nothing was bought.

    While it waits it may have been fulfilled already by a call that nobody heard the answer of;
    `at_rest` nothing waits whose money has arrived.
    """
    rows = session.execute(
        select(SwapIntent.status, SwapIntent.price_fen, Credit.status, Purchase.price_fen)
        .join(Order, Order.id == SwapIntent.order_id)
        .outerjoin(Credit, Credit.order_id == Order.id)
        .outerjoin(
            Purchase,
            and_(Purchase.key == "x" + Order.order_no, Purchase.account_no == Order.account_no),
        )
    ).all()
    for wish, price_fen, credit, bought_fen in rows:
        arrived = credit == CreditStatus.CREDITED
        assert bought_fen in {None, price_fen}
        assert arrived or (wish == SwapStatus.WAITING and bought_fen is None)
        assert wish != SwapStatus.DONE or bought_fen is not None
        assert wish != SwapStatus.REFUSED or bought_fen is None
        assert not (at_rest and arrived and wish == SwapStatus.WAITING)
    bought = session.scalar(select(func.count()).select_from(Purchase)) or 0
    assert bought == sum(row[3] is not None for row in rows)


def check_counter(session: Session, receipts: Mapping[str, int]) -> None:
    """What a clerk was told is booked, is: as an order that is paid, or as money that goes back."""
    rows = session.execute(
        select(
            CounterBooking.receipt_no,
            CounterBooking.amount_fen,
            Order.status,
            PaymentFact.transaction_id,
            func.coalesce(PaymentFact.amount_fen, ReturnItem.amount_fen),
        )
        .outerjoin(Order, Order.id == CounterBooking.order_id)
        .outerjoin(PaymentFact, and_(PaymentFact.order_id == Order.id, PaymentFact.provider == COUNTER))
        .outerjoin(ReturnItem, ReturnItem.id == CounterBooking.return_item_id)
    ).all()
    booked = {row[0]: row[1] for row in rows}
    assert len(booked) == len(rows)
    assert receipts.items() <= booked.items()
    for receipt_no, amount_fen, status, transaction_id, placed_fen in rows:
        assert placed_fen == amount_fen
        paid = (OrderStatus.PAID, f"counter:{receipt_no}")
        assert (status, transaction_id) in {paid, (None, None)}
    written = session.scalar(select(func.count()).where(Order.source == COUNTER))
    assert written == sum(row[2] is not None for row in rows)
    check_returns(session)


def check_returns(session: Session) -> None:
    """A refund of counter money is owed while it is under way, and handed back when it has ended."""
    owed = and_(Refund.status == RefundStatus.PROCESSING, ReturnItem.status == ReturnStatus.OPEN)
    returned = and_(Refund.status == RefundStatus.SUCCESS, ReturnItem.status == ReturnStatus.RETURNED)
    ends = (RefundStatus.PROCESSING, RefundStatus.SUCCESS)
    agree = and_(or_(owed, returned), ReturnItem.amount_fen == Refund.amount_fen, Refund.held)
    nothing = and_(ReturnItem.id.is_(None), Refund.status.not_in(ends))
    query = select(Refund.out_refund_no).outerjoin(ReturnItem, ReturnItem.refund_id == Refund.id)
    wrong = query.where(Refund.origin == COUNTER, ~func.coalesce(or_(agree, nothing), False))
    assert session.scalars(wrong).all() == []


def check_second_payments(session: Session) -> None:
    """Each payment is the one of its order, or a person was asked about it and has not credited it."""
    query = (
        select(PaymentFact.transaction_id, Order.transaction_id, PaymentAttempt.order_id == Order.id)
        .join(Order, Order.id == PaymentFact.order_id)
        .join(PaymentAttempt, PaymentAttempt.out_trade_no == PaymentFact.out_trade_no)
    )
    items = select(ReviewItem.key, ReviewItem.status, ReviewItem.outcome)
    asked = {
        key: (status, outcome)
        for key, status, outcome in session.execute(items.where(ReviewItem.kind == ReviewKind.SECOND_PAYMENT))
    }
    for transaction_id, paid_by, together in session.execute(query):
        assert together, "the number went with its payment"
        credited = asked.get(transaction_id) == (ReviewStatus.CLOSED, "credit")
        assert (transaction_id == paid_by) == (transaction_id not in asked or credited)
    # Whoever gives money back looks for the payment where the refund is.
    apart = (
        select(Refund.out_refund_no)
        .join(PaymentFact, PaymentFact.out_trade_no == Refund.out_trade_no)
        .where(Refund.status != RefundStatus.CLOSED, Refund.order_id != PaymentFact.order_id)
    )
    assert session.scalars(apart).all() == [], "what was asked back went with its payment"
