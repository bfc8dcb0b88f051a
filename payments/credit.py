"""Delivering one credit to billing: at least once by the outbox, exactly once by its number.

After any doubt billing is asked first; a back end that cannot be asked is left to a person.
"""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.interface import CreditReceipt
from models.errors import NoSuchOrder, Refused, Unavailable, Unknown
from models.order import Credit, CreditStatus, Order, move_credit
from models.person import bound_account
from payments import outbox
from payments.outcome import Done, Outcome, Park
from payments.services import Services
from payments.wording import credited_text

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
            receipt = _send(services, order_no, credit)
        except Refused as refusal:
            return Park(f"billing refused: {refusal.code}")
    _finish(services, order_no, receipt)
    return Done()


def _begin(services: Services, order_no: str) -> tuple[Credit, bool]:
    """Mark the credit as being sent. Returns it, and whether an earlier sending may have arrived."""
    with services.transaction() as session:
        credit = _credit(session, order_no)
        doubtful = credit.status in DOUBTFUL
        if credit.status in (CreditStatus.PENDING, CreditStatus.UNKNOWN):
            move_credit(session, credit, CreditStatus.SENDING, now=services.clock())
        return credit, doubtful


def _send(services: Services, order_no: str, credit: Credit) -> CreditReceipt:
    try:
        return services.billing.credit(credit.account_no, credit.amount_fen, key=credit.credit_no)
    except Unavailable:
        _move(services, order_no, CreditStatus.PENDING, "billing is not reachable")
        raise
    except Unknown:
        _move(services, order_no, CreditStatus.UNKNOWN, "billing did not answer")
        raise
    except Refused as refusal:
        _move(services, order_no, CreditStatus.REJECTED, refusal.code)
        raise


def _finish(services: Services, order_no: str, receipt: CreditReceipt) -> None:
    now = services.clock()
    with services.transaction() as session:
        credit = _credit(session, order_no)
        if credit.status in SETTLED:
            return
        move_credit(session, credit, CreditStatus.CREDITED, now=now)
        credit.balance_after_fen = receipt.balance_fen
        order = session.get_one(Order, credit.order_id)
        own = bound_account(session, order.payer_openid) == order.account_no
        text = credited_text(order, receipt.balance_fen if own else None)
        outbox.put(
            session, "message", f"credited:{order_no}", {"openid": order.payer_openid, "text": text}, now=now
        )
    services.wake()


def _leave_to_person(services: Services, order_no: str) -> None:
    with services.transaction() as session:
        credit = _credit(session, order_no)
        if credit.status == CreditStatus.SENDING:
            move_credit(session, credit, CreditStatus.UNKNOWN, now=services.clock())
        move_credit(session, credit, CreditStatus.MANUAL, now=services.clock(), reason="cannot be asked")


def _move(services: Services, order_no: str, status: CreditStatus, reason: str) -> None:
    with services.transaction() as session:
        move_credit(session, _credit(session, order_no), status, now=services.clock(), reason=reason)


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
