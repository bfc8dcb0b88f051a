"""The sweeper: whatever should have moved and did not is promised again.

Every unfinished order, credit, swap, refund and payout has an outbox row that drives it. Should that
row be missing or done (a bug, a hand in the database), nothing would ever happen again; this finds it.
"""

from __future__ import annotations

from datetime import timedelta

import structlog
from sqlalchemy import ColumnElement, and_, exists, literal, or_, select, update
from sqlalchemy.orm import Session

from models.adjustment import UNDER_WAY as MOVING_ADJUSTMENT
from models.adjustment import Adjustment
from models.db.state import rows_changed
from models.order import Credit, CreditStatus, Order, OrderStatus
from models.outbox import OutboxItem, OutboxStatus
from models.payout import PartStatus, PayoutPart
from models.refund import Refund, RefundStatus
from models.swap import SwapIntent, SwapStatus
from payments import outbox, repairs, swap
from payments.confirm import COUNTER
from payments.services import Services

log = structlog.get_logger()

GRACE = timedelta(minutes=5)
BATCH = 200
MOVING_CREDIT = (CreditStatus.PENDING, CreditStatus.SENDING, CreditStatus.UNKNOWN)
MOVING_REFUND = (
    RefundStatus.APPROVED,
    RefundStatus.SENDING,
    RefundStatus.UNKNOWN,
    RefundStatus.PROCESSING,
)
# What the work of a kind is known by in its payload, where that is not the order.
NUMBERS = {
    "refund": "out_refund_no",
    "payout": "part_no",
    "adjustment": "adjustment_no",
    repairs.KIND: "subject",
}
MOVING_PART = (PartStatus.WAITING, PartStatus.SENDING, PartStatus.UNKNOWN)


def sweep(services: Services) -> None:
    """Promise again what nobody works on."""
    with services.transaction() as session:
        stuck = [("settle", number) for number in _stuck_orders(session, services)]
        stuck += [("credit", number) for number in _stuck_credits(session, services)]
        stuck += [(swap.KIND, number) for number in _stuck_swaps(session, services)]
        stuck += [("refund", number) for number in _stuck_refunds(session, services)]
        stuck += [("payout", number) for number in _stuck_payouts(session, services)]
        stuck += [("adjustment", number) for number in _stuck_adjustments(session, services)]
        stuck += [(repairs.KIND, subject) for subject in _stuck_repairs(session, services)]
        for kind, key in stuck:
            log.warning("swept", kind=kind, key=key)
            promise_again(session, kind, key, services)
    if stuck:
        services.wake()


def promise_again(session: Session, kind: str, key: str, services: Services) -> None:
    """Make the row ready now, whether it is missing, done or parked."""
    now = services.clock()
    revived = (
        update(OutboxItem)
        .where(OutboxItem.kind == kind, OutboxItem.key == key)
        .values(status=OutboxStatus.READY, next_at=now, attempts=0, lease_owner=None, leased_until=None)
    )
    if rows_changed(session, revived) == 0:
        outbox.put(session, kind, key, {NUMBERS.get(kind, "order_no"): key}, now=now)


def _driven(kind: str, key: ColumnElement[str]) -> ColumnElement[bool]:
    """Whether a row still drives this work: a parked one waits for a person, which is driven too."""
    return exists().where(
        and_(
            OutboxItem.kind == kind,
            OutboxItem.key == key,
            OutboxItem.status.in_((OutboxStatus.READY, OutboxStatus.PARKED)),
        )
    )


def _stuck_orders(session: Session, services: Services) -> list[str]:
    query = select(Order.order_no).where(
        Order.status.in_((OrderStatus.CREATED, OrderStatus.PREPAID)),
        Order.expires_at < services.clock() - GRACE,
        ~_driven("settle", Order.order_no.expression),
    )
    return list(session.scalars(query.limit(BATCH)))


def _stuck_credits(session: Session, services: Services) -> list[str]:
    query = (
        select(Order.order_no)
        .join(Credit, Credit.order_id == Order.id)
        .where(
            Credit.status.in_(MOVING_CREDIT),
            Credit.changed_at < services.clock() - GRACE,
            ~_driven("credit", Order.order_no.expression),
        )
    )
    return list(session.scalars(query.limit(BATCH)))


def _stuck_swaps(session: Session, services: Services) -> list[str]:
    query = (
        select(Order.order_no)
        .join(SwapIntent, SwapIntent.order_id == Order.id)
        .join(Credit, Credit.order_id == Order.id)
        .where(
            SwapIntent.status == SwapStatus.WAITING,
            # Before that the money has not arrived: the credit drives it.
            Credit.status == CreditStatus.CREDITED,
            Credit.changed_at < services.clock() - GRACE,
            ~_driven(swap.KIND, Order.order_no.expression),
        )
    )
    return list(session.scalars(query.limit(BATCH)))


def _stuck_refunds(session: Session, services: Services) -> list[str]:
    query = select(Refund.out_refund_no).where(
        Refund.status.in_(MOVING_REFUND),
        # The counter owes it: a clerk ends it, no job.
        or_(Refund.status != RefundStatus.PROCESSING, Refund.origin != COUNTER),
        Refund.changed_at < services.clock() - GRACE,
        ~_driven("refund", Refund.out_refund_no.expression),
    )
    return list(session.scalars(query.limit(BATCH)))


def _stuck_payouts(session: Session, services: Services) -> list[str]:
    query = select(PayoutPart.part_no).where(
        PayoutPart.status.in_(MOVING_PART),
        PayoutPart.changed_at < services.clock() - GRACE,
        ~_driven("payout", PayoutPart.part_no.expression),
    )
    return list(session.scalars(query.limit(BATCH)))


def _stuck_repairs(session: Session, services: Services) -> list[str]:
    since = services.clock() - GRACE
    found: list[str] = []
    for name, number, moving, changed_at in (
        ("credit", Credit.credit_no, Credit.status == CreditStatus.TAKING_BACK, Credit.changed_at),
        ("part", PayoutPart.part_no, PayoutPart.status == PartStatus.RETURNING, PayoutPart.changed_at),
    ):
        subject = literal(f"{name}:") + number
        query = select(subject).where(moving, changed_at < since, ~_driven(repairs.KIND, subject))
        found += session.scalars(query.limit(BATCH))
    return found


def _stuck_adjustments(session: Session, services: Services) -> list[str]:
    query = select(Adjustment.adjustment_no).where(
        Adjustment.status.in_(MOVING_ADJUSTMENT),
        Adjustment.changed_at < services.clock() - GRACE,
        ~_driven("adjustment", Adjustment.adjustment_no.expression),
    )
    return list(session.scalars(query.limit(BATCH)))
