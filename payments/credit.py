"""Delivering one credit to billing: at least once by the outbox, exactly once by its number.

After any doubt billing is queried first; where that is impossible an operator resolves it.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.interface import CreditReceipt, MoneyCall
from models import allocation, journal
from models.errors import Conflict, KeyClosed, Mismatch, NoSuchOrder, Refused, Unavailable, Unknown
from models.order import CREDIT_VOID, Credit, CreditStatus, Order, move_credit
from models.person import bound_account
from models.review import ReviewKind, ask_person
from payments import late, numbers, outbox, swap
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
from payments.services import Services
from payments.wording import credited

CREDITED_OR_VOID = (CreditStatus.CREDITED, *CREDIT_VOID)
DOUBTFUL = (CreditStatus.SENDING, CreditStatus.UNKNOWN)


def deliver(services: Services, held: outbox.Claim) -> Outcome:
    """The outbox job `credit`.

    Raises: Unknown, Unavailable - billing did not answer, the worker tries again and queries first;
        Mismatch - billing applied something else under our key; Conflict - another worker has the job.
    """
    order_no = str(held.payload["order_no"])
    credit, earlier = _begin(services, held, order_no, _prepare(services, order_no))
    if credit.status in CREDITED_OR_VOID:
        return Done()
    if credit.status in (CreditStatus.MANUAL, CreditStatus.REJECTED):
        return Park(credit.reason or credit.status)
    answer = carry_out(services, held, _call(services, held, credit, order_no, earlier))
    return _record(services, held, order_no, answer)


def _record(services: Services, held: outbox.Claim, order_no: str, answer: Answer[CreditReceipt]) -> Outcome:
    """Write down what billing's answer means for the credit. Raises: as `deliver`."""
    match answer:
        case Applied(receipt):
            _finish(services, order_no, receipt)
            return Done()
        case NotApplied(KeyClosed()):
            return _number_again(services, held)
        case NotApplied(Refused() as refusal):
            _not_applied(services, held, CreditStatus.REJECTED, refusal.code)
            return Park(f"billing refused: {refusal.code}")
        case NotApplied(error):
            _not_applied(services, held, CreditStatus.PENDING, "billing is not reachable")
            raise error
        case InDoubt():
            return _in_doubt(services, held, answer)
        case Unresolvable(reason):
            _leave_to_operator(services, held, reason)
            return Park(reason)


def _prepare(services: Services, order_no: str) -> str | None:
    """Get the identifier that billing issues before the call, where it does so and there is none yet."""
    if not services.billing.capabilities().prepare:
        return None
    with services.reading() as session:
        credit = _credit(session, order_no, lock=False)
    if credit.status != CreditStatus.PENDING or credit.prepared_ref is not None:
        return credit.prepared_ref
    return prepare(services, MoneyCall.CREDIT, credit.account_no, credit.amount_fen, key=credit.credit_no)


def _begin(
    services: Services, held: outbox.Claim, order_no: str, ref: str | None
) -> tuple[Credit, datetime | None]:
    """Mark the credit as being sent. Returns it, and since when an earlier call is in doubt."""
    with services.transaction() as session:
        credit = _credit(session, order_no)
        if credit.status == CreditStatus.PENDING:
            # Reserves the money: from here on a refund of it is impossible, and the reverse.
            allocation.hold_credit(session, credit.order_id, credit.amount_fen)
            _move(services, session, credit, CreditStatus.SENDING, **_sent(held, credit, ref))
            _note(session, "credit-sent", credit, order_no, services)
            return credit, None
        if credit.status in DOUBTFUL:
            _note(session, "credit-asked", credit, order_no, services)
            return credit, credit.doubt_from or credit.changed_at
        return credit, None


