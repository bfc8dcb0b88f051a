"""Money taken at the counter or by bank transfer: bookings, the clerk's day, what goes back, bank lists."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, BigId
from models.db.state import StateMachine, guarded_move
from models.values.actor import Actor


class Way(StrEnum):
    """How money came, and therefore how it goes back."""

    CASH = "cash"
    TRANSFER = "transfer"


class Channel(StrEnum):
    """Who took it: a clerk at the counter, or a list of the bank."""

    COUNTER = "counter"
    BANK = "bank"


class ReturnStatus(StrEnum):
    """OPEN is owed to the payer; RETURNED was handed back by a named clerk."""

    OPEN = "OPEN"
    RETURNED = "RETURNED"


class ReturnReason(StrEnum):
    """Why money goes back the way it came."""

    AMOUNT = "amount"
    NO_NAME = "no-name"
    REFUND = "refund"
    DECIDED = "decided"


class BankStatus(StrEnum):
    """What became of a transfer of a bank list.

    CREDITED has a booking of its own or confirms that of a clerk, QUEUED waits for an operator, DISMISSED
    has none: its money was booked before, or the bank took it back.
    """

    CREDITED = "CREDITED"
    QUEUED = "QUEUED"
    RETURNING = "RETURNING"
    DISMISSED = "DISMISSED"


class CounterDay(Base):
    """One clerk's campus day, locked by everybody who books into it; sums are written when it is closed.

    `clerk` is the name as it was typed first, `clerk_key` tells who it is (models/values/actor.py).
    `held_cash_fen` came in without being credited, `returned_cash_fen` was handed back that day.
    """

    __tablename__ = "counter_day"
    __table_args__ = (
        UniqueConstraint("clerk_key", "business_on"),
        Index(
            "ix_counter_day_open",
            "business_on",
            sqlite_where=text("closed_at IS NULL"),
            postgresql_where=text("closed_at IS NULL"),
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    clerk: Mapped[str] = mapped_column(String(64))
    clerk_key: Mapped[str] = mapped_column(String(64), server_default=text("''"))
    business_on: Mapped[date]
    booked_cash_fen: Mapped[int] = mapped_column(default=0)
    booked_transfer_fen: Mapped[int] = mapped_column(default=0)
    held_cash_fen: Mapped[int] = mapped_column(default=0)
    returned_cash_fen: Mapped[int] = mapped_column(default=0)
    counted_cash_fen: Mapped[int | None]
    closed_at: Mapped[datetime | None]


class ReturnItem(Base):
    """原路退回: money that must go back the way it came.

    `return_no` is what is written on the slip; `account_no` is as the payer noted it, perhaps nothing.
    """

    __tablename__ = "return_item"
    __table_args__ = (
        CheckConstraint("amount_fen > 0", name="amount_positive"),
        Index("ix_return_item_status_id", "status", "id"),
        Index("ix_return_item_returned", "returned_key", "returned_on"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    return_no: Mapped[str] = mapped_column(String(72), unique=True)
    way: Mapped[Way] = mapped_column(String(16))
    reference: Mapped[str | None] = mapped_column(String(64))
    account_no: Mapped[str | None] = mapped_column(String(32))
    amount_fen: Mapped[int]
    reason: Mapped[ReturnReason] = mapped_column(String(16))
    refund_id: Mapped[int | None] = mapped_column(ForeignKey("refund.id"), unique=True)
    status: Mapped[ReturnStatus] = mapped_column(String(16))
    opened_by: Mapped[str] = mapped_column(String(64))
    opened_at: Mapped[datetime]
    returned_by: Mapped[str | None] = mapped_column(String(64))
    returned_key: Mapped[str | None] = mapped_column(String(64))
    returned_on: Mapped[date | None]
    returned_at: Mapped[datetime | None]
    evidence: Mapped[str | None] = mapped_column(String(200))


class CounterBooking(Base):
    """Money that came in under one receipt: an order, or a return item, never both.

    `prints` counts how often the receipt was printed.
    `reference` is the bank's number of a transfer as it was written, `reference_key` what is left of it
    however it is written. `transfer_key` is unique: one booking per row of a bank list, and one per number
    that a clerk types. `payer_key` is the account of a transfer as it is compared. Cash has none of them.
    """

    __tablename__ = "counter_booking"
    __table_args__ = (
        CheckConstraint("amount_fen > 0", name="amount_positive"),
        CheckConstraint("(order_id IS NULL) <> (return_item_id IS NULL)", name="order_or_return"),
        Index("ix_counter_booking_clerk_day", "clerk_key", "business_on"),
        Index("ix_counter_booking_payer_amount", "payer_key", "amount_fen"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    receipt_no: Mapped[str] = mapped_column(String(32), unique=True)
    channel: Mapped[Channel] = mapped_column(String(16))
    clerk: Mapped[str] = mapped_column(String(64))
    clerk_key: Mapped[str] = mapped_column(String(64), server_default=text("''"))
    business_on: Mapped[date]
    way: Mapped[Way] = mapped_column(String(16))
    reference: Mapped[str | None] = mapped_column(String(64))
    reference_key: Mapped[str | None] = mapped_column(String(64), index=True)
    transfer_key: Mapped[str | None] = mapped_column(String(80), unique=True)
    payer_key: Mapped[str | None] = mapped_column(String(32))
    account_no: Mapped[str | None] = mapped_column(String(32))
    amount_fen: Mapped[int]
    order_id: Mapped[int | None] = mapped_column(ForeignKey("orders.id"), unique=True)
    return_item_id: Mapped[int | None] = mapped_column(ForeignKey("return_item.id"), unique=True)
    prints: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    booked_at: Mapped[datetime]


class CounterMiss(Base):
    """Somebody typed a number and a name that do not belong together; too many stop the clerk for a while."""

    __tablename__ = "counter_miss"
    __table_args__ = (Index("ix_counter_miss_clerk_at", "clerk_key", "at"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    clerk: Mapped[str] = mapped_column(String(64))
    clerk_key: Mapped[str] = mapped_column(String(64), server_default=text("''"))
    at: Mapped[datetime]


class BankFile(Base):
    """A list of the bank, known by its content; `finished_at` None while it was not read to its end."""

    __tablename__ = "bank_file"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    imported_by: Mapped[str] = mapped_column(String(64))
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class BankLine(Base):
    """One transfer of a bank list. `noted_name` is what the payer wrote.

    `identity` is a digest of the list's bank account, date, number, amount and payer: a transfer that is
    the same in all five is the same one. `reference_key` is the number however it is written, `name_key`
    the name as it is compared. A queued transfer may name what it resembles, and the decision that waits
    for a second operator.
    """

    __tablename__ = "bank_line"
    __table_args__ = (
        CheckConstraint("amount_fen > 0", name="amount_positive"),
        Index("ix_bank_line_status_id", "status", "id"),
        Index("ix_bank_line_account_amount", "account_no", "amount_fen"),
        Index("ix_bank_line_name_amount", "name_key", "amount_fen"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    file_id: Mapped[int] = mapped_column(ForeignKey("bank_file.id"))
    line_no: Mapped[int]
    identity: Mapped[str] = mapped_column(String(80), unique=True)
    source: Mapped[str] = mapped_column(String(64))
    occurred_on: Mapped[date | None]
    reference: Mapped[str] = mapped_column(String(64))
    reference_key: Mapped[str] = mapped_column(String(64), index=True)
    amount_fen: Mapped[int]
    account_no: Mapped[str] = mapped_column(String(32))
    noted_name: Mapped[str] = mapped_column(String(64))
    name_key: Mapped[str] = mapped_column(String(64))
    status: Mapped[BankStatus] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(String(16))
    resembles_line_id: Mapped[int | None] = mapped_column(ForeignKey("bank_line.id"))
    resembles_booking_id: Mapped[int | None] = mapped_column(ForeignKey("counter_booking.id"))
    booking_id: Mapped[int | None] = mapped_column(ForeignKey("counter_booking.id"), index=True)
    proposal: Mapped[str | None] = mapped_column(String(48))
    proposed_by: Mapped[str | None] = mapped_column(String(64))
    decided_by: Mapped[str] = mapped_column(String(64))
    decided_at: Mapped[datetime]


RETURN_STATES = StateMachine(
    name="return_item",
    label="退回",
    model=ReturnItem,
    states=ReturnStatus,
    transitions={ReturnStatus.OPEN: frozenset({ReturnStatus.RETURNED})},
    number="return_no",
    refusal="这笔款项已经退回",
)
BANK_LINE_STATES = StateMachine(
    name="bank_line",
    label="转账",
    model=BankLine,
    states=BankStatus,
    transitions={
        BankStatus.QUEUED: frozenset({BankStatus.CREDITED, BankStatus.RETURNING, BankStatus.DISMISSED})
    },
    number="reference",
    refusal="这笔转账已经处理",
)


def mark_returned(
    session: Session, item: ReturnItem, *, clerk: str, on: date, evidence: str, now: datetime
) -> None:
    """Record that the money was handed back. Raises: IllegalTransition - it was before."""
    guarded_move(
        session,
        RETURN_STATES,
        item,
        ReturnStatus.RETURNED,
        cause=clerk,
        now=now,
        returned_by=clerk,
        returned_key=Actor(clerk).key,
        returned_on=on,
        returned_at=now,
        evidence=evidence,
    )


def settle_line(
    session: Session, line: BankLine, new: BankStatus, *, booking_id: int | None, actor: str, now: datetime
) -> None:
    """Record what an operator decided about a queued transfer. Raises: IllegalTransition - decided before."""
    guarded_move(
        session,
        BANK_LINE_STATES,
        line,
        new,
        cause=actor,
        now=now,
        booking_id=booking_id,
        decided_by=actor,
        decided_at=now,
    )
