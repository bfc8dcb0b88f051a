"""Finding out what became of an unpaid order: ask WeChat on a schedule, and end it when its time is over.

The end is query, close, query: only WeChat's word that nothing was paid ends an order.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta

from models.errors import Conflict, IllegalTransition, Mismatch, NoSuchOrder
from models.order import (
    Order,
    OrderAction,
    OrderStatus,
    PaymentAttempt,
    advance,
    attempts_of,
    find_order,
    paid_numbers,
)
from payments import outbox
from payments.confirm import WECHAT, PaidFact, confirm_paid
from payments.outcome import Done, Later, Outcome
from payments.refunds.external import note_refunded_trade
from payments.services import Services
from payments.wechatpay.client import Trade
from payments.wechatpay.errors import AlreadyPaid, OrderClosed, TradeNotFound

# After prepay, ask at these ages until the order's time is over (payments.md G7).
ASK_AGES = tuple(timedelta(seconds=s) for s in (10, 30, 60, 120, 300, 600, 1800))
FIRST_ASK = ASK_AGES[0]
REFUNDED = "REFUND"


def deliver(services: Services, held: outbox.Claim) -> Outcome:
    """The outbox job `settle`: ask, or end the order; postponed until the order is settled.

    Raises: Unknown, Unavailable - WeChat did not answer; the worker tries again.
    """
    order_no = str(held.payload["order_no"])
    now = services.clock()
    with services.reading() as session:
        order = find_order(session, order_no)
        if order is None:
            raise NoSuchOrder
        asked_from = min((a.prepaid_at for a in attempts_of(session, order.id) if a.prepaid_at), default=None)
    if order.status not in (OrderStatus.CREATED, OrderStatus.PREPAID):
        _close_others(services, order_no)
        return Done()
    if now >= order.expires_at:
        end(services, order_no, OrderAction.EXPIRE, cause="worker")
        return Done()
    if asked_from is not None and ask(services, order_no):
        _close_others(services, order_no)
        return Done()
    return Later(next_ask(asked_from, order.expires_at, now))


def next_ask(prepaid_at: datetime | None, expires_at: datetime, now: datetime) -> datetime:
    """When to ask next: by age since prepay, at the latest when the order's time is over."""
    if prepaid_at is None:
        return expires_at
    coming = (prepaid_at + age for age in ASK_AGES if prepaid_at + age > now)
    return min(next(coming, expires_at), expires_at)


def ask(services: Services, order_no: str) -> bool:
    """Ask WeChat about every attempt and record a payment found. Returns: whether the order is paid.

    Raises: Unknown, Unavailable - no answer.
    """
    # All of them, before looking at the answers: a second attempt may be paid as well.
    paid = [_ask_attempt(services, attempt) for attempt in _attempts(services, order_no)]
    return any(paid)


def end(services: Services, order_no: str, action: OrderAction, *, cause: str) -> None:
    """Close every attempt at WeChat and then the order, unless it turns out to be paid."""
    paid = [_close_attempt(services, attempt) for attempt in _attempts(services, order_no)]
    if any(paid):
        return
    with services.transaction() as session:
        order = find_order(session, order_no)
        if order is None:
            raise NoSuchOrder
        try:
            advance(session, order, action, cause=cause, now=services.clock())
        except (Conflict, IllegalTransition):
            # Paid or ended by somebody else meanwhile: their state stands.
            return


def record_trade(services: Services, trade: Trade, *, cause: str) -> Order | None:
    """Record a trade that WeChat reported; None when it is not paid. Raises: Mismatch."""
    fact = fact_of(trade, services.pay.app_id, services.pay.mch_id)
    if fact is None:
        return None
    with services.transaction() as session:
        order = confirm_paid(session, fact, cause=cause, now=services.clock())
        if trade.trade_state == REFUNDED:
            note_refunded_trade(session, order, trade.out_trade_no, cause=cause, now=services.clock())
    services.wake()
    return order


def fact_of(trade: Trade, app_id: str, mch_id: str) -> PaidFact | None:
    """The trade as a fact, None when it is not paid.

    Raises: Mismatch - another app or merchant, or a field is missing that WeChat always sends of a paid
        JSAPI order: what is not said is not known to fit.
    Source: pay.weixin.qq.com/doc/v3/merchant/4012791859, 4012791861 (query, notification).
    """
    if trade.trade_state not in ("SUCCESS", REFUNDED):
        return None
    if trade.app_id != app_id:
        raise Mismatch("appid", trade.out_trade_no)
    if trade.mch_id != mch_id:
        raise Mismatch("mchid", trade.out_trade_no)
    if trade.transaction_id is None or trade.amount_fen is None or trade.paid_at is None:
        raise Mismatch("incomplete", trade.out_trade_no)
    if trade.openid is None:
        raise Mismatch("openid", trade.out_trade_no)
    return PaidFact(
        provider=WECHAT,
        out_trade_no=trade.out_trade_no,
        transaction_id=trade.transaction_id,
        amount_fen=trade.amount_fen,
        currency=trade.currency,
        openid=trade.openid,
        paid_at=trade.paid_at,
    )


def _attempts(services: Services, order_no: str) -> list[PaymentAttempt]:
    with services.reading() as session:
        order = find_order(session, order_no)
        if order is None:
            raise NoSuchOrder
        return attempts_of(session, order.id)


def _close_others(services: Services, order_no: str) -> None:
    """Nobody shall pay an order twice: close its other numbers, and record one that is paid already."""
    attempts = _attempts(services, order_no)
    if len(attempts) == 1:
        return
    with services.reading() as session:
        recorded = paid_numbers(session, attempts[0].order_id)
    for attempt in attempts:
        if attempt.out_trade_no not in recorded:
            _close_attempt(services, attempt)


def _ask_attempt(services: Services, attempt: PaymentAttempt) -> bool:
    try:
        trade = services.pay.query(attempt.out_trade_no)
    except TradeNotFound:
        return False
    return record_trade(services, trade, cause="query") is not None


def _close_attempt(services: Services, attempt: PaymentAttempt) -> bool:
    """Query, close, query. Returns: whether the attempt is paid."""
    try:
        trade = services.pay.query(attempt.out_trade_no)
    except TradeNotFound:
        # Closing a number that WeChat never saw would burn it for nothing.
        return False
    if record_trade(services, trade, cause="query") is not None:
        return True
    if trade.trade_state == "CLOSED":
        return False
    # Refused because it is paid or closed already: the query that follows tells which.
    with suppress(AlreadyPaid, OrderClosed):
        services.pay.close(attempt.out_trade_no)
    return _ask_attempt(services, attempt)
