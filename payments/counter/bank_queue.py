"""Transfers that wait for an operator: credited to an account, sent back, or closed without a booking.

Where money moves in a way that the list itself does not say, two operators decide: the first proposes,
the second repeats the decision.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from models import journal
from models.counter import BankLine, BankStatus, CounterBooking, ReturnReason, settle_line
from models.errors import Refused
from models.values.actor import Actor
from payments.counter.bank_list import money_of
from payments.counter.desk import find_person
from payments.counter.reversals import REVERSED
from payments.counter.steps import Booked, ReceiptUsed, book_order, book_return
from payments.counter.transfers import Likeness, lock_transfers, same_number
from payments.services import Services

ASSIGN, ACCEPT = "assign", "accept"


class NoSuchLine(Refused):
    """There is no queued transfer with this number."""

    status = 404
    code = "E-LINE"

    def __init__(self, text: str = "没有这笔待处理转账") -> None:
        super().__init__(text)


class SecondOperatorNeeded(Refused):
    """The operator who booked or proposed it cannot decide it alone."""

    status = 403
    code = "E-TWO"


@dataclass(frozen=True)
class Waiting:
    """A queued transfer, and the transfer that it resembles."""

    line: BankLine
    like_line: BankLine | None
    like_booking: CounterBooking | None


def queue(services: Services, *, after_id: int = 0, limit: int = 50) -> list[Waiting]:
    """Return the transfers that wait for an operator, oldest first; `after_id` continues the list."""
    like = aliased(BankLine)
    query = (
        select(BankLine, like, CounterBooking)
        .outerjoin(like, like.id == BankLine.resembles_line_id)
        .outerjoin(CounterBooking, CounterBooking.id == BankLine.resembles_booking_id)
        .where(BankLine.status == BankStatus.QUEUED, BankLine.id > after_id)
    )
    with services.reading() as session:
        rows = session.execute(query.order_by(BankLine.id).limit(limit)).all()
        return [Waiting(line, line_like, booking) for line, line_like, booking in rows]


def assign(services: Services, *, line_id: int, account_no: str, name: str, actor: Actor) -> Booked | None:
    """Credit a queued transfer to the account of this name.

    One operator is enough where the row itself names account and owner and shares nothing but its number
    with another payer's transfer. Else the decision waits until a second operator repeats it.

    Returns: the booking, None while it waits for the second operator.
    Raises: NoSuchLine; NameMismatch; LimitReached; ReceiptUsed - a clerk booked this number for the same
        payer; IllegalTransition; Unavailable.
    """
    person = find_person(services, clerk=actor, account_no=account_no, name=name)
    account_no = person.account_no
    plain = _says_so(services, line_id, account_no)
    now = services.clock()
    with services.transaction() as session:
        lock_transfers(session)
        line = _queued(session, line_id)
        _check_not_clerks(session, line)
        if not (plain or _is_second(session, services, line, f"{ASSIGN}:{account_no}", actor)):
            return None
        money = money_of(line, account_no)
        booked = book_order(session, money, clerk=actor.name, masked_name=person.masked_name, now=now)
        booking_id = booked.booking.id
        settle_line(session, line, BankStatus.CREDITED, booking_id=booking_id, actor=actor.name, now=now)
    services.wake()
    return booked


def send_back(services: Services, *, line_id: int, actor: Actor) -> Booked:
    """Put a queued transfer on the list of what goes back; another operator sends the money.

    Raises: NoSuchLine; ReceiptUsed - a clerk booked this number for the same payer; IllegalTransition.
    """
    now = services.clock()
    with services.transaction() as session:
        lock_transfers(session)
        line = _queued(session, line_id)
        _check_not_clerks(session, line)
        money = money_of(line, line.account_no or None)
        booked = book_return(session, money, ReturnReason.DECIDED, clerk=actor.name, now=now)
        session.flush()  # the line refers to the booking
        booking_id = booked.booking.id
        settle_line(session, line, BankStatus.RETURNING, booking_id=booking_id, actor=actor.name, now=now)
    return booked


def accept_booked(services: Services, *, line_id: int, actor: Actor) -> bool:
    """Close a queued transfer without booking it: its money is booked already, or was taken back.

    One operator is enough where the transfer it resembles has the same amount, but never the clerk who
    booked that one. Else the decision waits until a second operator repeats it.

    Returns: True if it is closed, False while it waits for the second operator.
    Raises: NoSuchLine; SecondOperatorNeeded; Refused - it resembles nothing and was not taken back.
    """
    now = services.clock()
    with services.transaction() as session:
        lock_transfers(session)
        line = _queued(session, line_id)
        like = _resembled(session, line)
        if like is None and line.reason != REVERSED:
            raise Refused("这笔转账没有相似的记录，请核对后入账或退回")
        booking = like if isinstance(like, CounterBooking) else None
        if booking is not None and actor.is_same_person(booking.clerk):
            raise SecondOperatorNeeded("窗口登记由您经办，须由另一位同事确认")
        same_amount = like is not None and like.amount_fen == line.amount_fen and line.reason != REVERSED
        if not (same_amount or _is_second(session, services, line, ACCEPT, actor)):
            return False
        confirmed = booking is not None and line.reason != REVERSED and not _is_confirmed(session, booking)
        settle_line(
            session,
            line,
            BankStatus.CREDITED if confirmed else BankStatus.DISMISSED,
            booking_id=booking.id if booking is not None and confirmed else None,
            actor=actor.name,
            now=now,
        )
        _note(session, services, line, "bank-accepted", actor, booked_fen=like.amount_fen if like else 0)
    return True


def _says_so(services: Services, line_id: int, account_no: str) -> bool:
    """Return True if the list itself says that this transfer is for this account."""
    with services.reading() as session:
        line = _queued(session, line_id, lock=False)
        like = _resembled(session, line)
    key = services.account_rules.key(account_no)
    if line.reason != Likeness.NUMBER or like is None or key != line.account_no:
        return False
    return like.account_no != line.account_no and services.billing.name_matches(account_no, line.noted_name)


def _check_not_clerks(session: Session, line: BankLine) -> None:
    """Raises: ReceiptUsed - a clerk booked this number for the same payer: that is the same money."""
    like = _resembled(session, line)
    if not isinstance(like, CounterBooking) or not same_number(line.reference, like.reference or ""):
        return
    if line.account_no in ("", like.payer_key) and not _is_confirmed(session, like):
        raise ReceiptUsed("窗口已登记过这笔转账，请先核对，确认后用 counter bank accept")


def _is_second(session: Session, services: Services, line: BankLine, proposal: str, actor: Actor) -> bool:
    """Return True if another operator has proposed the same; else keep it as this operator's proposal."""
    if line.proposal == proposal and line.proposed_by is not None:
        return not actor.is_same_person(line.proposed_by)
    line.proposal, line.proposed_by = proposal, actor.name
    _note(session, services, line, "bank-proposed", actor, proposal=proposal.partition(":")[0])
    return False


def _queued(session: Session, line_id: int, *, lock: bool = True) -> BankLine:
    line = session.get(BankLine, line_id, with_for_update=lock)
    if line is None or line.status != BankStatus.QUEUED:
        raise NoSuchLine
    return line


def _resembled(session: Session, line: BankLine) -> BankLine | CounterBooking | None:
    if line.resembles_booking_id is not None:
        return session.get(CounterBooking, line.resembles_booking_id)
    return None if line.resembles_line_id is None else session.get(BankLine, line.resembles_line_id)


def _is_confirmed(session: Session, booking: CounterBooking) -> bool:
    query = select(BankLine.id).where(BankLine.booking_id == booking.id).limit(1)
    return session.scalar(query) is not None


def _note(
    session: Session, services: Services, line: BankLine, what: str, actor: Actor, **facts: int | str
) -> None:
    journal.note(
        session,
        what,
        order_no=None,
        actor=actor.name,
        now=services.clock(),
        line_id=line.id,
        amount_fen=line.amount_fen,
        **facts,
    )
