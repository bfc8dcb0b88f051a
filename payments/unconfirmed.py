"""Payments that WeChat may have taken and our books do not know yet: every open order is queried.

A payer who paid one order and is shown another unpaid one pays twice. So nothing invites to pay while
another order of the same payer or account is paid but unconfirmed, or WeChat did not answer about it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from models.errors import Refused, ServiceError
from models.order import Order, OrderStatus, PaymentAttempt
from payments import settle
from payments.services import Services
from payments.wechatpay.client import Trade
from payments.wechatpay.errors import TradeNotFound

# So many open orders are queried at once; more are not made by one person in the life of an order.
ORDERS_MAX = 20
UNPAID = (OrderStatus.CREATED, OrderStatus.PREPAID)


class PaymentInDoubt(Refused):
    """Another payment of this payer or for this account is not confirmed yet."""

    status = 409
    code = "E-DOUBT"

    def __init__(self, text: str = "您有一笔付款正在确认，请勿重复支付，确认后会通知您") -> None:
        super().__init__(text)


@dataclass(frozen=True)
class Answers:
    """What WeChat says of open orders: numbers of those found paid, and of those without an answer."""

    paid: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()


def query_open(services: Services, openid: str) -> Answers:
    """Query every open order of a payer at WeChat, all at once, and record each payment found."""
    with services.reading() as session:
        attempts = _open_attempts(session, Order.payer_openid == openid)
    return _query(services, attempts)


def check_none(services: Services, *, openid: str, account_no: str, besides: str | None = None) -> None:
    """Make sure that no other payment is unconfirmed before a payer is invited to pay.

    Open orders of the payer, and for the account, whose payment was prepared are queried at WeChat;
    without such orders nothing is sent.

    Args:
        besides: number of the order that is to be paid.

    Raises:
        PaymentInDoubt: another order is paid, or may be.
    """
    with services.reading() as session:
        attempts = _prepared(session, openid, account_no, besides)
    answers = _query(services, attempts)
    if answers.paid:
        raise PaymentInDoubt("刚刚查到另一笔付款，正在入账，请勿重复支付，到账后会通知您")
    if answers.unanswered:
        raise PaymentInDoubt


def may_be_paid(services: Services, *, openid: str, account_no: str, besides: str) -> bool:
    """Return True if another order could be paid, as far as our own books tell; nothing is sent."""
    with services.reading() as session:
        return bool(_prepared(session, openid, account_no, besides))


def _prepared(session: Session, openid: str, account_no: str, besides: str | None) -> list[tuple[str, str]]:
    whose = or_(Order.payer_openid == openid, Order.account_no == account_no)
    return _open_attempts(
        session, whose, PaymentAttempt.prepaid_at.is_not(None), Order.order_no != (besides or "")
    )


def _open_attempts(session: Session, *where: ColumnElement[bool]) -> list[tuple[str, str]]:
    """List order number and number at WeChat of every attempt, newest orders first."""
    newest = (
        select(Order.id)
        .join(PaymentAttempt, PaymentAttempt.order_id == Order.id)
        .where(Order.status.in_(UNPAID), *where)
        .distinct()
        .order_by(Order.id.desc())
        .limit(ORDERS_MAX)
    )
    query = (
        select(Order.order_no, PaymentAttempt.out_trade_no)
        .join(Order, Order.id == PaymentAttempt.order_id)
        .where(Order.id.in_(newest))
        .order_by(Order.id.desc(), PaymentAttempt.seq)
    )
    return [(order_no, out_trade_no) for order_no, out_trade_no in session.execute(query)]


def _query(services: Services, attempts: Sequence[tuple[str, str]]) -> Answers:
    """Ask about all attempts at once; what was paid is recorded one after the other."""

    def ask(out_trade_no: str) -> Trade | ServiceError | None:
        try:
            return services.pay.query(out_trade_no)
        except TradeNotFound:
            return None
        except ServiceError as error:
            return error

    numbers = [out_trade_no for _, out_trade_no in attempts]
    if len(numbers) > 1:
        with ThreadPoolExecutor(len(numbers)) as threads:
            # Each thread with the logging context of this request; a context runs in one thread at a time.
            contexts = [copy_context() for _ in numbers]
            answers = list(threads.map(lambda context, number: context.run(ask, number), contexts, numbers))
    else:
        answers = [ask(number) for number in numbers]
    paid: dict[str, None] = {}
    unanswered: dict[str, None] = {}
    for (order_no, _), answer in zip(attempts, answers, strict=True):
        if isinstance(answer, ServiceError):
            unanswered[order_no] = None
        elif answer is not None:
            try:
                if settle.record_trade(services, answer, cause="query") is not None:
                    paid[order_no] = None
            except ServiceError:
                # It contradicts the order: the job of that order shows it to an operator.
                unanswered[order_no] = None
    return Answers(tuple(paid), tuple(number for number in unanswered if number not in paid))