def _again(services: Services, held: outbox.Claim) -> None:
    """Mark a credit in doubt as being sent once more; only while the lease runs."""
    with services.transaction() as session:
        outbox.insist(session, held, now=services.clock())
        credit = _credit(session, str(held.payload["order_no"]))
        if credit.status not in DOUBTFUL:
            raise Conflict(f"credit {credit.credit_no} left {DOUBTFUL}")
        sent = _sent(held, credit, None)
        if credit.status == CreditStatus.UNKNOWN:
            _move(services, session, credit, CreditStatus.SENDING, **sent)
        else:
            credit.doubt_from = sent["doubt_from"]


def _sent(held: outbox.Claim, credit: Credit, ref: str | None) -> dict[str, Any]:
    """The call that follows is in doubt from now on, and may be sent until the lease ends."""
    sent: dict[str, Any] = {"doubt_from": held.leased_until}
    return {**sent, "prepared_ref": ref} if ref is not None and credit.prepared_ref is None else sent


def _call(
    services: Services, held: outbox.Claim, credit: Credit, order_no: str, earlier: datetime | None
) -> BillingCall[CreditReceipt]:
    billing, account_no, key = services.billing, credit.account_no, credit.credit_no

    def checked(receipt: CreditReceipt | None) -> CreditReceipt | None:
        if receipt is not None and receipt.amount_fen != credit.amount_fen:
            raise Mismatch("credit_amount", order_no)
        return receipt

    return BillingCall(
        kind=MoneyCall.CREDIT,
        account_no=account_no,
        key=key,
        send=lambda ref: billing.credit(account_no, credit.amount_fen, key=key, ref=ref),
        find=lambda ref: checked(billing.find_credit(account_no, key, ref=ref)),
        again=lambda: _again(services, held),
        doubt_from=earlier,
        ref=credit.prepared_ref,
    )


def _finish(services: Services, order_no: str, receipt: CreditReceipt) -> None:
    """Record the receipt, whatever became of the credit since its call was sent."""
    now = services.clock()
    with services.transaction() as session:
        credit = _credit(session, order_no)
        if credit.status in CREDITED_OR_VOID:
            if credit.status == CreditStatus.VOIDED:
                late.credit_applied(session, credit, order_no, now=now)
            return
        if credit.status in (CreditStatus.PENDING, CreditStatus.REJECTED):
            # Billing was believed not to have it, so the money is not held; VOIDED would say it is gone.
            allocation.hold_credit(session, credit.order_id, credit.amount_fen)
        record_credited(session, credit, receipt, actor="worker", outcome=receipt.outcome, now=now)
    services.wake()


def record_credited(
    session: Session,
    credit: Credit,
    receipt: CreditReceipt | None,
    *,
    actor: str,
    outcome: str,
    now: datetime,
) -> None:
    """The money is in billing: write it down, tell the payer, promise the swap that waited for it.

    Args:
        receipt: billing's own; None where a person has seen the credit there.
    Raises: IllegalTransition, Conflict.
    """
    order = session.get_one(Order, credit.order_id)
    reason = None if receipt else "review"
    move_credit(session, credit, CreditStatus.CREDITED, now=now, reason=reason, doubt_from=None)
    credit.balance_after_fen = receipt.balance_fen if receipt else None
    journal.note(
        session,
        "credited",
        order_no=order.order_no,
        actor=actor,
        now=now,
        credit_no=credit.credit_no,
        amount_fen=credit.amount_fen,
        outcome=outcome,
    )
    if order.payer_openid:
        _tell_payer(session, order, credit.balance_after_fen, now)
    swap.promise(session, order, now=now)


def _tell_payer(session: Session, order: Order, balance_fen: int | None, now: datetime) -> None:
    own = bound_account(session, order.payer_openid) == order.account_no
    tidings = credited(order, balance_fen if own else None, at=now)
    key = f"credited:{order.order_no}"
    outbox.put(session, "message", key, tidings.payload(order.payer_openid), now=now)


