"""Delivering one credit to billing: at least once by the outbox, exactly once by its number.

After any doubt billing is asked first; a back end that cannot be asked is left to a person.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.interface import CreditReceipt
from models import allocation, journal
from models.errors import NoSuchOrder, Refused, Unavailable, Unknown
from models.order import Credit, CreditStatus, Order, move_credit
from models.person import bound_account
from models.review import ReviewKind, ask_person
from payments import outbox, swap
from payments.outcome import Done, Outcome, Park
from payments.services import Services
from payments.wording import credited

SETTLED = (CreditStatus.CREDITED, CreditStatus.VOIDED)
DOUBTFUL = (CreditStatus.SENDING, CreditStatus.UNKNOWN)


def deliver(services: Services, held: outbox.Claim) -> Outcome:
    """The outbox job `credit`.

    Raises: Unknown, Unavailable - billing did not answer; the worker tries again, asking first.
    """
    order_no = str(held.payload["order_no"])
    credit, doubtful = _begin(services, order_no)
    if credit.status in SETTLED:
        return Done()
    if credit.status in (CreditStatus.MANUAL, CreditStatus.REJECTED):
        return Park(credit.reason or credit.status)
    receipt = None
    if doubtful:
        if not services.billing.capabilities().find_credit:
            _leave_to_person(services, order_no)
            return Park("billing cannot say whether the credit arrived")
        receipt = services.billing.find_credit(credit.credit_no)
    if receipt is None:
        try:
            receipt = _send(services, held, credit)
        except Refused as refusal:
            return Park(f"billing refused: {refusal.code}")
    _finish(services, order_no, receipt)
    return Done()


def _begin(services: Services, order_no: str) -> tuple[Credit, bool]:
    """Mark the credit as being sent. Returns it, and whether an earlier sending may have arrived."""
    with services.transaction() as session:
        credit = _credit(session, order_no)
        doubtful = credit.status in DOUBTFUL
        if credit.status == CreditStatus.PENDING:
            # Speaks for the money: from here on a refund of it is impossible, and the reverse.
            allocation.hold_credit(session, credit.order_id, credit.amount_fen)
        if credit.status in (CreditStatus.PENDING, CreditStatus.UNKNOWN):
            move_credit(session, credit, CreditStatus.SENDING, now=services.clock())
        if credit.status == CreditStatus.SENDING:
            _note(session, "credit-asked" if doubtful else "credit-sent", credit, order_no, services)
        return credit, doubtful


def _send(services: Services, held: outbox.Claim, credit: Credit) -> CreditReceipt:
    try:
        return services.billing.credit(credit.account_no, credit.amount_fen, key=credit.credit_no)
    except Unavailable:
        _not_applied(services, held, CreditStatus.PENDING, "billing is not reachable")
        raise
    except Unknown:
        _in_doubt(services, held)
        raise
    except Refused as refusal:
        _not_applied(services, held, CreditStatus.REJECTED, refusal.code)
        raise


def _finish(services: Services, order_no: str, receipt: CreditReceipt) -> None:
    now = services.clock()
    with services.transaction() as session:
        credit = _credit(session, order_no)
        if credit.status in SETTLED:
            return
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
    move_credit(session, credit, CreditStatus.CREDITED, now=now, reason=None if receipt else "review")
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


def _leave_to_person(services: Services, order_no: str) -> None:
    with services.transaction() as session:
        credit = _credit(session, order_no)
        if credit.status == CreditStatus.SENDING:
            move_credit(session, credit, CreditStatus.UNKNOWN, now=services.clock())
        move_credit(session, credit, CreditStatus.MANUAL, now=services.clock(), reason="cannot be asked")
        _note(session, "credit-manual", credit, order_no, services, reason=credit.reason)
        _ask(session, ReviewKind.CREDIT_UNKNOWN, credit, order_no, services)


def _in_doubt(services: Services, held: outbox.Claim) -> None:
    with services.transaction() as session:
        outbox.insist(session, held, now=services.clock())
        order_no = str(held.payload["order_no"])
        credit = _credit(session, order_no)
        move_credit(
            session, credit, CreditStatus.UNKNOWN, now=services.clock(), reason="billing did not answer"
        )
        _note(session, "credit-unknown", credit, order_no, services, reason=credit.reason)


def _not_applied(services: Services, held: outbox.Claim, status: CreditStatus, reason: str) -> None:
    """Billing certainly did not take it: nobody speaks for the money now.

    Only while the lease runs: a worker that comes back late must not undo what its successor did.
    """
    order_no = str(held.payload["order_no"])
    with services.transaction() as session:
        outbox.insist(session, held, now=services.clock())
        credit = _credit(session, order_no)
        move_credit(session, credit, status, now=services.clock(), reason=reason)
        allocation.release_credit(session, credit.order_id, credit.amount_fen)
        _note(session, f"credit-{status.lower()}", credit, order_no, services, reason=reason)
        if status == CreditStatus.REJECTED:
            _ask(session, ReviewKind.CREDIT_REFUSED, credit, order_no, services)


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


def _credit(session: Session, order_no: str) -> Credit:
    credit = session.scalar(
        select(Credit)
        .join(Order, Order.id == Credit.order_id)
        .where(Order.order_no == order_no)
        .with_for_update(of=Credit)
    )
    if credit is None:
        raise NoSuchOrder
    return credit
