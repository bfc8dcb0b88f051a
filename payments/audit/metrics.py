"""Figures an operator watches: read from the states, cheap enough to be asked every few seconds."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.order import Credit, CreditStatus, NotifyInbox, Order
from models.outbox import OutboxItem, OutboxStatus
from models.refund import Refund
from models.review import ReviewItem, ReviewStatus
from models.statement import Difference, ReconRun
from payments.counter.confirmation import count_unconfirmed
from payments.reconcile.result import TRADE

# Latency is told of the newest credits only: what the service is like now.
LATENCY_SAMPLE = 500
STALE_AFTER = timedelta(minutes=5)


@dataclass(frozen=True)
class QueueFigure:
    """Work of one kind: how much is ready, since when the oldest is due, how much is parked."""

    kind: str
    ready: int
    parked: int
    oldest_due_s: float


@dataclass(frozen=True)
class Figures:
    """All figures at one instant; latencies in seconds from payment to credit."""

    orders: dict[str, int]
    credits: dict[str, int]
    refunds: dict[str, int]
    reviews_open: dict[str, int]
    notices: dict[str, int]
    queues: tuple[QueueFigure, ...]
    credit_p50_s: float
    credit_p99_s: float
    differences_last_run: int
    transfers_unconfirmed: int


def figures(session: Session, now: datetime) -> Figures:
    """Everything `/metrics` tells, in ten queries."""
    latencies = _latencies(session)
    return Figures(
        orders=_count(session, Order),
        credits=_count(session, Credit),
        refunds=_count(session, Refund),
        reviews_open=dict(
            session.execute(
                select(ReviewItem.kind, func.count())
                .where(ReviewItem.status != ReviewStatus.CLOSED)
                .group_by(ReviewItem.kind)
            ).all()
        ),
        notices=_notices(session),
        queues=queues(session, now),
        credit_p50_s=_quantile(latencies, 0.5),
        credit_p99_s=_quantile(latencies, 0.99),
        differences_last_run=_differences(session),
        transfers_unconfirmed=count_unconfirmed(session),
    )


def queues(session: Session, now: datetime) -> tuple[QueueFigure, ...]:
    """The outbox by kind, without what is done."""
    rows = session.execute(
        select(OutboxItem.kind, OutboxItem.status, func.count(), func.min(OutboxItem.next_at))
        .where(OutboxItem.status != OutboxStatus.DONE)
        .group_by(OutboxItem.kind, OutboxItem.status)
    ).all()
    ready = {kind: (count, first) for kind, status, count, first in rows if status == OutboxStatus.READY}
    parked = {kind: count for kind, status, count, _ in rows if status == OutboxStatus.PARKED}
    return tuple(
        QueueFigure(
            kind,
            ready.get(kind, (0, now))[0],
            parked.get(kind, 0),
            max(0.0, (now - ready.get(kind, (0, now))[1]).total_seconds()),
        )
        for kind in sorted({*ready, *parked})
    )


def credits_flow(session: Session, now: datetime) -> bool:
    """Whether no credit has been due for more than five minutes: what the status page promises."""
    waiting = session.scalar(
        select(OutboxItem.id)
        .where(
            OutboxItem.kind == "credit",
            OutboxItem.status == OutboxStatus.READY,
            OutboxItem.created_at < now - STALE_AFTER,
        )
        .limit(1)
    )
    return waiting is None


def _count(session: Session, table: type[Order | Credit | Refund]) -> dict[str, int]:
    rows = session.execute(select(table.status, func.count()).group_by(table.status)).all()
    return {str(status): count for status, count in rows}


def _notices(session: Session) -> dict[str, int]:
    """Callbacks of the last day by verdict, without the order numbers."""
    newest = session.scalar(select(func.max(NotifyInbox.received_at)))
    if newest is None:
        return {}
    found: Counter[str] = Counter()
    rows = session.scalars(
        select(NotifyInbox.verdict).where(NotifyInbox.received_at > newest - timedelta(days=1))
    )
    for verdict in rows:
        found[(verdict or "open").split(":")[0]] += 1
    return dict(found)


def _latencies(session: Session) -> list[float]:
    rows = session.execute(
        select(Order.paid_at, Credit.changed_at)
        .join(Credit, Credit.order_id == Order.id)
        .where(Credit.status == CreditStatus.CREDITED)
        .order_by(Credit.id.desc())
        .limit(LATENCY_SAMPLE)
    ).all()
    return sorted((credited - paid).total_seconds() for paid, credited in rows if paid is not None)


def _quantile(sorted_values: list[float], share: float) -> float:
    if not sorted_values:
        return 0.0
    return sorted_values[min(len(sorted_values) - 1, int(share * len(sorted_values)))]


def _differences(session: Session) -> int:
    last = session.scalar(select(func.max(ReconRun.id)).where(ReconRun.kind == TRADE))
    if last is None:
        return 0
    return session.scalar(select(func.count()).select_from(Difference).where(Difference.run_id == last)) or 0
