"""Delivering one refund to WeChat: at least once by the outbox, exactly once by its number.

After any doubt WeChat is asked first; only its word that no such refund was accepted lets the same
number be sent again. The job lives until the refund has ended, so it also polls one under way.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select

from models.errors import Conflict, Mismatch, ServiceError, Unavailable, Unknown
from models.order import Order, PaymentFact
from models.refund import Refund, RefundStatus, find_refund
from models.review import ReviewKind
from payments import outbox
from payments.audit import holds
from payments.confirm import COUNTER, WECHAT
from payments.counter.returns import owe
from payments.outcome import Done, Later, Outcome
from payments.refunds.facts import ENDED, record_refund
from payments.refunds.freeing import ACTOR, free
from payments.refunds.steps import NoSuchRefund, ask, give_up, locked, move
from payments.services import Services
from payments.wechatpay.client import PayRefused, RefundNotFound, RefundTrade

# While WeChat works on it, ask at these ages and then daily; its notice usually comes first.
POLL_AGES = tuple(timedelta(seconds=s) for s in (60, 300, 900, 3600, 6 * 3600))
POLL_CALM = timedelta(days=1)
# How soon to look again while the account is held.
HELD_RETRY = timedelta(minutes=10)
# A bank card may take three working days.
PATIENCE = timedelta(days=7)
# Tries without a clear answer (about an hour) after which an operator is told.
ASK_AFTER = 60
# The merchant's trouble, not this refund's: it is sent again once a person has mended it.
MENDABLE = frozenset({"NOTENOUGH", "SIGNERROR", "NOAUTH", "MCHNOTEXISTS"})


def deliver(services: Services, held: outbox.Claim) -> Outcome:
    """The outbox job `refund`; a refund without a clear answer is never given up, only asked about.

    Raises: Conflict - another worker has it; Unknown, Unavailable - no answer: the worker tries again.
    """
    try:
        return _work(services, held)
    except Unavailable:
        # Certainly not done: an outage, of which the worker raises one alarm for all refunds.
        raise
    except Unknown as error:
        _ask_late(services, held, error)
        raise
    except PayRefused as error:
        _ask_late(services, held, error)
        return _later(services, held)
    except Mismatch as mismatch:
        return _contradicted(services, held, mismatch)


def next_poll(since: datetime, now: datetime) -> datetime:
    """When to ask next about a refund that is in its state since `since`."""
    return next((since + age for age in POLL_AGES if since + age > now), now + POLL_CALM)


def _work(services: Services, held: outbox.Claim) -> Outcome:
    with services.reading() as session:
        refund = find_refund(session, held.key)
    if refund is None:
        raise NoSuchRefund
    if refund.status in (*ENDED, RefundStatus.REQUESTED):
        return Done(refund.status)
    if refund.status == RefundStatus.APPROVED:
        if _is_held(services, refund):
            return Later(services.clock() + HELD_RETRY)
        outcome = free(services, held)
        if outcome is not None:
            return outcome
        return owe(services, held) if refund.origin == COUNTER else _send(services, held)
    if refund.origin == COUNTER:
        return owe(services, held)
    return _ask_first(services, held, refund)


def _ask_first(services: Services, held: outbox.Claim, refund: Refund) -> Outcome:
    try:
        fact = services.pay.query_refund(held.key)
    except RefundNotFound:
        if refund.refund_id is not None:
            raise Mismatch("refund_lost", refund.out_trade_no) from None
        if _is_held(services, refund):
            return Later(services.clock() + HELD_RETRY)
        # Never accepted, so the same number may be sent (again).
        if refund.status == RefundStatus.UNKNOWN:
            _move(services, held, RefundStatus.SENDING, None)
        return _send(services, held)
    return _record(services, fact, cause="query")


def _is_held(services: Services, refund: Refund) -> bool:
    """True while the books of the refund's account are in question: nothing is sent."""
    with services.reading() as session:
        return holds.is_held(session, session.get_one(Order, refund.order_id).account_no)


def _send(services: Services, held: outbox.Claim) -> Outcome:
    refund, total_fen = _facts(services, held.key)
    try:
        fact = services.pay.refund(
            out_trade_no=refund.out_trade_no,
            out_refund_no=refund.out_refund_no,
            amount_fen=refund.amount_fen,
            total_fen=total_fen,
            reason=refund.reason,
        )
    except Unknown as error:
        _move(services, held, RefundStatus.UNKNOWN, str(error))
        raise
    except (PayRefused, Unavailable) as refused:
        return _refused(services, held, refused)
    return _record(services, fact, cause="answer")


