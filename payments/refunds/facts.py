"""What WeChat says about refunds: recorded by one function, by whatever way it was heard."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.errors import Mismatch
from models.order import Order, PaymentFact
from models.refund import Refund, RefundStatus, find_refund
from models.review import ReviewKind
from models.tidings import Tidings
from payments import outbox
from payments.confirm import WECHAT
from payments.refunds.approval import OURS
from payments.refunds.external import note_external_refund
from payments.refunds.steps import ask, locked, move, release
from payments.refunds.wording import refunded, submitted
from payments.wechatpay.client import RefundTrade

OLDER_NEWS = (RefundStatus.PROCESSING, RefundStatus.ABNORMAL)
ENDED = (RefundStatus.SUCCESS, RefundStatus.CLOSED)


def record_refund(session: Session, fact: RefundTrade, *, cause: str, now: datetime) -> Refund | None:
    """Record what became of a refund; a repeated or outdated fact changes nothing.

    Args:
        fact: from a verified notify, a signed answer or a bill.
        cause: which of those, for the history.
    Returns: the refund; None for a refund made elsewhere that found no money of the order to hold.
    Raises: Mismatch - numbers or amounts differ, or WeChat contradicts what is already known.
    """
    if find_refund(session, fact.out_refund_no) is None:
        return note_external_refund(session, fact, cause=cause, now=now)
    order, refund = locked(session, fact.out_refund_no)
    _match(session, order, refund, fact)
    new = RefundStatus(fact.status)
    accepted_before = refund.refund_id is not None
    if refund.status != new and not (accepted_before and _outdated(refund, new)):
        _check_possible(order, refund)
        refund.refund_id = fact.refund_id
        _move(session, order, refund, fact, cause=cause, now=now)
    refund.refund_id = fact.refund_id
    return refund


def notified(session: Session, fact: RefundTrade, *, mch_id: str, event_type: str, now: datetime) -> str:
    """Record a refund notification. Returns: the verdict for the inbox. Raises: Mismatch."""
    if fact.mch_id != mch_id:
        raise Mismatch("mchid", fact.out_trade_no)
    if event_type != f"REFUND.{fact.status}":
        raise Mismatch("event_type", fact.out_trade_no)
    refund = record_refund(session, fact, cause="notify", now=now)
    return f"refund:{fact.out_refund_no}" if refund is not None else f"refund:review:{fact.out_trade_no}"


def _match(session: Session, order: Order, refund: Refund, fact: RefundTrade) -> None:
    paid = session.scalar(
        select(PaymentFact).where(
            PaymentFact.provider == WECHAT, PaymentFact.out_trade_no == refund.out_trade_no
        )
    )
    if paid is None:
        raise Mismatch("refund_payment", order.order_no)
    ours = {
        "out_trade_no": refund.out_trade_no,
        "amount": refund.amount_fen,
        "refund_id": refund.refund_id or fact.refund_id,
        "transaction_id": paid.transaction_id,
        "total": paid.amount_fen,
        "currency": "CNY",
    }
    theirs = {
        "out_trade_no": fact.out_trade_no,
        "amount": fact.amount_fen,
        "refund_id": fact.refund_id,
        "transaction_id": fact.transaction_id,
        "total": fact.total_fen,
        "currency": fact.currency or "CNY",
    }
    for field, value in ours.items():
        if theirs[field] != value:
            raise Mismatch(f"refund_{field}", order.order_no)


def _outdated(refund: Refund, new: RefundStatus) -> bool:
    """News come late and out of order: under way and abnormal say nothing about what has ended."""
    if refund.status == RefundStatus.ABNORMAL:
        return new == RefundStatus.PROCESSING
    return refund.status in ENDED and new in OLDER_NEWS


def _check_possible(order: Order, refund: Refund) -> None:
    """WeChat cannot know a refund that we never sent, nor one of which we know another end."""
    never_sent = refund.status in (RefundStatus.REQUESTED, RefundStatus.APPROVED) and not refund.held
    if never_sent or refund.status in ENDED:
        raise Mismatch("refund_status", order.order_no)


def _move(
    session: Session, order: Order, refund: Refund, fact: RefundTrade, *, cause: str, now: datetime
) -> None:
    new = RefundStatus(fact.status)
    if refund.status == RefundStatus.APPROVED:
        # Sent before and believed not accepted: WeChat knows better.
        move(session, order, refund, RefundStatus.SENDING, actor=cause, now=now)
    move(session, order, refund, new, actor=cause, now=now)
    if new == RefundStatus.PROCESSING:
        _tell(session, order, refund, submitted(order, refund, at=now), now=now)
    elif new == RefundStatus.SUCCESS:
        refund.success_at = fact.success_at or now
        _tell(session, order, refund, refunded(order, refund, at=now), now=now)
    elif new == RefundStatus.CLOSED:
        release(session, refund)
        ask(session, order, refund, ReviewKind.REFUND_CLOSED, now=now, reason="closed by WeChat")
    else:
        ask(session, order, refund, ReviewKind.REFUND_ABNORMAL, now=now, reason="abnormal")


def _tell(session: Session, order: Order, refund: Refund, tidings: Tidings, *, now: datetime) -> None:
    if refund.origin != OURS:
        return
    key = f"refund-{refund.status.lower()}:{refund.out_refund_no}"
    outbox.put(session, "message", key, tidings.payload(order.payer_openid), now=now)
