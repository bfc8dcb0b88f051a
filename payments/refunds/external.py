"""Refunds that were made elsewhere (merchant console, disputes): found, recorded, shown to a person."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import allocation, journal
from models.errors import Mismatch
from models.order import Order, PaymentAttempt, PaymentFact
from models.refund import Refund, RefundStatus, ReversalStatus, refunds_of
from models.review import ReviewItem, ReviewKind, ask_person
from payments.confirm import WECHAT
from payments.refunds.steps import WAITING_CREDIT, money_of, void
from payments.wechatpay.client import RefundTrade

EXTERNAL = "external"
REASON = "在商户平台退款"
# The length of a review item's key.
KEY_MAX = 80


@dataclass(frozen=True)
class Told:
    """A refund made elsewhere, as far as WeChat told of it; `refund_id` None for a guess."""

    out_trade_no: str
    out_refund_no: str
    refund_id: str | None
    amount_fen: int
    status: RefundStatus
    success_at: datetime | None


def note_external_refund(session: Session, fact: RefundTrade, *, cause: str, now: datetime) -> Refund | None:
    """Record a refund that WeChat knows and we did not ask for; a repetition changes nothing.

    A credit that still waits is voided: money that went back is never credited beside it.
    Returns: the refund, or None - the order's money is already committed (credited, say) or the refund was
        closed, so that nothing was recorded; a person is asked in any case.
    Raises: Mismatch - no such payment of ours, or another transaction or total.
    """
    order = _locked_order(session, fact.out_trade_no)
    _match(session, order, fact)
    known = next((r for r in refunds_of(session, order.id) if r.out_refund_no == fact.out_refund_no), None)
    if known is not None:
        return known
    told = Told(
        out_trade_no=fact.out_trade_no,
        out_refund_no=fact.out_refund_no,
        refund_id=fact.refund_id,
        amount_fen=fact.amount_fen,
        status=RefundStatus(fact.status),
        success_at=fact.success_at,
    )
    if told.status == RefundStatus.CLOSED:
        # Also beside a guess: a refund that came to nothing is not the one that was seen.
        _ask(session, order, told, cause=cause, now=now, held=False)
        return None
    guessed = _guessed(session, fact.out_trade_no)
    if guessed is not None:
        return _make_sure(session, order, guessed, fact, cause=cause, now=now)
    return _take(session, order, told, cause=cause, now=now)


def note_refunded_trade(
    session: Session, order: Order, out_trade_no: str, *, cause: str, now: datetime
) -> None:
    """WeChat shows a payment as refunded (trade_state REFUND): unless we did it, keep its money from billing.

    That state tells neither number nor amount, so the whole payment counts as gone until a notice,
    a bill or a person says more.
    """
    refunds = [r for r in refunds_of(session, order.id) if r.out_trade_no == out_trade_no]
    if any(refund.status != RefundStatus.CLOSED for refund in refunds):
        return
    paid = _paid(session, out_trade_no)
    if paid is None:
        raise Mismatch("refund_payment", order.order_no)
    told = Told(
        out_trade_no=out_trade_no,
        out_refund_no=_guessed_no(out_trade_no),
        refund_id=None,
        amount_fen=paid.amount_fen,
        status=RefundStatus.SUCCESS,
        success_at=None,
    )
    _take(session, order, told, cause=cause, now=now)


def _locked_order(session: Session, out_trade_no: str) -> Order:
    order = session.scalar(
        select(Order)
        .join(PaymentAttempt, PaymentAttempt.order_id == Order.id)
        .where(PaymentAttempt.out_trade_no == out_trade_no)
        .with_for_update(of=Order, key_share=True)
        .execution_options(populate_existing=True)
    )
    if order is None:
        raise Mismatch("out_trade_no", out_trade_no)
    return order


def _paid(session: Session, out_trade_no: str) -> PaymentFact | None:
    return session.scalar(
        select(PaymentFact).where(PaymentFact.provider == WECHAT, PaymentFact.out_trade_no == out_trade_no)
    )


def _match(session: Session, order: Order, fact: RefundTrade) -> None:
    paid = _paid(session, fact.out_trade_no)
    if paid is None:
        # The payment itself is not known yet; the query that finds it also sees that it was refunded.
        raise Mismatch("refund_payment", order.order_no)
    if paid.transaction_id != fact.transaction_id:
        raise Mismatch("refund_transaction_id", order.order_no)
    if paid.amount_fen != fact.total_fen:
        raise Mismatch("refund_total", order.order_no)
    if fact.currency not in {"", "CNY"}:
        raise Mismatch("refund_currency", order.order_no)


def _take(
    session: Session,
    order: Order,
    told: Told,
    *,
    cause: str,
    now: datetime,
) -> Refund | None:
    """Hold the money and add the row, if the order has that much; ask a person either way."""
    money = money_of(session, order, told.out_trade_no)
    refund = None
    if money.free_fen >= told.amount_fen:
        waiting = money.credit is not None and money.credit.status in WAITING_CREDIT
        if money.credit is not None and waiting and money.spare_fen < told.amount_fen:
            # Also when only a part went back: the rest cannot be credited by itself, a person sees to it.
            void(session, order, money.credit, actor=cause, now=now)
        allocation.hold_refund(session, order.id, told.amount_fen)
        refund = _add(session, order, told, now)
    _ask(session, order, told, cause=cause, now=now, held=refund is not None)
    return refund


def _add(session: Session, order: Order, told: Told, now: datetime) -> Refund:
    """A row in the state that WeChat reports: it never waited for us."""
    refund = Refund(
        order_id=order.id,
        out_refund_no=told.out_refund_no,
        out_trade_no=told.out_trade_no,
        refund_id=told.refund_id,
        amount_fen=told.amount_fen,
        reason=REASON,
        origin=EXTERNAL,
        status=told.status,
        reversal=ReversalStatus.NOT_NEEDED,
        held=True,
        requested_by=WECHAT,
        success_at=told.success_at,
        created_at=now,
        changed_at=now,
    )
    session.add(refund)
    return refund


def _guessed_no(out_trade_no: str) -> str:
    return f"x{out_trade_no}"


def _guessed(session: Session, out_trade_no: str) -> Refund | None:
    """The row that `note_refunded_trade` wrote before anybody knew number and amount."""
    query = select(Refund).where(
        Refund.out_refund_no == _guessed_no(out_trade_no), Refund.refund_id.is_(None)
    )
    return session.scalar(query)


def _make_sure(
    session: Session, order: Order, guessed: Refund, fact: RefundTrade, *, cause: str, now: datetime
) -> Refund:
    """Now number and amount are known: the row takes them, what was held too much is free again."""
    if fact.amount_fen > guessed.amount_fen:
        raise Mismatch("refund_amount", order.order_no)
    surplus_fen = guessed.amount_fen - fact.amount_fen
    if surplus_fen:
        allocation.release_refund(session, order.id, surplus_fen)
    guessed.out_refund_no, guessed.refund_id = fact.out_refund_no, fact.refund_id
    guessed.amount_fen = fact.amount_fen
    guessed.success_at, guessed.changed_at = fact.success_at, now
    _journal(session, order, fact.out_refund_no, fact.amount_fen, cause=cause, now=now, held=True)
    if surplus_fen:
        # The rest was neither credited nor returned: a closed question about the guess does not cover it.
        _ask_person(session, order, guessed, surplus_fen, now=now)
    return guessed


def _ask_person(session: Session, order: Order, refund: Refund, surplus_fen: int, *, now: datetime) -> None:
    ask_person(
        session,
        ReviewKind.EXTERNAL_REFUND,
        f"{refund.out_refund_no}:rest",
        order_id=order.id,
        amount_fen=surplus_fen,
        now=now,
        order_no=order.order_no,
        out_trade_no=refund.out_trade_no,
        recorded=True,
    )


def _ask(session: Session, order: Order, told: Told, *, cause: str, now: datetime, held: bool) -> None:
    query = select(ReviewItem.id).where(
        ReviewItem.kind == ReviewKind.EXTERNAL_REFUND, ReviewItem.key == told.out_refund_no[:KEY_MAX]
    )
    if session.scalar(query) is not None:
        return
    _journal(session, order, told.out_refund_no, told.amount_fen, cause=cause, now=now, held=held)
    ask_person(
        session,
        ReviewKind.EXTERNAL_REFUND,
        told.out_refund_no,
        order_id=order.id,
        amount_fen=told.amount_fen,
        now=now,
        order_no=order.order_no,
        out_refund_no=told.out_refund_no,
        recorded=held,
    )


def _journal(
    session: Session,
    order: Order,
    out_refund_no: str,
    amount_fen: int,
    *,
    cause: str,
    now: datetime,
    held: bool,
) -> None:
    journal.note(
        session,
        "refund-external",
        order_no=order.order_no,
        actor=cause,
        now=now,
        out_refund_no=out_refund_no,
        amount_fen=amount_fen,
        recorded=held,
    )
