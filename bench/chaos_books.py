"""What became of every payment: the platform's list beside ours, fen by fen."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from models.ledger import Entry, Posting
from models.order import Credit, CreditStatus, NotifyInbox, Order, OrderStatus, PaymentAttempt, PaymentFact
from models.outbox import OutboxItem, OutboxStatus
from models.review import ReviewItem
from payments.conservation import Conservation, check, conservation


@dataclass(frozen=True)
class Books:
    """The verdict. `stuck` counts payments that are not credited and promises that nobody keeps."""

    payments: int
    paid_fen: int
    lost_fen: int
    credited_twice: int
    stuck: int
    findings: list[str]
    sums: Conservation
    counts: dict[str, dict[str, int]]


def compare(session: Session, platform: dict[str, int]) -> Books:
    """Both sides. `platform` maps each out_trade_no that took money to its fen."""
    findings = check(session)
    credited = _credited(session)
    entries = _entries(session)
    missing = {number: fen for number, fen in platform.items() if number not in credited}
    lost_fen = sum(platform[number] - min(platform[number], credited.get(number, 0)) for number in platform)
    unpaid = [number for number in credited if number not in platform]
    return Books(
        payments=len(platform),
        paid_fen=sum(platform.values()),
        lost_fen=lost_fen,
        credited_twice=max(0, entries - len(credited)) + len(unpaid),
        stuck=len(missing) + _waiting(session),
        findings=findings,
        sums=conservation(session),
        counts=_counts(session),
    )


def unsettled(session: Session, payments: int) -> bool:
    """Whether something still moves: a payment without its credit, or a promise."""
    credited = session.scalar(select(func.count()).where(Credit.status == CreditStatus.CREDITED)) or 0
    return credited < payments or _waiting(session) > 0


def _waiting(session: Session) -> int:
    """Promises that are not kept; to look at a paid order once more when its time is over is none."""
    paid = select(Order.order_no).where(Order.status == OrderStatus.PAID)
    by_plan = and_(
        OutboxItem.kind == "settle", OutboxItem.status == OutboxStatus.READY, OutboxItem.key.in_(paid)
    )
    query = select(func.count()).where(OutboxItem.status != OutboxStatus.DONE, ~by_plan)
    return session.scalar(query) or 0


def _credited(session: Session) -> dict[str, int]:
    """Fen that reached the right account in the ledger, by out_trade_no."""
    query = (
        select(PaymentAttempt.out_trade_no, func.sum(Posting.amount_fen))
        .join(Credit, Credit.order_id == PaymentAttempt.order_id)
        .join(Entry, Entry.key == "credit:" + Credit.credit_no)
        .join(Posting, Posting.entry_id == Entry.id)
        .where(Credit.status == CreditStatus.CREDITED, Posting.book == "account:" + Credit.account_no)
        .group_by(PaymentAttempt.out_trade_no)
    )
    return {number: int(fen) for number, fen in session.execute(query)}


def _entries(session: Session) -> int:
    return session.scalar(select(func.count()).where(Entry.kind == "credit")) or 0


def _counts(session: Session) -> dict[str, dict[str, int]]:
    verdict = func.split_part(NotifyInbox.verdict, ":", 1)
    grouped: dict[str, Any] = {
        "orders": Order.status,
        "payments learned by": PaymentFact.cause,
        "notices kept": verdict,
        "credits": Credit.status,
        "outbox": OutboxItem.status,
        "asked a person": ReviewItem.kind,
    }
    counts: dict[str, dict[str, int]] = {}
    for name, column in grouped.items():
        rows = session.execute(select(column, func.count()).group_by(column))
        counts[name] = dict(Counter({str(value): count for value, count in rows}))
    return counts
