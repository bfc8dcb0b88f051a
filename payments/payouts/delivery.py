"""Taking a part for the bank off the account, before it may stand on a list.

At least once by the outbox, exactly once by its number; after any doubt billing is queried first.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.interface import CreditReceipt, MoneyCall
from models import journal
from models.errors import Conflict, Mismatch, Refused, Unavailable, Unknown
from models.payout import PartStatus, Payout, PayoutPart, move_part
from models.review import ReviewKind, ask_person
from payments import outbox
from payments.audit import holds
from payments.billing_call import (
    Applied,
    BillingCall,
    InDoubt,
    NotApplied,
    Unresolvable,
    carry_out,
    prepare,
)
from payments.outcome import Done, Later, Outcome, Park
from payments.payouts.approval import NoSuchPayout
from payments.services import Services

ACTOR = "worker"
# How soon to look again while the books of the account are in question.
HELD_RETRY = timedelta(minutes=10)
DOUBTFUL = (PartStatus.SENDING, PartStatus.UNKNOWN)


def deliver(services: Services, held: outbox.Claim) -> Outcome:
    """The outbox job `payout`.

    Raises: Unknown, Unavailable - billing did not answer, the worker tries again and queries first;
        Mismatch - billing took another amount under our key; Conflict - another worker has the job.
    """
    part, account_no, earlier = _begin(services, held, _prepare(services, held.key))
    if part.status == PartStatus.WAITING or (earlier is not None and _is_held(services, account_no)):
        return Later(services.clock() + HELD_RETRY)
    if part.status not in DOUBTFUL:
        return Done(part.status)
    answer = carry_out(services, held, _call(services, held, part, account_no, earlier))
    match answer:
        case Applied(receipt):
            _finish(services, held, part, receipt)
            return Done()
        case NotApplied(Refused() as refusal):
            _not_withdrawn(services, held, PartStatus.REFUSED, refusal.code)
            return Done(f"billing refused: {refusal.code}")
        case NotApplied(error):
            _not_withdrawn(services, held, PartStatus.WAITING, "billing is not reachable")
            raise error
        case InDoubt(doubt_from, error, again_at):
            _not_withdrawn(services, held, PartStatus.UNKNOWN, "billing did not answer", doubt_from)
            if isinstance(error, Unknown | Unavailable):
                raise error
            backoff = timedelta(seconds=outbox.backoff_s(held.attempts))
            return Later(again_at or services.clock() + backoff)
        case Unresolvable(reason):
            return _leave_to_operator(services, held, account_no, reason)


def _prepare(services: Services, part_no: str) -> str | None:
    """Get the identifier that billing issues before the call, where it does so and there is none yet."""
    if not services.billing.capabilities().prepare:
        return None
    with services.transaction() as session:
        part = locked(session, part_no)
        account_no = session.get_one(Payout, part.payout_id).account_no
    if part.status != PartStatus.WAITING or part.prepared_ref is not None:
        return part.prepared_ref
    return prepare(services, MoneyCall.WITHDRAWAL, account_no, part.amount_fen, key=part_no)


def _begin(
    services: Services, held: outbox.Claim, ref: str | None
) -> tuple[PayoutPart, str, datetime | None]:
    """Mark the part as being sent, unless its account is held.

    Returns: it, the account, since when an earlier call is in doubt.
    """
    now = services.clock()
    with services.transaction() as session:
        outbox.insist(session, held, now=now)
        part = locked(session, held.key)
        account_no = session.get_one(Payout, part.payout_id).account_no
        if part.status in DOUBTFUL:
            return part, account_no, part.doubt_from or part.changed_at
        if part.status == PartStatus.WAITING and not holds.is_held(session, account_no):
            part.prepared_ref = part.prepared_ref or ref
            move_part(session, part, PartStatus.SENDING, now=now, doubt_from=held.leased_until)
        return part, account_no, None


def _again(services: Services, held: outbox.Claim) -> None:
    """Mark a part in doubt as being sent once more; only while the lease runs."""
    now = services.clock()
    with services.transaction() as session:
        outbox.insist(session, held, now=now)
        part = locked(session, held.key)
        if part.status not in DOUBTFUL:
            raise Conflict(f"payout part {held.key} is not in doubt any more")
        part.doubt_from = held.leased_until
        if part.status == PartStatus.UNKNOWN:
            move_part(session, part, PartStatus.SENDING, now=now)


def _is_held(services: Services, account_no: str) -> bool:
    with services.reading() as session:
        return holds.is_held(session, account_no)


def _call(
    services: Services, held: outbox.Claim, part: PayoutPart, account_no: str, earlier: datetime | None
) -> BillingCall[CreditReceipt]:
    billing, part_no, amount_fen = services.billing, part.part_no, part.amount_fen
    return BillingCall(
        kind=MoneyCall.WITHDRAWAL,
        account_no=account_no,
        key=part_no,
        send=lambda ref: billing.withdraw(account_no, amount_fen, key=part_no, ref=ref),
        find=lambda ref: billing.find_withdrawal(account_no, part_no, ref=ref),
        again=lambda: _again(services, held),
        doubt_from=earlier,
        ref=part.prepared_ref,
    )


def _not_withdrawn(
    services: Services,
    held: outbox.Claim,
    status: PartStatus,
    reason: str,
    doubt_from: datetime | None = None,
) -> None:
    """Certainly not done, or nobody knows; only while the lease runs (a successor may know better)."""
    now = services.clock()
    with services.transaction() as session:
        outbox.insist(session, held, now=now)
        part = locked(session, held.key)
        if part.status == PartStatus.UNKNOWN and status == PartStatus.UNKNOWN:
            return
        if part.status != PartStatus.SENDING:
            raise Conflict(f"payout part {held.key} left SENDING")
        move_part(session, part, status, now=now, error=reason, doubt_from=doubt_from)
        if status == PartStatus.REFUSED:
            _ask(session, ReviewKind.REVERSAL_REFUSED, part, now=now, reason=reason)
            note(session, part, "payout-refused", now=now, reason=reason)


def _leave_to_operator(services: Services, held: outbox.Claim, account_no: str, reason: str) -> Outcome:
    """The part stays in doubt until two operators have looked in billing."""
    now = services.clock()
    with services.transaction() as session:
        outbox.insist(session, held, now=now)
        part = locked(session, held.key)
        if part.status == PartStatus.SENDING:
            move_part(session, part, PartStatus.UNKNOWN, now=now, error=reason)
        _ask(session, ReviewKind.WITHDRAWAL_UNKNOWN, part, now=now, reason=reason, account_no=account_no)
    return Park(reason)


def _finish(services: Services, held: outbox.Claim, sent: PayoutPart, receipt: CreditReceipt) -> None:
    """Record the receipt, whatever became of the part since its call was sent."""
    if receipt.amount_fen != sent.amount_fen:
        raise Mismatch("withdrawal_amount", sent.part_no)
    with services.transaction() as session:
        record_withdrawn(session, locked(session, held.key), now=services.clock())


def record_withdrawn(session: Session, part: PayoutPart, *, now: datetime, actor: str = ACTOR) -> None:
    """The money is off the account; where the part had been given up, operators decide what next."""
    if part.status == PartStatus.REFUSED:
        move_part(session, part, PartStatus.LATE, now=now, doubt_from=None)
        ask_about_late(session, part, now=now, reason="withdrawn after the part was refused")
        note(session, part, "payout-withdrawn-late", now=now, actor=actor)
    elif part.status in (*DOUBTFUL, PartStatus.WAITING):
        if part.status != PartStatus.SENDING:
            move_part(session, part, PartStatus.SENDING, now=now)
        move_part(session, part, PartStatus.WITHDRAWN, now=now, doubt_from=None)
        note(session, part, "payout-withdrawn", now=now, actor=actor)


def ask_about_late(session: Session, part: PayoutPart, *, now: datetime, reason: str) -> None:
    """Ask whether a late withdrawal is put back on the account or paid out."""
    account_no = session.get_one(Payout, part.payout_id).account_no
    _ask(session, ReviewKind.LATE_WITHDRAWAL, part, now=now, reason=reason, account_no=account_no)


def _ask(
    session: Session, kind: ReviewKind, part: PayoutPart, *, now: datetime, reason: str, **facts: str
) -> None:
    ask_person(
        session,
        kind,
        part.part_no,
        order_id=None,
        amount_fen=part.amount_fen,
        now=now,
        part_no=part.part_no,
        job="payout",
        number=part.part_no,
        reason=reason,
        **facts,
    )


def locked(session: Session, part_no: str) -> PayoutPart:
    """Return the part with this number, locked until the transaction ends. Raises: NoSuchPayout."""
    query = select(PayoutPart).where(PayoutPart.part_no == part_no).with_for_update()
    part = session.scalar(query.execution_options(populate_existing=True))
    if part is None:
        raise NoSuchPayout
    return part


def note(
    session: Session, part: PayoutPart, what: str, *, now: datetime, actor: str = ACTOR, **facts: str
) -> None:
    """Write what happened to a part into the journal."""
    journal.note(
        session,
        what,
        order_no=None,
        actor=actor,
        now=now,
        part_no=part.part_no,
        amount_fen=part.amount_fen,
        **facts,
    )
