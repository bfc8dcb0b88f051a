"""Undoing what billing applied too late, once two operators have decided so.

A repair is a money call like any other: at least once by the outbox, exactly once by its key, and in doubt
until billing has answered. Its state stands on the row that it repairs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.interface import CreditReceipt, MoneyCall
from models import journal
from models.errors import Conflict, Mismatch, Refused, Unavailable, Unknown
from models.order import Credit, CreditStatus, Order, move_credit
from models.payout import PartStatus, Payout, PayoutPart, move_part
from models.review import ReviewKind, ask_person
from payments import late, numbers, outbox
from payments.billing_call import (
    Answer,
    Applied,
    BillingCall,
    InDoubt,
    NotApplied,
    Unresolvable,
    carry_out,
    prepare,
)
from payments.outcome import Done, Later, Outcome, Park
from payments.payouts import delivery as payouts
from payments.services import Services

KIND = "repair"
ACTOR = "worker"


@dataclass(frozen=True)
class Repair:
    """The call that undoes another one. `credit_key`: of the credit that a reversal corrects."""

    kind: MoneyCall
    account_no: str
    amount_fen: int
    key: str
    credit_key: str = ""


class LateCredit:
    """A credit that billing applied after it was voided: its reversal."""

    def __init__(self, session: Session, credit_no: str) -> None:
        query = select(Credit).where(Credit.credit_no == credit_no).with_for_update()
        self.row = session.scalars(query.execution_options(populate_existing=True)).one()
        self.order_id: int | None = self.row.order_id
        self._session = session

    def repair(self) -> Repair | None:
        """Return the call that is under way, None when none is."""
        credit = self.row
        if credit.status != CreditStatus.TAKING_BACK or credit.undo_key is None:
            return None
        account_no, amount_fen = credit.account_no, credit.amount_fen
        return Repair(MoneyCall.REVERSAL, account_no, amount_fen, credit.undo_key, credit.credit_no)

    def done(self, now: datetime) -> None:
        """Record that the call took effect."""
        if self.row.status == CreditStatus.TAKEN_BACK:
            return
        if self.row.status == CreditStatus.LATE:
            move_credit(self._session, self.row, CreditStatus.TAKING_BACK, now=now)
        move_credit(self._session, self.row, CreditStatus.TAKEN_BACK, now=now, doubt_from=None)
        self._note("credit-taken-back", now)

    def refused(self, now: datetime, reason: str) -> None:
        """Record that it certainly did not and will not; operators decide again."""
        move_credit(self._session, self.row, CreditStatus.LATE, now=now, reason=reason, doubt_from=None)
        order_no = self._session.get_one(Order, self.row.order_id).order_no
        late.ask_about_credit(self._session, self.row, order_no, now=now, reason=reason)
        self._note("credit-not-taken-back", now)

    def _note(self, what: str, now: datetime) -> None:
        journal.note(
            self._session,
            what,
            order_no=self._session.get_one(Order, self.row.order_id).order_no,
            actor=ACTOR,
            now=now,
            credit_no=self.row.credit_no,
            amount_fen=self.row.amount_fen,
            key=self.row.undo_key,
        )


class LateWithdrawal:
    """A part that billing took off the account after it was refused: the credit that puts it back."""

    def __init__(self, session: Session, part_no: str) -> None:
        self.row = payouts.locked(session, part_no)
        self.order_id: int | None = None
        self._session = session

    def repair(self) -> Repair | None:
        """Return the call that is under way, None when none is."""
        part = self.row
        if part.status != PartStatus.RETURNING or part.undo_key is None:
            return None
        account_no = self._session.get_one(Payout, part.payout_id).account_no
        return Repair(MoneyCall.CREDIT, account_no, part.amount_fen, part.undo_key)

    def done(self, now: datetime) -> None:
        """Record that the call took effect."""
        if self.row.status == PartStatus.RETURNED:
            return
        if self.row.status == PartStatus.LATE:
            move_part(self._session, self.row, PartStatus.RETURNING, now=now)
        move_part(self._session, self.row, PartStatus.RETURNED, now=now, doubt_from=None)
        payouts.note(self._session, self.row, "payout-returned", now=now, key=self.row.undo_key or "")

    def refused(self, now: datetime, reason: str) -> None:
        """Record that it certainly did not and will not; operators decide again."""
        move_part(self._session, self.row, PartStatus.LATE, now=now, error=reason, doubt_from=None)
        payouts.ask_about_late(self._session, self.row, now=now, reason=reason)
        payouts.note(self._session, self.row, "payout-not-returned", now=now, reason=reason)


Subject = type[LateCredit] | type[LateWithdrawal]
SUBJECTS: dict[str, Subject] = {"credit": LateCredit, "part": LateWithdrawal}


def take_back(session: Session, credit: Credit, *, now: datetime) -> str:
    """Let a late credit be reversed. Returns: the key of its job. Raises: IllegalTransition, Conflict."""
    key = numbers.undo_key(credit.credit_no, credit.undo_key)
    move_credit(session, credit, CreditStatus.TAKING_BACK, now=now, undo_key=key, prepared_ref=None)
    return f"credit:{credit.credit_no}"


def put_back(session: Session, part: PayoutPart, *, now: datetime) -> str:
    """Let a late withdrawal be credited. Returns: the key of its job. Raises: IllegalTransition, Conflict."""
    key = numbers.undo_key(part.part_no, part.undo_key)
    move_part(session, part, PartStatus.RETURNING, now=now, undo_key=key, prepared_ref=None)
    return f"part:{part.part_no}"


def deliver(services: Services, held: outbox.Claim) -> Outcome:
    """The outbox job `repair`; its key is `credit:<credit_no>` or `part:<part_no>`.

    Raises: Unknown, Unavailable - billing did not answer, the worker tries again and queries first;
        Mismatch - billing applied another amount under our key; Conflict - another worker has the job.
    """
    name, _, number = held.key.partition(":")
    subject = SUBJECTS[name]
    begun = _begin(services, held, subject, number, _prepare(services, subject, number))
    if begun is None:
        return Done()
    return _record(services, held, subject, number, carry_out(services, held, begun))


def _prepare(services: Services, subject: Subject, number: str) -> str | None:
    """Get the identifier that billing issues before the call, where it does so and there is none yet."""
    if not services.billing.capabilities().prepare:
        return None
    with services.transaction() as session:
        found = subject(session, number)
        repair = found.repair()
    if repair is None or found.row.prepared_ref is not None:
        return found.row.prepared_ref
    return prepare(services, repair.kind, repair.account_no, repair.amount_fen, key=repair.key)


def _begin(
    services: Services, held: outbox.Claim, subject: Subject, number: str, ref: str | None
) -> BillingCall[CreditReceipt] | None:
    """Mark the repair as being sent. Returns: its call, None when nothing is to be done any more."""
    with services.transaction() as session:
        outbox.insist(session, held, now=services.clock())
        found = subject(session, number)
        repair, row = found.repair(), found.row
        if repair is None:
            return None
        earlier = row.doubt_from
        if earlier is None:
            row.doubt_from = held.leased_until
            row.prepared_ref = row.prepared_ref or ref
        return _call(services, held, subject, number, repair, earlier=earlier, ref=row.prepared_ref)


def _call(
    services: Services,
    held: outbox.Claim,
    subject: Subject,
    number: str,
    repair: Repair,
    *,
    earlier: datetime | None,
    ref: str | None,
) -> BillingCall[CreditReceipt]:
    billing = services.billing
    account_no, amount_fen, key = repair.account_no, repair.amount_fen, repair.key

    def checked(receipt: CreditReceipt | None) -> CreditReceipt | None:
        if receipt is not None and receipt.amount_fen != amount_fen:
            raise Mismatch("repair_amount", number)
        return receipt

    def find(prepared: str | None) -> CreditReceipt | None:
        if repair.kind == MoneyCall.REVERSAL:
            return checked(billing.find_reversal(account_no, key, ref=prepared))
        return checked(billing.find_credit(account_no, key, ref=prepared))

    def send(prepared: str | None) -> CreditReceipt:
        if repair.kind == MoneyCall.REVERSAL:
            return billing.reverse(
                account_no, amount_fen, key=key, credit_key=repair.credit_key, ref=prepared
            )
        return billing.credit(account_no, amount_fen, key=key, ref=prepared)

    return BillingCall(
        kind=repair.kind,
        account_no=account_no,
        key=key,
        send=send,
        find=find,
        again=lambda: _set_doubt(services, held, subject, number, held.leased_until),
        doubt_from=earlier,
        ref=ref,
    )


def _set_doubt(
    services: Services, held: outbox.Claim, subject: Subject, number: str, doubt_from: datetime | None
) -> None:
    """Write down since when a call is in doubt; only while the lease runs."""
    with services.transaction() as session:
        outbox.insist(session, held, now=services.clock())
        found = subject(session, number)
        if found.repair() is None:
            raise Conflict(f"repair {held.key} has ended")
        found.row.doubt_from = doubt_from


def _record(
    services: Services,
    held: outbox.Claim,
    subject: Subject,
    number: str,
    answer: Answer[CreditReceipt],
) -> Outcome:
    now = services.clock()
    match answer:
        case Applied():
            with services.transaction() as session:
                subject(session, number).done(now)
            return Done()
        case NotApplied(Refused() as refusal):
            with services.transaction() as session:
                outbox.insist(session, held, now=now)
                subject(session, number).refused(now, refusal.code)
            return Done(f"billing refused: {refusal.code}")
        case NotApplied(error):
            _set_doubt(services, held, subject, number, None)
            raise error
        case InDoubt(doubt_from, error, again_at):
            _set_doubt(services, held, subject, number, doubt_from)
            if isinstance(error, Unknown | Unavailable):
                raise error
            return Later(again_at or now + timedelta(seconds=outbox.backoff_s(held.attempts)))
        case Unresolvable(reason):
            with services.transaction() as session:
                outbox.insist(session, held, now=now)
                _leave_to_operator(session, held, subject(session, number), reason, now)
            return Park(reason)


def _leave_to_operator(
    session: Session, held: outbox.Claim, found: LateCredit | LateWithdrawal, reason: str, now: datetime
) -> None:
    ask_person(
        session,
        ReviewKind.REPAIR_UNKNOWN,
        held.key,
        order_id=found.order_id,
        amount_fen=found.row.amount_fen,
        now=now,
        job=KIND,
        number=held.key,
        reason=reason,
    )
