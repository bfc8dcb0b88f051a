"""What becomes of the money of a dismissed item: it stays listed as written off, or as owed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.adjustment import Adjustment
from models.order import Order
from models.outbox import OutboxItem, OutboxStatus
from models.payout import PayoutPart
from models.refund import Refund
from models.review import ReviewItem, ReviewKind, ReviewStatus, ask_person
from models.write_off import WriteOff, WriteOffKind
from payments import numbers
from payments.audit.invariants import money_by_payment
from payments.audit.review_money import unasked_fen
from payments.review.actions.base import Decision

# Items about what somebody else's books say: their amount is not found in the states of an order.
REPORTED = (ReviewKind.NOTIFY_MISMATCH, ReviewKind.BILL_DIFFERENCE)
# The amount of a job's money, and the number that the job is known by.
_JOBS: dict[str, tuple[Any, Any]] = {
    "credit": (Order.amount_fen, Order.order_no),
    "refund": (Refund.amount_fen, Refund.out_refund_no),
    "payout": (PayoutPart.amount_fen, PayoutPart.part_no),
    "adjustment": (func.abs(Adjustment.amount_fen), Adjustment.adjustment_no),
}


@dataclass(frozen=True)
class _AtRest:
    """Money that nothing moves any more once its item is closed; `order_id` where the states show it."""

    amount_fen: int
    order_id: int | None = None


def holds_money(session: Session, item: ReviewItem) -> bool:
    """Return True if dismissing the item needs two operators.

    Wrong books have no amount, but accounts are held until they are explained.
    """
    return item.kind == ReviewKind.BOOKS_WRONG or bool(item.amount_fen) or _at_rest(session, item) is not None


def write_off(decision: Decision, kind: WriteOffKind) -> bool:
    """List the money of an item under the names of both operators; it stays where it is.

    Returns: False if the item holds none.
    """
    item, session = decision.item, decision.session
    found = _at_rest(session, item)
    if found is None:
        return False
    session.add(
        WriteOff(
            item_id=item.id,
            order_id=found.order_id,
            subject=str(item.facts.get("order_no") or item.facts.get("number") or item.key)[:80],
            amount_fen=found.amount_fen,
            kind=kind,
            proposed_by=str(item.proposed_by),
            approved_by=decision.actor.name,
            evidence=item.evidence or "",
            created_at=decision.services.clock(),
        )
    )
    return True


def ask_about_the_rest(session: Session, item: ReviewItem, *, now: datetime) -> None:
    """Open a question where closing `item` left money of its order in review that nothing asks about."""
    if item.order_id is None:
        return
    session.flush()  # what the decision changed counts
    left_fen = unasked_fen(session, money_by_payment(), item.order_id)
    if left_fen <= 0 or _others_ask(session, item):
        return
    payments = money_by_payment().subquery()
    query = select(payments.c.order_no, payments.c.out_trade_no).where(
        payments.c.order_id == item.order_id, payments.c.review > 0
    )
    order_no, out_trade_no = session.execute(query.limit(1)).one()
    ask_person(
        session,
        ReviewKind.MONEY_LEFT,
        f"{order_no}:{item.id}:{now.isoformat()}",
        order_id=item.order_id,
        amount_fen=left_fen,
        now=now,
        order_no=order_no,
        out_trade_no=out_trade_no,
        closed_item=item.id,
    )


def end_write_offs(session: Session, item_id: int, *, now: datetime) -> int:
    """End the rows of an item that is asked again. Returns: how many there were."""
    query = select(WriteOff).where(WriteOff.item_id == item_id, WriteOff.ended_at.is_(None))
    rows = list(session.scalars(query))
    for row in rows:
        row.ended_at = now
    return len(rows)


def list_write_offs(session: Session, *, after_id: int = 0, limit: int = 50) -> list[WriteOff]:
    """Return what is written off or owed and was not asked again, oldest first (keyset paging)."""
    query = select(WriteOff).where(WriteOff.ended_at.is_(None), WriteOff.id > after_id)
    return list(session.scalars(query.order_by(WriteOff.id).limit(limit)))


def _at_rest(session: Session, item: ReviewItem) -> _AtRest | None:
    if item.kind == ReviewKind.JOB_FAILED and (parked := _parked_fen(session, item)):
        return _AtRest(parked)
    if item.kind in REPORTED:
        return _AtRest(abs(item.amount_fen)) if item.amount_fen and _is_ours(item) else None
    if item.order_id is None:
        return None
    left_fen = unasked_fen(session, money_by_payment(), item.order_id)
    if _others_ask(session, item):
        left_fen = min(left_fen, item.amount_fen or left_fen)
    return _AtRest(left_fen, item.order_id) if left_fen > 0 else None


def _is_ours(item: ReviewItem) -> bool:
    """Return False for payments of other systems: they are counted, their money is not ours to list."""
    facts = item.facts
    if item.kind == ReviewKind.NOTIFY_MISMATCH and facts.get("field") == "out_trade_no":
        return numbers.is_ours(str(facts.get("number")))
    return "some_numbers" not in facts


def _others_ask(session: Session, item: ReviewItem) -> bool:
    query = select(ReviewItem.id).where(
        ReviewItem.order_id == item.order_id,
        ReviewItem.id != item.id,
        ReviewItem.status != ReviewStatus.CLOSED,
    )
    return session.scalars(query.limit(1)).first() is not None


def _parked_fen(session: Session, item: ReviewItem) -> int:
    """Return the money of a job that was given up; 0 for one that still runs, or moves no money."""
    job, number = str(item.facts.get("job")), str(item.facts.get("number"))
    if job not in _JOBS:
        return 0
    parked = select(OutboxItem.id).where(
        OutboxItem.kind == job, OutboxItem.key == number, OutboxItem.status == OutboxStatus.PARKED
    )
    amount_fen, name = _JOBS[job]
    return int(session.scalar(select(amount_fen).where(name == number, parked.exists())) or 0)
