"""Money on its way back to the payer, and the one place where a refund changes state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Date, ForeignKey, Index, String, case, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, BigId
from models.db.state import StateMachine, guarded_move


class RefundStatus(StrEnum):
    """REQUESTED waits for a second person; ABNORMAL and CLOSED wait for one to decide what next."""

    REQUESTED = "REQUESTED"
    APPROVED = "APPROVED"
    SENDING = "SENDING"
    PROCESSING = "PROCESSING"
    SUCCESS = "SUCCESS"
    ABNORMAL = "ABNORMAL"
    CLOSED = "CLOSED"
    UNKNOWN = "UNKNOWN"


_ANSWERS = frozenset(
    {RefundStatus.PROCESSING, RefundStatus.SUCCESS, RefundStatus.ABNORMAL, RefundStatus.CLOSED}
)

REFUND_TRANSITIONS: dict[RefundStatus, frozenset[RefundStatus]] = {
    RefundStatus.REQUESTED: frozenset({RefundStatus.APPROVED, RefundStatus.CLOSED}),
    RefundStatus.APPROVED: frozenset({RefundStatus.SENDING, RefundStatus.CLOSED}),
    # Back to APPROVED: WeChat certainly did not accept it (no balance, rate limit, no connection).
    RefundStatus.SENDING: _ANSWERS | {RefundStatus.UNKNOWN, RefundStatus.APPROVED},
    RefundStatus.UNKNOWN: _ANSWERS | {RefundStatus.SENDING},
    RefundStatus.PROCESSING: _ANSWERS - {RefundStatus.PROCESSING},
    # An abnormal refund is finished by hand in the merchant console; WeChat then says SUCCESS or CLOSED.
    RefundStatus.ABNORMAL: frozenset({RefundStatus.SUCCESS, RefundStatus.CLOSED}),
    RefundStatus.SUCCESS: frozenset(),
    RefundStatus.CLOSED: frozenset(),
}


# Agreed to by two persons and not ended: also an abnormal one is brought to the payer in the end.
UNDER_WAY = (
    RefundStatus.APPROVED,
    RefundStatus.SENDING,
    RefundStatus.UNKNOWN,
    RefundStatus.PROCESSING,
    RefundStatus.ABNORMAL,
)


@dataclass(frozen=True)
class MoneyBack:
    """The refunds of one order, in fen: what is on its way to the payer, and what is there."""

    under_way_fen: int
    returned_fen: int


NOTHING_BACK = MoneyBack(0, 0)


class ReversalStatus(StrEnum):
    """What became of taking the credit back from billing, before the money goes back.

    NOT_NEEDED: the credit was voided. SENDING and UNKNOWN are queried, never repeated blindly.
    """

    NOT_NEEDED = "NOT_NEEDED"
    PENDING = "PENDING"
    SENDING = "SENDING"
    UNKNOWN = "UNKNOWN"
    DONE = "DONE"


REVERSAL_TRANSITIONS: dict[ReversalStatus, frozenset[ReversalStatus]] = {
    ReversalStatus.PENDING: frozenset(
        {ReversalStatus.SENDING, ReversalStatus.NOT_NEEDED, ReversalStatus.DONE}
    ),
    # Back to PENDING: billing certainly did not do it.
    ReversalStatus.SENDING: frozenset({ReversalStatus.UNKNOWN, ReversalStatus.PENDING, ReversalStatus.DONE}),
    ReversalStatus.UNKNOWN: frozenset({ReversalStatus.SENDING, ReversalStatus.PENDING, ReversalStatus.DONE}),
    ReversalStatus.NOT_NEEDED: frozenset(),
    ReversalStatus.DONE: frozenset(),
}


class Refund(Base):
    """One refund under a number that is never used again; retries keep the number.

    `origin` is `ours`, or `external` for one that was made in the merchant console and found later.
    `held` tells whether its amount is held in the order's allocation; `billed_on` is the campus day
    whose trade bill lists it. `doubt_from` and `prepared_ref` are of its call to billing: see `Credit`.
    """

    __tablename__ = "refund"
    __table_args__ = (
        CheckConstraint("amount_fen > 0", name="amount_positive"),
        Index("ix_refund_status_changed", "status", "changed_at"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), index=True)
    out_refund_no: Mapped[str] = mapped_column(String(64), unique=True)
    out_trade_no: Mapped[str] = mapped_column(String(32))
    refund_id: Mapped[str | None] = mapped_column(String(64), unique=True)
    amount_fen: Mapped[int]
    reason: Mapped[str] = mapped_column(String(80))
    origin: Mapped[str] = mapped_column(String(16))
    status: Mapped[RefundStatus] = mapped_column(String(16))
    reversal: Mapped[ReversalStatus] = mapped_column(String(16))
    held: Mapped[bool] = mapped_column(default=False)
    requested_by: Mapped[str] = mapped_column(String(64))
    approved_by: Mapped[str | None] = mapped_column(String(64))
    last_error: Mapped[str | None] = mapped_column(String(200))
    success_at: Mapped[datetime | None]
    billed_on: Mapped[date | None] = mapped_column(Date)
    doubt_from: Mapped[datetime | None]
    prepared_ref: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


REFUND_STATES = StateMachine(
    name="refund",
    label="退款",
    model=Refund,
    states=RefundStatus,
    transitions=REFUND_TRANSITIONS,
    number="out_refund_no",
)
REVERSAL_STATES = StateMachine(
    name="reversal",
    label="冲正",
    model=Refund,
    states=ReversalStatus,
    transitions=REVERSAL_TRANSITIONS,
    number="out_refund_no",
    column="reversal",
)


def move_refund(
    session: Session, refund: Refund, new: RefundStatus, *, now: datetime, error: str | None = None
) -> None:
    """Move a refund to `new`.

    Raises: IllegalTransition - not in the table; Conflict - another transaction moved it first.
    """
    guarded_move(
        session,
        REFUND_STATES,
        refund,
        new,
        cause=error or new.lower(),
        now=now,
        changed_at=now,
        last_error=error,
    )


def move_reversal(
    session: Session,
    refund: Refund,
    new: ReversalStatus,
    *,
    now: datetime,
    cause: str | None = None,
    **values: Any,
) -> None:
    """Move the reversal of a refund's credit to `new`; nothing happens where it is there already.

    `values` are set in the same statement.

    Raises: IllegalTransition - not in the table; Conflict - another transaction moved it first.
    """
    if refund.reversal != new:
        guarded_move(session, REVERSAL_STATES, refund, new, cause=cause or new.lower(), now=now, **values)


def find_refund(session: Session, out_refund_no: str) -> Refund | None:
    """The refund with this number, or None."""
    return session.scalar(select(Refund).where(Refund.out_refund_no == out_refund_no))


def refunds_of(session: Session, order_id: int) -> list[Refund]:
    """All refunds of an order, oldest first."""
    return list(session.scalars(select(Refund).where(Refund.order_id == order_id).order_by(Refund.id)))


def money_back_of(session: Session, order_ids: Sequence[int]) -> dict[int, MoneyBack]:
    """Sums of refunds by order id, in one query; an order without refunds is not in it."""
    under_way = case((Refund.status.in_(UNDER_WAY), Refund.amount_fen), else_=0)
    returned = case((Refund.status == RefundStatus.SUCCESS, Refund.amount_fen), else_=0)
    query = (
        select(Refund.order_id, func.sum(under_way), func.sum(returned))
        .where(Refund.order_id.in_(order_ids))
        .group_by(Refund.order_id)
    )
    return {row[0]: MoneyBack(int(row[1]), int(row[2])) for row in session.execute(query)}
