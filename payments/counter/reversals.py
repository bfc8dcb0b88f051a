"""Transfers that a later list takes back: reversed, failed, or gone out under the same number."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.counter import BankLine, BankStatus, CounterBooking
from models.review import ReviewKind, ask_person
from payments.counter.bank_rows import Contested, UndoneRow
from payments.counter.transfers import reference_key, unconfirmed_bookings
from payments.services import Services

REVERSED = "reversed"
BOOKED = (BankStatus.CREDITED, BankStatus.RETURNING)


def note_reversals(services: Services, contested: Contested, *, file_id: int) -> None:
    """Open a question for every booked transfer that the list takes back; queued ones are marked.

    Nothing is booked backwards: the money may be on the account, spent, or on its way back.
    """
    for undone in contested.rows:
        key = reference_key(undone.reference)
        with services.transaction() as session:
            for line in session.scalars(select(BankLine).where(BankLine.reference_key == key)):
                if undone.amount_fen not in (None, line.amount_fen):
                    continue
                if line.status == BankStatus.QUEUED:
                    line.reason = REVERSED
                elif line.status in BOOKED and line.booking_id is not None:
                    _ask(services, session, session.get_one(CounterBooking, line.booking_id), undone, file_id)
            for booking in session.scalars(unconfirmed_bookings().where(CounterBooking.reference_key == key)):
                if undone.amount_fen in (None, booking.amount_fen):
                    _ask(services, session, booking, undone, file_id)


def _ask(
    services: Services, session: Session, booking: CounterBooking, undone: UndoneRow, file_id: int
) -> None:
    ask_person(
        session,
        ReviewKind.BANK_REVERSED,
        booking.receipt_no,
        order_id=booking.order_id,
        amount_fen=booking.amount_fen,
        now=services.clock(),
        receipt_no=booking.receipt_no,
        reference=booking.reference,
        file_id=file_id,
        line_no=undone.line_no,
    )
