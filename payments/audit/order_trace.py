"""One order from prepay to the ledger entry: every record of it, in the order of time.

For operators. Ids, states and fen only: no names, no openids, nothing that a person wrote.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, literal, or_, select
from sqlalchemy.orm import Session

from models.journal import JournalRow, JournalSeal
from models.ledger import Entry, Posting
from models.money import yuan
from models.order import (
    Credit,
    NotifyInbox,
    Order,
    PaymentAttempt,
    PaymentFact,
    attempts_of,
    credit_of,
    events_of,
)
from models.outbox import OutboxItem
from models.refund import Refund, refunds_of
from payments.confirm import COUNTER, WECHAT

SEAL_SHOWN = 12


@dataclass(frozen=True, order=True)
class Line:
    """`source` names the table, `text` what it says."""

    at: datetime
    source: str
    text: str


def find(session: Session, number: str) -> Order | None:
    """The order with this order_no, out_trade_no, transaction_id or out_refund_no."""
    by_attempt = select(PaymentAttempt.order_id).where(PaymentAttempt.out_trade_no == number)
    by_fact = select(PaymentFact.order_id).where(
        PaymentFact.provider.in_((WECHAT, COUNTER)), PaymentFact.transaction_id == number
    )
    by_refund = select(Refund.order_id).where(Refund.out_refund_no == number)
    wanted = or_(Order.order_no == number, *(Order.id.in_(ids) for ids in (by_attempt, by_fact, by_refund)))
    return session.scalar(select(Order).where(wanted))


def trace(session: Session, order: Order) -> list[Line]:
    """Everything that is recorded about an order, oldest first."""
    return sorted(
        [
            *_payment(session, order),
            *_notices(session, order),
            *_credit(credit_of(session, order.id)),
            *_refunds(refunds_of(session, order.id)),
            *_jobs(session, order),
            *_ledger(session, order),
            *_journal(session, order.order_no),
        ]
    )


def _payment(session: Session, order: Order) -> Iterator[Line]:
    for event in events_of(session, order.id):
        yield Line(event.at, "order", f"{event.status} by {event.cause}")
    for attempt in attempts_of(session, order.id):
        yield Line(attempt.created_at, "attempt", attempt.out_trade_no)
        if attempt.prepaid_at is not None:
            yield Line(attempt.prepaid_at, "prepay", f"{attempt.out_trade_no} {attempt.prepay_id}")
    for fact in session.scalars(select(PaymentFact).where(PaymentFact.order_id == order.id)):
        said = f"{fact.transaction_id} {yuan(fact.amount_fen)}, paid {fact.paid_at:%H:%M:%S}Z"
        yield Line(fact.recorded_at, "payment", f"{said}, learned by {fact.cause}")


def _notices(session: Session, order: Order) -> Iterator[Line]:
    """WeChat's callbacks as they were kept: a verdict names the number that it is about."""
    numbers = {order.order_no, *(a.out_trade_no for a in attempts_of(session, order.id))}
    mine = or_(*(NotifyInbox.verdict.contains(number, autoescape=True) for number in numbers))
    query = select(NotifyInbox.id, NotifyInbox.received_at, NotifyInbox.event_type, NotifyInbox.verdict)
    for id_, received_at, event_type, verdict in session.execute(
        query.where(NotifyInbox.received_at >= order.created_at, mine)
    ):
        yield Line(received_at, "notice", f"{event_type} kept as {id_}: {verdict}")


def _credit(credit: Credit | None) -> Iterator[Line]:
    if credit is not None:
        why = f" ({credit.reason})" if credit.reason else ""
        yield Line(credit.created_at, "credit", f"{credit.credit_no} promised, {yuan(credit.amount_fen)}")
        yield Line(credit.changed_at, "credit", f"{credit.credit_no} {credit.status}{why}")


def _refunds(refunds: list[Refund]) -> Iterator[Line]:
    for refund in refunds:
        name, fen = refund.out_refund_no, refund.amount_fen
        yield Line(refund.created_at, "refund", f"{name} asked for, {yuan(fen)}, {refund.origin}")
        yield Line(refund.changed_at, "refund", f"{name} {refund.status}, reversal {refund.reversal}")


def _jobs(session: Session, order: Order) -> Iterator[Line]:
    # Messages and refunds have keys of their own, all with the order's number in them.
    mine = or_(OutboxItem.key == order.order_no, OutboxItem.key.contains(order.order_no, autoescape=True))
    query = select(OutboxItem).where(OutboxItem.created_at >= order.created_at, mine)
    for job in session.scalars(query):
        yield Line(job.created_at, "job", f"{job.kind} promised")
        if job.done_at is not None:
            yield Line(job.done_at, "job", f"{job.kind} done, attempt {job.attempts}")
        else:
            yield Line(job.next_at, "job", f"{job.kind} {job.status}, attempt {job.attempts}, due then")


def _ledger(session: Session, order: Order) -> Iterator[Line]:
    # Its number may be a later one: a closed number is never used again.
    entry = (
        select(Entry.id)
        .join(Credit, Entry.key == literal("credit:") + Credit.credit_no)
        .where(Credit.order_id == order.id)
        .scalar_subquery()
    )
    query = (
        select(Entry, Posting)
        .join(Posting, Posting.entry_id == Entry.id)
        .where(or_(Entry.id == entry, Entry.corrects == entry), Posting.book == f"account:{order.account_no}")
    )
    for found, posting in session.execute(query).all():
        # Postings of one account are numbered as they took effect.
        until = select(func.sum(Posting.amount_fen)).where(
            Posting.book == posting.book, Posting.id <= posting.id
        )
        after = yuan(int(session.scalar(until) or 0))
        yield Line(
            found.at, "ledger", f"entry {found.id} {found.key}: {yuan(posting.amount_fen)}, balance {after}"
        )


def _journal(session: Session, order_no: str) -> Iterator[Line]:
    query = (
        select(JournalRow, JournalSeal.hash)
        .outerjoin(JournalSeal, JournalSeal.journal_id == JournalRow.id)
        .where(JournalRow.order_no == order_no)
    )
    for row, seal in session.execute(query):
        sealed = f"seal {seal[:SEAL_SHOWN]}" if seal else "not sealed yet"
        # Elsewhere a reason may be what a person wrote.
        reason = row.facts.get("reason") if row.what.startswith("credit-") else None
        why = f" ({reason})" if reason else ""
        yield Line(row.at, "journal", f"{row.what}{why} by {row.actor}, {sealed}")
