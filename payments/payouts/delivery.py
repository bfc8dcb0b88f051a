"""Taking a part for the bank off the account, before it may stand on a list.

At least once by the outbox, exactly once by its number; after any doubt billing is asked first.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.interface import CreditReceipt
from models import journal
from models.errors import Conflict, Mismatch, Refused, Unavailable, Unknown
from models.payout import PartStatus, Payout, PayoutPart, move_part
from models.review import ReviewKind, ask_person
from payments import outbox
from payments.outcome import Done, Outcome
from payments.payouts.approval import NoSuchPayout
from payments.services import Services

ACTOR = "worker"
DOUBTFUL = (PartStatus.SENDING, PartStatus.UNKNOWN)


def deliver(services: Services, held: outbox.Claim) -> Outcome:
    """The outbox job `payout`.

    Raises: Unknown, Unavailable - billing did not answer, the worker tries again, asking first;
        Mismatch - billing took another amount under our key; Conflict - somebody else works on it.
    """
    part, account_no, doubtful = _begin(services, held)
    if part.status != PartStatus.SENDING:
        return Done(part.status)
    receipt = services.billing.find_withdrawal(part.part_no) if doubtful else None
    if receipt is None:
        try:
            receipt = _withdraw(services, held, part, account_no)
        except Refused as refusal:
            return Done(f"billing refused: {refusal.code}")
    _finish(services, held, part, receipt)
    return Done()


def _begin(services: Services, held: outbox.Claim) -> tuple[PayoutPart, str, bool]:
    """Mark the part as being sent. Returns: it, the account, whether it may have been sent before."""
    now = services.clock()
    with services.transaction() as session:
        outbox.insist(session, held, now=now)
        part = _locked(session, held.key)
        account_no = session.get_one(Payout, part.payout_id).account_no
        doubtful = part.status in DOUBTFUL
        if part.status in (PartStatus.WAITING, PartStatus.UNKNOWN):
            move_part(session, part, PartStatus.SENDING, now=now)
        return part, account_no, doubtful


def _withdraw(services: Services, held: outbox.Claim, part: PayoutPart, account_no: str) -> CreditReceipt:
    try:
        return services.billing.withdraw(account_no, part.amount_fen, key=part.part_no)
    except Unavailable:
        _not_withdrawn(services, held, PartStatus.WAITING, "billing is not reachable")
        raise
    except Unknown:
        _not_withdrawn(services, held, PartStatus.UNKNOWN, "billing did not answer")
        raise
    except Refused as refusal:
        _not_withdrawn(services, held, PartStatus.REFUSED, refusal.code)
        raise


def _not_withdrawn(services: Services, held: outbox.Claim, status: PartStatus, reason: str) -> None:
    """Certainly not done, or nobody knows; only while the lease runs (a successor may know better)."""
    now = services.clock()
    with services.transaction() as session:
        outbox.insist(session, held, now=now)
        part = _locked(session, held.key)
        if part.status != PartStatus.SENDING:
            raise Conflict(f"payout part {held.key} left SENDING")
        move_part(session, part, status, now=now, error=reason)
        if status == PartStatus.REFUSED:
            ask_person(
                session,
                ReviewKind.REVERSAL_REFUSED,
                part.part_no,
                order_id=None,
                amount_fen=part.amount_fen,
                now=now,
                part_no=part.part_no,
                reason=reason,
            )
            _note(session, part, "payout-refused", now=now, reason=reason)


def _finish(services: Services, held: outbox.Claim, sent: PayoutPart, receipt: CreditReceipt) -> None:
    if receipt.amount_fen != sent.amount_fen:
        raise Mismatch("withdrawal_amount", sent.part_no)
    now = services.clock()
    with services.transaction() as session:
        part = _locked(session, held.key)
        if part.status not in (*DOUBTFUL, PartStatus.WAITING):
            return
        # The money is off the account, whoever else thought otherwise meanwhile.
        if part.status != PartStatus.SENDING:
            move_part(session, part, PartStatus.SENDING, now=now)
        move_part(session, part, PartStatus.WITHDRAWN, now=now)
        account_no = session.get_one(Payout, part.payout_id).account_no
        _note(session, part, "payout-withdrawn", now=now, account_no=account_no)


def _locked(session: Session, part_no: str) -> PayoutPart:
    query = select(PayoutPart).where(PayoutPart.part_no == part_no).with_for_update()
    part = session.scalar(query.execution_options(populate_existing=True))
    if part is None:
        raise NoSuchPayout
    return part


def _note(session: Session, part: PayoutPart, what: str, *, now: datetime, **facts: str) -> None:
    journal.note(
        session,
        what,
        order_no=None,
        actor=ACTOR,
        now=now,
        part_no=part.part_no,
        amount_fen=part.amount_fen,
        **facts,
    )
