"""The only way to PAID: a verified fact, matched with the order, recorded once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import allocation, journal
from models.errors import Mismatch
from models.order import (
    Credit,
    CreditStatus,
    Order,
    OrderAction,
    OrderStatus,
    PaymentAttempt,
    PaymentFact,
    advance,
)
from models.review import ReviewKind, ask_person
from payments import numbers, outbox

WECHAT = "wechat"
COUNTER = "counter"
# Between our clock and that of a provider; a bill of yesterday is read with times of yesterday.
CLOCKS_DIFFER: Final = timedelta(days=1)


@dataclass(frozen=True)
class PaidFact:
    """What a provider vouches for: `amount_fen` is the payer's total before vouchers, `paid_at` aware UTC.

    `openid` None skips that comparison (a provider that knows no payer, such as the counter).
    `attach` is what the provider returned of what prepay sent; empty where it returns nothing.
    """

    provider: str
    out_trade_no: str
    transaction_id: str
    amount_fen: int
    currency: str
    openid: str | None
    paid_at: datetime
    attach: str = ""


def confirm_paid(session: Session, fact: PaidFact, *, cause: str, now: datetime) -> Order:
    """Record that the money was taken, once, and queue the credit.

    Args:
        fact: from a verified notify, a signed query answer, a bill or the counter.
        cause: which of those, for the history.
    Returns: the order in PAID; a repeated fact changes nothing.
    Raises: Mismatch - no such number, or amount, currency, payer or transaction differ.
    Source: WeChat Pay v3, JSAPI payment notification, fields `trade_state`, `amount.total`, `payer.openid`.
    """
    order = _locked_order(session, fact.out_trade_no)
    if _known(session, order, fact):
        return order
    _match(order, fact)
    _match_attach(session, order, fact)
    if order.status == OrderStatus.PAID:
        _second_payment(session, order, fact, cause, now)
        return order
    order.late = order.status in (OrderStatus.CLOSED, OrderStatus.EXPIRED)
    fact = replace(fact, paid_at=_plausible(fact.paid_at, order, now))
    order.transaction_id, order.paid_at = fact.transaction_id, fact.paid_at
    advance(session, order, OrderAction.PAY, cause=cause, now=now)
    _record(session, order, fact, cause, now)
    promise_credit(session, order, now)
    return order


def _plausible(paid_at: datetime, order: Order, now: datetime) -> datetime:
    """Return the time of a payment; `now` for one long before the order was made or long after now.

    Daily limits and the year for refunds count from it, so that a wrong time would bind a payer for ever.
    """
    return paid_at if order.created_at - CLOCKS_DIFFER <= paid_at <= now + CLOCKS_DIFFER else now


def _locked_order(session: Session, out_trade_no: str) -> Order:
    order = session.scalar(
        select(Order)
        .join(PaymentAttempt, PaymentAttempt.order_id == Order.id)
        .where(PaymentAttempt.out_trade_no == out_trade_no)
        # Serialises two notices of one order on PostgreSQL; SQLite has one writer anyway. `key_share`: a
        # job that holds what we want next may be about to write a row that names the order.
        .with_for_update(of=Order, key_share=True)
        .execution_options(populate_existing=True)
    )
    if order is None:
        raise Mismatch("out_trade_no", out_trade_no)
    return order


def _known(session: Session, order: Order, fact: PaidFact) -> bool:
    known = session.scalar(
        select(PaymentFact).where(
            PaymentFact.provider == fact.provider, PaymentFact.out_trade_no == fact.out_trade_no
        )
    )
    if known is None:
        return False
    if known.transaction_id != fact.transaction_id or known.amount_fen != fact.amount_fen:
        raise Mismatch("transaction_id", order.order_no)
    # A repetition that names another payer or currency is another payment.
    _match(order, fact)
    return True


def _match(order: Order, fact: PaidFact) -> None:
    if fact.amount_fen != order.amount_fen:
        raise Mismatch("amount", order.order_no)
    if fact.currency != "CNY":
        raise Mismatch("currency", order.order_no)
    if fact.openid is not None and fact.openid != order.payer_openid:
        raise Mismatch("openid", order.order_no)


def _match_attach(session: Session, order: Order, fact: PaidFact) -> None:
    """An attach that we did not send with this number contradicts the order. Raises: Mismatch."""
    if not fact.attach:
        return
    sent = select(PaymentAttempt.attach).where(PaymentAttempt.out_trade_no == fact.out_trade_no)
    if session.scalar(sent) != fact.attach:
        raise Mismatch("attach", order.order_no)


def _record(session: Session, order: Order, fact: PaidFact, cause: str, now: datetime) -> None:
    session.add(
        PaymentFact(
            order_id=order.id,
            provider=fact.provider,
            transaction_id=fact.transaction_id,
            out_trade_no=fact.out_trade_no,
            amount_fen=fact.amount_fen,
            cause=cause,
            paid_at=fact.paid_at,
            recorded_at=now,
        )
    )
    session.flush()  # the unique keys of the fact must hold before its money is counted
    allocation.record_paid(session, order.id, fact.amount_fen)
    journal.note(
        session,
        "paid",
        order_no=order.order_no,
        actor=cause,
        now=now,
        provider=fact.provider,
        transaction_id=fact.transaction_id,
        out_trade_no=fact.out_trade_no,
        amount_fen=fact.amount_fen,
        late=order.late,
    )


def promise_credit(session: Session, order: Order, now: datetime) -> None:
    """Give a paid order its one credit, and queue it."""
    session.add(
        Credit(
            order_id=order.id,
            credit_no=numbers.credit_no(order.order_no),
            account_no=order.account_no,
            amount_fen=order.amount_fen,
            status=CreditStatus.PENDING,
            created_at=now,
            changed_at=now,
        )
    )
    outbox.put(session, "credit", order.order_no, {"order_no": order.order_no}, now=now)


def _second_payment(session: Session, order: Order, fact: PaidFact, cause: str, now: datetime) -> None:
    """Two attempts of one order were both paid: keep the fact, leave the money to a person."""
    _record(session, order, fact, cause, now)
    ask_person(
        session,
        ReviewKind.SECOND_PAYMENT,
        fact.transaction_id,
        order_id=order.id,
        amount_fen=fact.amount_fen,
        now=now,
        order_no=order.order_no,
        transaction_id=fact.transaction_id,
        out_trade_no=fact.out_trade_no,
    )