def _refused(services: Services, held: outbox.Claim, refused: PayRefused | Unavailable) -> Outcome:
    """A refusal of this call is no word about the refund: an earlier call may have been accepted.

    Should the question get no answer either, the refund stays in SENDING and is asked about again.
    """
    try:
        fact = services.pay.query_refund(held.key)
    except RefundNotFound:
        return _not_accepted(services, held, refused)
    return _record(services, fact, cause="query")


def _not_accepted(services: Services, held: outbox.Claim, refused: PayRefused | Unavailable) -> Outcome:
    now = services.clock()
    code = refused.code if isinstance(refused, PayRefused) else None
    with services.transaction() as session:
        outbox.insist(session, held, now=now)
        order, refund = locked(session, held.key)
        if refund.status != RefundStatus.SENDING:
            raise Conflict(f"refund {held.key} left SENDING")
        if code is not None and code not in MENDABLE:
            give_up(session, order, refund, ReviewKind.REFUND_CLOSED, actor=ACTOR, now=now, reason=code)
            return Done(code)
        reason = code or str(refused)
        move(session, order, refund, RefundStatus.APPROVED, actor=ACTOR, now=now, error=reason)
        if code is not None:
            ask(session, order, refund, ReviewKind.JOB_FAILED, now=now, reason=code, about=code)
    return _later(services, held)


def _record(services: Services, fact: RefundTrade, *, cause: str) -> Outcome:
    now = services.clock()
    with services.transaction() as session:
        refund = record_refund(session, fact, cause=cause, now=now)
        if refund is None or refund.status in ENDED:
            done: Outcome = Done(fact.status)
        else:
            done = Later(next_poll(refund.changed_at, now))
            if now - refund.changed_at > PATIENCE:
                order, refund = locked(session, refund.out_refund_no)
                ask(session, order, refund, ReviewKind.REFUND_UNKNOWN, now=now, reason="under way for days")
    services.wake()
    return done


def _move(services: Services, held: outbox.Claim, new: RefundStatus, error: str | None) -> None:
    """Only while the lease runs, and only from where we left it: a notice may have been faster."""
    now = services.clock()
    expected = RefundStatus.SENDING if new == RefundStatus.UNKNOWN else RefundStatus.UNKNOWN
    with services.transaction() as session:
        outbox.insist(session, held, now=now)
        order, refund = locked(session, held.key)
        if refund.status != expected:
            raise Conflict(f"refund {held.key} left {expected}")
        move(session, order, refund, new, actor=ACTOR, now=now, error=error)


def _facts(services: Services, out_refund_no: str) -> tuple[Refund, int]:
    """The refund, and the total of its payment in fen."""
    with services.reading() as session:
        row = session.execute(
            select(Refund, PaymentFact.amount_fen)
            .join(PaymentFact, PaymentFact.out_trade_no == Refund.out_trade_no)
            .where(Refund.out_refund_no == out_refund_no, PaymentFact.provider == WECHAT)
        ).one()
        return row[0], row[1]


def _ask_late(services: Services, held: outbox.Claim, error: ServiceError) -> None:
    if held.attempts < ASK_AFTER:
        return
    with services.transaction() as session:
        order, refund = locked(session, held.key)
        if refund.refund_id is None:
            reason = str(error)[:200]
            ask(session, order, refund, ReviewKind.REFUND_UNKNOWN, now=services.clock(), reason=reason)


def _contradicted(services: Services, held: outbox.Claim, mismatch: Mismatch) -> Outcome:
    """WeChat or billing says something else than we know: a person looks, and we ask again tomorrow."""
    now = services.clock()
    with services.transaction() as session:
        order, refund = locked(session, held.key)
        ask(
            session,
            order,
            refund,
            ReviewKind.REFUND_UNKNOWN,
            now=now,
            reason=f"{mismatch.field} differs",
            about=mismatch.field,
        )
    return Later(now + POLL_CALM)


def _later(services: Services, held: outbox.Claim) -> Outcome:
    return Later(services.clock() + timedelta(seconds=outbox.backoff_s(held.attempts)))
