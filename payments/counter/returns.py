"""原路退回: what goes back the way it came, until a named clerk has handed it back."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import journal
from models.clock import campus_date
from models.counter import CounterBooking, ReturnItem, ReturnReason, ReturnStatus, Way, mark_returned
from models.errors import Conflict, Refused
from models.order import Order
from models.recovery import check_may_pay_out
from models.refund import Refund, RefundStatus
from models.values.actor import Actor
from payments import outbox
from payments.audit import holds
from payments.counter.steps import open_day, same_receipt
from payments.evidence import checked
from payments.outcome import Done, Outcome
from payments.refunds.steps import locked, move
from payments.services import Services


class NoSuchReturn(Refused):
    """There is no return item with this number."""

    status = 404
    code = "E-RETURN"

    def __init__(self, text: str = "没有这笔退回款项") -> None:
        super().__init__(text)


class SecondClerkNeeded(Refused):
    """The operator who decided that money goes back cannot hand it out alone."""

    status = 403
    code = "E-TWO"

    def __init__(self, text: str = "决定退回的人不能自己退出这笔款项，请由另一位同事办理") -> None:
        super().__init__(text)


def open_items(services: Services, *, after_id: int = 0, limit: int = 50) -> list[ReturnItem]:
    """What is still owed, oldest first; `after_id` continues the list."""
    query = select(ReturnItem).where(ReturnItem.status == ReturnStatus.OPEN, ReturnItem.id > after_id)
    with services.reading() as session:
        return list(session.scalars(query.order_by(ReturnItem.id).limit(limit)))


def give_back(services: Services, *, return_no: str, clerk: Actor, evidence: str) -> ReturnItem:
    """The clerk has handed the money back, or sent it back to the bank account it came from.

    Args:
        evidence: what somebody can check later: a signed slip, the number of the transfer.
    Raises: NoSuchReturn; SecondClerkNeeded; EvidenceNeeded; DayClosed; IllegalTransition - it was
        returned before; AccountHeld - the books of the account are in question; UnderMaintenance - a
        restored database may not know yet that it was handed back.
    """
    now, evidence = services.clock(), checked(evidence)
    with services.transaction() as session:
        check_may_pay_out(session)
        on = campus_date(now)
        open_day(session, clerk.name, on)
        found = _item(session, return_no)
        if clerk.is_same_person(found.opened_by) and not _one_clerk_will_do(found):
            raise SecondClerkNeeded
        if found.refund_id is not None:
            holds.require_none(session, found.account_no)
        order, refund = _refund_of(session, found)
        mark_returned(session, found, clerk=clerk.name, on=on, evidence=evidence, now=now)
        if order is not None and refund is not None:
            move(session, order, refund, RefundStatus.SUCCESS, actor=clerk.name, now=now)
            refund.success_at = now
        journal.note(
            session,
            "counter-returned",
            order_no=None if order is None else order.order_no,
            actor=clerk.name,
            now=now,
            return_no=found.return_no,
            way=found.way,
            amount_fen=found.amount_fen,
        )
    return found


def owe(services: Services, held: outbox.Claim) -> Outcome:
    """A refund of counter money whose credit was taken back: from now on the counter owes it.

    The end of the job `refund`; `give_back` ends the refund. Doing it again changes nothing.
    """
    now = services.clock()
    with services.transaction() as session:
        outbox.insist(session, held, now=now)
        order, refund = locked(session, held.key)
        if refund.status == RefundStatus.PROCESSING:
            return Done("the counter owes it")
        if refund.status != RefundStatus.SENDING:
            raise Conflict(f"refund {held.key} left SENDING")
        booking = session.scalars(select(CounterBooking).where(CounterBooking.order_id == order.id)).one()
        session.add(
            ReturnItem(
                return_no=refund.out_refund_no,
                way=Way(booking.way),
                reference=booking.reference,
                account_no=order.account_no,
                amount_fen=refund.amount_fen,
                reason=ReturnReason.REFUND,
                refund_id=refund.id,
                status=ReturnStatus.OPEN,
                opened_by=refund.approved_by or refund.requested_by,
                opened_at=now,
            )
        )
        move(session, order, refund, RefundStatus.PROCESSING, actor="worker", now=now)
    return Done("the counter owes it")


def _item(session: Session, return_no: str) -> ReturnItem:
    found = session.scalar(select(ReturnItem).where(ReturnItem.return_no == return_no))
    if found is None:
        alike = session.scalars(select(ReturnItem).where(same_receipt(ReturnItem.return_no, return_no))).all()
        found = alike[0] if len(alike) == 1 else None
    if found is None:
        raise NoSuchReturn
    return found


def _one_clerk_will_do(item: ReturnItem) -> bool:
    """Return True for a refund, which two operators have agreed to, and for cash refused at the counter.

    Cash of a wrong amount was never booked to an account: it goes back to the payer who holds the slip.
    """
    return item.refund_id is not None or (item.reason == ReturnReason.AMOUNT and item.way == Way.CASH)


def _refund_of(session: Session, item: ReturnItem) -> tuple[Order | None, Refund | None]:
    """The refund that this is the end of, its order locked; nothing for money that was never credited."""
    refund = None if item.refund_id is None else session.get(Refund, item.refund_id)
    return (None, None) if refund is None else locked(session, refund.out_refund_no)
