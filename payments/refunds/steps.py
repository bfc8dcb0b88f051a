"""The steps that all refund work shares: locking, the money of a payment, moving, ending.

Locks are always taken in the same order: the order, its credit, its allocation, the refund. The order
is locked with `key_share`: a credit's job holds the credit while PostgreSQL checks its foreign key to
the order, and would wait for us for ever as we for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import allocation, journal
from models.adjustment import HOLDING, Adjustment
from models.allocation import Allocation
from models.errors import Refused
from models.order import Credit, CreditStatus, Order, PaymentFact, move_credit
from models.payout import PayoutPart
from models.refund import Refund, RefundStatus, ReversalStatus, move_refund, refunds_of
from models.review import ReviewKind, ask_person

WAITING_CREDIT = (CreditStatus.PENDING, CreditStatus.REJECTED)


class NoSuchRefund(Refused):
    """No refund has this number."""

    status = 404
    code = "E-REFUND"

    def __init__(self, text: str = "没有找到这笔退款") -> None:
        super().__init__(text)


@dataclass(frozen=True)
class Money:
    """Where one payment's money is, under lock, in fen.

    `free_fen` is held by nobody; `spare_fen` is what of it is not promised to a waiting credit
    either (a second payment, a credit that was reversed or voided before). `credit` is None for a
    payment that the order's credit is not for.
    """

    credit: Credit | None
    credited_fen: int
    free_fen: int
    spare_fen: int


def locked(session: Session, out_refund_no: str) -> tuple[Order, Refund]:
    """The refund and its order, the order locked until the transaction ends. Raises: NoSuchRefund."""
    order = session.scalar(
        select(Order)
        .join(Refund, Refund.order_id == Order.id)
        .where(Refund.out_refund_no == out_refund_no)
        .with_for_update(of=Order, key_share=True)
        .execution_options(populate_existing=True)
    )
    if order is None:
        raise NoSuchRefund
    query = select(Refund).where(Refund.out_refund_no == out_refund_no)
    return order, session.scalars(query.execution_options(populate_existing=True)).one()


def money_of(session: Session, order: Order, out_trade_no: str) -> Money:
    """The money of one payment of a locked order; locks the order's credit.

    The credit is for the payment that paid the order; of any other one nothing is in billing.
    """
    paid = session.scalars(
        select(PaymentFact).where(PaymentFact.order_id == order.id, PaymentFact.out_trade_no == out_trade_no)
    ).one()
    held = [r for r in refunds_of(session, order.id) if r.held and r.out_trade_no == out_trade_no]
    left_fen = paid.amount_fen - sum(refund.amount_fen for refund in held)
    left_fen -= _moved_otherwise(session, out_trade_no)
    credit = session.scalar(
        select(Credit)
        .where(Credit.order_id == order.id)
        .with_for_update(of=Credit)
        .execution_options(populate_existing=True)
    )
    if credit is None or paid.transaction_id != order.transaction_id:
        return Money(None, 0, left_fen, left_fen)
    allocated = session.get_one(Allocation, order.id, populate_existing=True)
    credited_fen = allocated.credit_fen - allocated.reversed_fen
    promised_fen = credit.amount_fen if credit.status in WAITING_CREDIT else 0
    return Money(credit, credited_fen, left_fen - credited_fen, left_fen - credited_fen - promised_fen)


def _moved_otherwise(session: Session, out_trade_no: str) -> int:
    """Return what of a payment was put back on the account, or goes by bank, after a refund failed."""
    restored = select(func.sum(Adjustment.amount_fen)).where(
        Adjustment.out_trade_no == out_trade_no, Adjustment.status.in_(HOLDING)
    )
    by_bank = select(func.sum(PayoutPart.amount_fen)).where(PayoutPart.out_trade_no == out_trade_no)
    return int(session.scalar(restored) or 0) + int(session.scalar(by_bank) or 0)


def void(session: Session, order: Order, credit: Credit, *, actor: str, now: datetime) -> None:
    """The credit will never be sent: its money goes back instead. Raises: Conflict."""
    move_credit(session, credit, CreditStatus.VOIDED, now=now, reason="refunded")
    journal.note(
        session,
        "credit-voided",
        order_no=order.order_no,
        actor=actor,
        now=now,
        credit_no=credit.credit_no,
        amount_fen=credit.amount_fen,
    )


def move(
    session: Session,
    order: Order,
    refund: Refund,
    new: RefundStatus,
    *,
    actor: str,
    now: datetime,
    error: str | None = None,
) -> None:
    """Move a refund and write it into the journal. Raises: IllegalTransition, Conflict."""
    old = refund.status
    move_refund(session, refund, new, now=now, error=error[:200] if error else None)
    note(session, order, refund, f"refund-{new.lower()}", actor=actor, now=now, before=old, reason=error)


def note(
    session: Session, order: Order, refund: Refund, what: str, *, actor: str, now: datetime, **facts: object
) -> None:
    """Write what happened to a refund into the journal."""
    journal.note(
        session,
        what,
        order_no=order.order_no,
        actor=actor,
        now=now,
        out_refund_no=refund.out_refund_no,
        amount_fen=refund.amount_fen,
        **facts,
    )


def give_up(
    session: Session,
    order: Order,
    refund: Refund,
    kind: ReviewKind,
    *,
    actor: str,
    now: datetime,
    reason: str,
) -> None:
    """End a refund that WeChat certainly does not have; a person decides what to do with the money."""
    if refund.status == RefundStatus.SENDING:
        move(session, order, refund, RefundStatus.APPROVED, actor=actor, now=now, error=reason)
    move(session, order, refund, RefundStatus.CLOSED, actor=actor, now=now, error=reason)
    release(session, refund)
    ask(session, order, refund, kind, now=now, reason=reason)


def release(session: Session, refund: Refund) -> None:
    """The refund holds no money any more."""
    if refund.held:
        allocation.release_refund(session, refund.order_id, refund.amount_fen)
        refund.held = False


def ask(
    session: Session,
    order: Order,
    refund: Refund,
    kind: ReviewKind,
    *,
    now: datetime,
    reason: str,
    about: str = "",
) -> None:
    """Ask a person about a refund, once per kind and `about`."""
    ask_person(
        session,
        kind,
        f"{refund.out_refund_no}:{about}" if about else refund.out_refund_no,
        order_id=order.id,
        amount_fen=refund.amount_fen,
        now=now,
        order_no=order.order_no,
        out_refund_no=refund.out_refund_no,
        # What `run-again` gives another life.
        job="refund",
        number=refund.out_refund_no,
        # Tells whether the student's account has been charged for it already.
        reversed=refund.reversal == ReversalStatus.DONE,
        reason=reason,
    )
