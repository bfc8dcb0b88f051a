"""Transfers that a clerk booked and no bank list has confirmed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from models.clock import campus_date
from models.counter import CounterBooking
from models.review import ReviewItem, ReviewKind, ReviewStatus, ask_person
from payments.counter.transfers import BY_CLERK, unconfirmed_bookings
from payments.services import Services


@dataclass(frozen=True)
class Unconfirmed:
    """A transfer that a clerk booked; `is_overdue` when a list should have confirmed it by now."""

    booking_id: int
    receipt_no: str
    clerk: str
    booked_on: date
    reference: str
    account_no: str
    amount_fen: int
    is_overdue: bool


def unconfirmed(services: Services, *, after_id: int = 0, limit: int = 50) -> list[Unconfirmed]:
    """Return the transfers without a row of a bank list, oldest first; `after_id` continues the list.

    Without those that two operators have looked into (`transfer-checked` of the review queue).
    """
    last = _last_day(services)
    query = _unchecked().where(CounterBooking.id > after_id).limit(limit)
    with services.reading() as session:
        return [
            Unconfirmed(
                booking_id=booking.id,
                receipt_no=booking.receipt_no,
                clerk=booking.clerk,
                booked_on=booking.business_on,
                reference=booking.reference or "",
                account_no=booking.account_no or "",
                amount_fen=booking.amount_fen,
                is_overdue=booking.business_on < last,
            )
            for booking in session.scalars(query)
        ]


def ask_about_unconfirmed(services: Services) -> None:
    """Open a question for every transfer that no list has confirmed in time; a periodic job."""
    now, last = services.clock(), _last_day(services)
    query = _unchecked().where(CounterBooking.business_on < last)
    with services.transaction() as session:
        for booking in session.scalars(query):
            ask_person(
                session,
                ReviewKind.TRANSFER_UNCONFIRMED,
                booking.receipt_no,
                order_id=booking.order_id,
                amount_fen=booking.amount_fen,
                now=now,
                receipt_no=booking.receipt_no,
                reference=booking.reference,
                booked_on=booking.business_on.isoformat(),
            )


def count_unconfirmed(session: Session) -> int:
    """Return how many transfers of clerks no list has confirmed, whatever their age."""
    return session.scalar(select(func.count()).select_from(_unchecked().order_by(None).subquery())) or 0


def _unchecked() -> Select[CounterBooking]:
    checked = select(ReviewItem.id).where(
        ReviewItem.kind == ReviewKind.TRANSFER_UNCONFIRMED,
        ReviewItem.key == CounterBooking.receipt_no,
        ReviewItem.status == ReviewStatus.CLOSED,
    )
    return unconfirmed_bookings().where(CounterBooking.transfer_key.startswith(BY_CLERK), ~checked.exists())


def _last_day(services: Services) -> date:
    return campus_date(services.clock()) - timedelta(days=services.counter_rules.confirm_transfers_days)
