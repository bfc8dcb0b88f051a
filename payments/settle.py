"""Finding out what became of an unpaid order: ask WeChat on a schedule, and end it when its time is over.

The end is query, close, query: only WeChat's word that nothing was paid ends an order.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

from models.clock import campus_date
from models.errors import Conflict, Mismatch, NoSuchOrder, ServiceError
from models.order import (
    Order,
    OrderAction,
    OrderStatus,
    PaymentAttempt,
    advance,
    attempts_of,
    find_order,
    lock_order,
    paid_numbers,
)
from models.review import ReviewKind, ask_person
from payments import outbox
from payments.confirm import WECHAT, PaidFact, confirm_paid
from payments.outcome import Done, Later, Outcome
from payments.refunds.external import note_refunded_trade
from payments.services import Services
from payments.wechatpay.client import Trade
from payments.wechatpay.errors import AlreadyPaid, OrderClosed, PayRefused, TradeNotFound

# After prepay, ask at these ages until the order's time is over (payments.md G7).
ASK_AGES = tuple(timedelta(seconds=s) for s in (10, 30, 60, 120, 300, 600, 1800))
FIRST_ASK = ASK_AGES[0]
REASON_MAX = 200
REFUNDED = "REFUND"
UNPAID = (OrderStatus.CREATED, OrderStatus.PREPAID)


def deliver(services: Services, held: outbox.Claim) -> Outcome:
    """The outbox job `settle`: ask, or end the order; postponed until the order is settled.

    Raises: Mismatch - a payment contradicts the order; Unknown, Unavailable - WeChat did not answer, or
        the order was prepared for paying meanwhile (Conflict): the worker tries again.
    """
    try:
        return _work(services, str(held.payload["order_no"]))
    except PayRefused as refused:
        return _not_answered(services, held, refused)


def _work(services: Services, order_no: str) -> Outcome:
    now = services.clock()
    with services.reading() as session:
        order = find_order(session, order_no)
        if order is None:
            raise NoSuchOrder
        asked_from = min((a.prepaid_at for a in attempts_of(session, order.id) if a.prepaid_at), default=None)
    if order.status not in UNPAID:
        _close_others(services, order_no)
        return Done()
    if now >= order.expires_at:
        end(services, order_no, OrderAction.EXPIRE, cause="worker")
        return Done()
    if asked_from is not None and ask(services, order_no):
        _close_others(services, order_no)
        return Done()
    return Later(next_ask(asked_from, order.expires_at, now))


def _not_answered(services: Services, held: outbox.Claim, refused: PayRefused) -> Outcome:
    """WeChat refuses the question (a wrong clock, a key that changed): that is no word about the order.

    All open orders meet the same trouble, so a person is asked once a day; each job goes on by itself.
    """
    now = services.clock()
    with services.transaction() as session:
        ask_person(
            session,
            ReviewKind.JOB_FAILED,
            f"{held.kind}:{campus_date(now)}:{refused.code}",
            order_id=None,
            amount_fen=None,
            now=now,
            job=held.kind,
            number=held.key,
            reason=str(refused)[:REASON_MAX],
        )
    return Later(now + timedelta(seconds=outbox.backoff_s(held.attempts)))


def next_ask(prepaid_at: datetime | None, expires_at: datetime, now: datetime) -> datetime:
    """When to ask next: by age since prepay, at the latest when the order's time is over."""
    if prepaid_at is None:
        return expires_at
    coming = (prepaid_at + age for age in ASK_AGES if prepaid_at + age > now)
    return min(next(coming, expires_at), expires_at)


def ask(services: Services, order_no: str) -> bool:
    """Ask WeChat about every attempt and record a payment found. Returns: whether the order is paid.

    Raises: Mismatch - a payment contradicts the order; Unknown, Unavailable, PayRefused - no answer.
    """
    return _of_each(services, _attempts(services, order_no), _ask_attempt)


def end(services: Services, order_no: str, action: OrderAction, *, cause: str) -> None:
    """Close every attempt at WeChat and then the order, unless it turns out to be paid.

    Raises: Conflict - it was prepared for paying meanwhile, so WeChat's word is not the last one;
        Unknown, Unavailable - no answer.
    """
    attempts = _attempts(services, order_no)
    if _of_each(services, attempts, _close_attempt):
        return
    with services.transaction() as session:
        order = lock_order(session, order_no)
        if order.status not in UNPAID:
            # Paid or ended by somebody else meanwhile: their state stands.
            return
        if _prepared(attempts_of(session, order.id)) != _prepared(attempts):
            raise Conflict(f"order {order_no} was prepared for paying meanwhile")
        advance(session, order, action, cause=cause, now=services.clock())


def _prepared(attempts: list[PaymentAttempt]) -> set[tuple[str, datetime | None]]:
    return {(attempt.out_trade_no, attempt.prepaid_at) for attempt in attempts}


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
        attach=trade.attach,
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
    others = [attempt for attempt in attempts if attempt.out_trade_no not in recorded]
    _of_each(services, others, _close_attempt)


def _of_each(
    services: Services, attempts: list[PaymentAttempt], do: Callable[[Services, PaymentAttempt], bool]
) -> bool:
    """Whether any of the attempts is paid.

    All of them are asked about, whatever is the matter with one: another may be paid as well. The
    first trouble is raised at the end.
    """
    paid, trouble = False, None
    for attempt in attempts:
        try:
            paid |= do(services, attempt)
        except ServiceError as error:
            trouble = trouble or error
    if trouble is not None:
        raise trouble
    return paid


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
