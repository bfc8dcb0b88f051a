"""Delivering one adjusting entry to billing: at least once by the outbox, exactly once by its number.

A call that was sent stays in doubt until billing answers for that very number: an entry that may have
been sent is asked about first, and neither "not found" nor a refusal of a later call ends it.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from billing.interface import CreditReceipt
from models import allocation
from models.adjustment import (
    Adjustment,
    AdjustmentKind,
    AdjustmentStatus,
    lock_adjustment,
    move_adjustment,
)
from models.errors import Conflict, Mismatch, Refused, Unavailable, Unknown
from models.order import Order
from models.review import ReviewKind, ask_person
from payments import outbox
from payments.adjustments.approval import note
from payments.outcome import Done, Outcome, Park
from payments.services import Services

ACTOR = "worker"
SENT = (AdjustmentStatus.SENDING, AdjustmentStatus.UNKNOWN)
TO_DO = (AdjustmentStatus.APPROVED, *SENT)


def deliver(services: Services, held: outbox.Claim) -> Outcome:
    """The outbox job `adjustment`.

    Raises:
        Unknown, Unavailable: billing did not answer; the worker tries again, asking first.
        Mismatch: billing took another amount under our number.
        Conflict: another worker has the entry.
    """
    entry, doubtful = _begin(services, held)
    if entry.status != AdjustmentStatus.SENDING:
        return Done(entry.status)
    if doubtful and not _can_find(services, entry):
        return _refused(services, held, "billing cannot be asked", doubtful=True)
    receipt = _find(services, entry) if doubtful else None
    if receipt is None:
        try:
            receipt = _send(services, held, entry, doubtful=doubtful)
        except Refused as refusal:
            return _refused(services, held, refusal.code, doubtful=doubtful)
    return _finish(services, held, receipt)


def _begin(services: Services, held: outbox.Claim) -> tuple[Adjustment, bool]:
    """Mark the entry as being sent. Returns: it, and whether an earlier call may have arrived."""
    now = services.clock()
    with services.transaction() as session:
        outbox.insist(session, held, now=now)
        entry = lock_adjustment(session, held.key)
        doubtful = entry.status in SENT
        if entry.status in (AdjustmentStatus.APPROVED, AdjustmentStatus.UNKNOWN):
            move_adjustment(session, entry, AdjustmentStatus.SENDING, now=now)
        return entry, doubtful


def _can_find(services: Services, entry: Adjustment) -> bool:
    able = services.billing.capabilities()
    return able.find_credit if entry.kind == AdjustmentKind.PUT_BACK else able.adjust


def _find(services: Services, entry: Adjustment) -> CreditReceipt | None:
    if entry.kind == AdjustmentKind.PUT_BACK:
        return services.billing.find_credit(entry.account_no, entry.adjustment_no)
    return services.billing.find_adjustment(entry.account_no, entry.adjustment_no)


def _send(services: Services, held: outbox.Claim, entry: Adjustment, *, doubtful: bool) -> CreditReceipt:
    billing, number = services.billing, entry.adjustment_no
    held.check_lease(services.clock())
    try:
        if entry.kind == AdjustmentKind.PUT_BACK:
            return billing.credit(entry.account_no, entry.amount_fen, key=number)
        return billing.adjust(entry.account_no, entry.amount_fen, key=number, memo=entry.reason)
    except Unavailable:
        # This call did nothing; an earlier one may have.
        new = AdjustmentStatus.UNKNOWN if doubtful else AdjustmentStatus.APPROVED
        _set_back(services, held, new, "billing is not reachable")
        raise
    except Unknown:
        _set_back(services, held, AdjustmentStatus.UNKNOWN, "billing did not answer")
        raise


def _set_back(services: Services, held: outbox.Claim, new: AdjustmentStatus, reason: str) -> None:
    """Only while the lease runs: the next worker may know better."""
    now = services.clock()
    with services.transaction() as session:
        outbox.insist(session, held, now=now)
        move_adjustment(session, _sending(session, held), new, now=now, error=reason)


def _refused(services: Services, held: outbox.Claim, code: str, *, doubtful: bool) -> Outcome:
    """Refused at once: certainly not done. Refused after a doubt: two operators have to look."""
    now = services.clock()
    new = AdjustmentStatus.UNKNOWN if doubtful else AdjustmentStatus.REFUSED
    with services.transaction() as session:
        outbox.insist(session, held, now=now)
        entry = _sending(session, held)
        move_adjustment(session, entry, new, now=now, error=code)
        if new == AdjustmentStatus.REFUSED and entry.order_id is not None:
            allocation.release_restored(session, entry.order_id, entry.amount_fen)
        kind = ReviewKind.ADJUSTMENT_UNKNOWN if doubtful else ReviewKind.ADJUSTMENT_REFUSED
        _ask(session, entry, kind, code, now=now)
        note(session, entry, f"adjustment-{new.lower()}", actor=ACTOR, now=now, reason=code)
    return Park(f"billing refused: {code}") if doubtful else Done(f"billing refused: {code}")


def _finish(services: Services, held: outbox.Claim, receipt: CreditReceipt) -> Outcome:
    with services.transaction() as session:
        entry = lock_adjustment(session, held.key)
        if receipt.amount_fen != entry.amount_fen:
            raise Mismatch("adjustment_amount", entry.adjustment_no)
        if entry.status == AdjustmentStatus.DONE:
            return Done()
        if entry.status not in TO_DO:
            # The receipt of an entry that was given up: nothing is dropped, two operators decide.
            kind, reason = ReviewKind.ADJUSTMENT_UNKNOWN, "receipt after a refusal"
            _ask(session, entry, kind, reason, now=services.clock(), about="late")
            return Done("a receipt came late")
        settle(session, entry, actor=ACTOR, services=services)
    return Done()


def settle(session: Session, entry: Adjustment, *, actor: str, services: Services) -> None:
    """Record that billing has the entry."""
    now = services.clock()
    if entry.status == AdjustmentStatus.APPROVED:
        move_adjustment(session, entry, AdjustmentStatus.SENDING, now=now)
    move_adjustment(session, entry, AdjustmentStatus.DONE, now=now)
    note(session, entry, "adjustment-done", actor=actor, now=now)


def _sending(session: Session, held: outbox.Claim) -> Adjustment:
    entry = lock_adjustment(session, held.key)
    if entry.status != AdjustmentStatus.SENDING:
        raise Conflict(f"adjustment {held.key} left SENDING")
    return entry


def _ask(
    session: Session, entry: Adjustment, kind: ReviewKind, reason: str, *, now: datetime, about: str = ""
) -> None:
    number = entry.adjustment_no
    order = None if entry.order_id is None else session.get(Order, entry.order_id)
    ask_person(
        session,
        kind,
        f"{number}:{about}" if about else number,
        order_id=entry.order_id,
        amount_fen=abs(entry.amount_fen),
        now=now,
        adjustment_no=number,
        order_no=None if order is None else order.order_no,
        out_trade_no=entry.out_trade_no,
        reason=reason,
    )
