"""What became of every payment: the platform's list beside ours, fen by fen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session, aliased

from models.ledger import Entry, Posting
from models.order import Credit, NotifyInbox, Order, OrderStatus, PaymentAttempt, PaymentFact
from models.outbox import OutboxItem, OutboxStatus
from models.refund import Refund
from models.review import ReviewItem
from payments.audit.invariants import Conservation, check, conservation


@dataclass(frozen=True)
class Books:
    """The verdict. `stuck` counts payments that are neither credited nor back, and promises nobody keeps."""

    payments: int
    paid_fen: int
    refunded_fen: int
    lost_fen: int
    credited_twice: int
    stuck: int
    findings: list[str]
    sums: Conservation
    counts: dict[str, dict[str, int]]


def compare(session: Session, paid: dict[str, int], refunded: dict[str, int]) -> Books:
    """Both sides: what the platform took and gave back, fen by out_trade_no, beside the accounts' money."""
    kept = _on_accounts(session)
    rest = {number: fen - kept.get(number, 0) - refunded.get(number, 0) for number, fen in paid.items()}
    unpaid = [number for number, fen in kept.items() if number not in paid and fen]
    return Books(
        payments=len(paid),
        paid_fen=sum(paid.values()),
        refunded_fen=sum(refunded.values()),
        lost_fen=sum(fen for fen in rest.values() if fen > 0),
        credited_twice=sum(fen < 0 for fen in rest.values()) + len(unpaid) + _entries_too_many(session),
        stuck=sum(fen > 0 for fen in rest.values()) + _waiting(session),
        findings=check(session),
        sums=conservation(session),
        counts=_counts(session),
    )


def unsettled(session: Session, payments: int) -> bool:
    """Whether something still moves: a payment we do not know of, a promise, a fen on its way."""
    known = session.scalar(select(func.count()).select_from(PaymentFact)) or 0
    return known < payments or _waiting(session) > 0 or conservation(session).in_flight_fen > 0


def _waiting(session: Session) -> int:
    """Promises that are not kept; to look at a paid order once more when its time is over is none."""
    paid = select(Order.order_no).where(Order.status == OrderStatus.PAID)
    by_plan = and_(
        OutboxItem.kind == "settle", OutboxItem.status == OutboxStatus.READY, OutboxItem.key.in_(paid)
    )
    query = select(func.count()).where(OutboxItem.status != OutboxStatus.DONE, ~by_plan)
    return session.scalar(query) or 0


def _on_accounts(session: Session) -> dict[str, int]:
    """Fen that reached the right account in the ledger and stayed there, by out_trade_no."""
    entry = aliased(Entry)
    query = (
        select(PaymentAttempt.out_trade_no, func.sum(Posting.amount_fen))
        .join(Credit, Credit.order_id == PaymentAttempt.order_id)
        .join(Entry, Entry.key == "credit:" + Credit.credit_no)
        # The credit itself, and the entries that take it back.
        .join(entry, or_(entry.id == Entry.id, entry.corrects == Entry.id))
        .join(Posting, Posting.entry_id == entry.id)
        .where(Posting.book == "account:" + Credit.account_no)
        .group_by(PaymentAttempt.out_trade_no)
    )
    return {number: int(fen) for number, fen in session.execute(query)}


def _entries_too_many(session: Session) -> int:
    """Credits in the ledger beyond one for each credit of ours."""
    entries = session.scalar(select(func.count()).where(Entry.kind == "credit")) or 0
    return max(0, entries - (session.scalar(select(func.count()).select_from(Credit)) or 0))


def _counts(session: Session) -> dict[str, dict[str, int]]:
    verdict = func.split_part(NotifyInbox.verdict, ":", 1)
    grouped: dict[str, Any] = {
        "orders": Order.status,
        "payments learned by": PaymentFact.cause,
        "notices kept": verdict,
        "credits": Credit.status,
        "refunds": Refund.status,
        "outbox": OutboxItem.status,
        "asked a person": ReviewItem.kind,
    }
    counts: dict[str, dict[str, int]] = {}
    for name, column in grouped.items():
        rows = session.execute(select(column, func.count()).group_by(column))
        counts[name] = dict(Counter({str(value): count for value, count in rows}))
    return counts