def _leave_to_operator(services: Services, held: outbox.Claim, reason: str) -> None:
    order_no = str(held.payload["order_no"])
    with services.transaction() as session:
        outbox.insist(session, held, now=services.clock())
        credit = _credit(session, order_no)
        if credit.status == CreditStatus.SENDING:
            _move(services, session, credit, CreditStatus.UNKNOWN)
        _move(services, session, credit, CreditStatus.MANUAL, reason=reason)
        _note(session, "credit-manual", credit, order_no, services, reason=credit.reason)
        _ask(session, ReviewKind.CREDIT_UNKNOWN, credit, order_no, services)


def _in_doubt(services: Services, held: outbox.Claim, answer: InDoubt) -> Outcome:
    """Keep the money held and query again. Raises: the answer's Unknown or Unavailable."""
    order_no = str(held.payload["order_no"])
    with services.transaction() as session:
        outbox.insist(session, held, now=services.clock())
        credit = _credit(session, order_no)
        if credit.status == CreditStatus.SENDING:
            reason, doubt_from = "billing did not answer", answer.doubt_from
            _move(services, session, credit, CreditStatus.UNKNOWN, reason=reason, doubt_from=doubt_from)
            _note(session, "credit-unknown", credit, order_no, services, reason=credit.reason)
    if isinstance(answer.error, Unknown | Unavailable):
        raise answer.error
    return Later(answer.again_at or services.clock() + timedelta(seconds=outbox.backoff_s(held.attempts)))


def _not_applied(services: Services, held: outbox.Claim, status: CreditStatus, reason: str) -> None:
    """Billing certainly did not take it, and no call in doubt is left: release the money.

    Only while the lease runs: a worker that comes back late must not undo what its successor did.
    """
    order_no = str(held.payload["order_no"])
    with services.transaction() as session:
        outbox.insist(session, held, now=services.clock())
        credit = _credit(session, order_no)
        _move(services, session, credit, status, reason=reason, doubt_from=None)
        allocation.release_credit(session, credit.order_id, credit.amount_fen)
        _note(session, f"credit-{status.lower()}", credit, order_no, services, reason=reason)
        if status == CreditStatus.REJECTED:
            _ask(session, ReviewKind.CREDIT_REFUSED, credit, order_no, services)


def _number_again(services: Services, held: outbox.Claim) -> Outcome:
    """The key was closed when the credit was refused: send it again under the next number."""
    order_no = str(held.payload["order_no"])
    with services.transaction() as session:
        outbox.insist(session, held, now=services.clock())
        credit = _credit(session, order_no)
        closed, number = credit.credit_no, numbers.next_credit_no(credit.credit_no)
        _move(
            services,
            session,
            credit,
            CreditStatus.PENDING,
            reason="key closed",
            doubt_from=None,
            credit_no=number,
            prepared_ref=None,
        )
        allocation.release_credit(session, credit.order_id, credit.amount_fen)
        _note(session, "credit-numbered", credit, order_no, services, closed=closed)
    return Later(services.clock())


def _move(
    services: Services,
    session: Session,
    credit: Credit,
    new: CreditStatus,
    *,
    reason: str | None = None,
    **values: Any,
) -> None:
    move_credit(session, credit, new, now=services.clock(), reason=reason, **values)


def _ask(session: Session, kind: ReviewKind, credit: Credit, order_no: str, services: Services) -> None:
    ask_person(
        session,
        kind,
        credit.credit_no,
        order_id=credit.order_id,
        amount_fen=credit.amount_fen,
        now=services.clock(),
        order_no=order_no,
        reason=credit.reason,
    )


def _note(
    session: Session, what: str, credit: Credit, order_no: str, services: Services, **facts: str | None
) -> None:
    """Write where the credit is on its way."""
    journal.note(
        session,
        what,
        order_no=order_no,
        actor="worker",
        now=services.clock(),
        credit_no=credit.credit_no,
        amount_fen=credit.amount_fen,
        **facts,
    )


def _credit(session: Session, order_no: str, *, lock: bool = True) -> Credit:
    query = select(Credit).join(Order, Order.id == Credit.order_id).where(Order.order_no == order_no)
    credit = session.scalar(query.with_for_update(of=Credit) if lock else query)
    if credit is None:
        raise NoSuchOrder
    return credit
