"""Adjusting entries: money put on or taken off an account by two operators, or put back after a refund."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, BigId
from models.db.state import StateMachine, guarded_move
from models.errors import Refused


class AdjustmentKind(StrEnum):
    """PUT_BACK credits money again that a refund which came to nothing had taken off the account."""

    GENERAL = "GENERAL"
    PUT_BACK = "PUT_BACK"


class AdjustmentStatus(StrEnum):
    """REQUESTED waits for a second operator; REFUSED is billing's answer, REJECTED an operator's."""

    REQUESTED = "REQUESTED"
    REJECTED = "REJECTED"
    APPROVED = "APPROVED"
    SENDING = "SENDING"
    UNKNOWN = "UNKNOWN"
    REFUSED = "REFUSED"
    DONE = "DONE"


ADJUSTMENT_TRANSITIONS: dict[AdjustmentStatus, frozenset[AdjustmentStatus]] = {
    AdjustmentStatus.REQUESTED: frozenset({AdjustmentStatus.APPROVED, AdjustmentStatus.REJECTED}),
    AdjustmentStatus.APPROVED: frozenset({AdjustmentStatus.SENDING}),
    # Back to APPROVED: billing certainly did not do it and may do so later.
    AdjustmentStatus.SENDING: frozenset(
        {
            AdjustmentStatus.DONE,
            AdjustmentStatus.REFUSED,
            AdjustmentStatus.UNKNOWN,
            AdjustmentStatus.APPROVED,
        }
    ),
    # Certainly not done; two operators try again.
    AdjustmentStatus.REFUSED: frozenset({AdjustmentStatus.APPROVED}),
    # To APPROVED: two operators have made sure that billing does not have it.
    AdjustmentStatus.UNKNOWN: frozenset(
        {AdjustmentStatus.SENDING, AdjustmentStatus.DONE, AdjustmentStatus.APPROVED}
    ),
}

# The money of a PUT_BACK is committed in these.
HOLDING = (
    AdjustmentStatus.APPROVED,
    AdjustmentStatus.SENDING,
    AdjustmentStatus.UNKNOWN,
    AdjustmentStatus.DONE,
)
UNDER_WAY = (AdjustmentStatus.APPROVED, AdjustmentStatus.SENDING, AdjustmentStatus.UNKNOWN)


class NoSuchAdjustment(Refused):
    """No adjusting entry has this number."""

    status = 404
    code = "E-ADJUST"

    def __init__(self, text: str = "没有这笔调账") -> None:
        super().__init__(text)


class Adjustment(Base):
    """One entry. `adjustment_no` is its key with billing; `amount_fen` is positive onto the account.

    `reason` is what the student reads. A PUT_BACK names the order and the payment that it belongs to.
    """

    __tablename__ = "adjustment"
    __table_args__ = (
        CheckConstraint("amount_fen <> 0", name="amount_not_zero"),
        CheckConstraint("kind <> 'PUT_BACK' OR amount_fen > 0", name="put_back_positive"),
        CheckConstraint("(kind = 'PUT_BACK') = (order_id IS NOT NULL)", name="put_back_has_order"),
        Index("ix_adjustment_status_id", "status", "id"),
        Index("ix_adjustment_out_trade_no", "out_trade_no"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    adjustment_no: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[AdjustmentKind] = mapped_column(String(16))
    account_no: Mapped[str] = mapped_column(String(32), index=True)
    amount_fen: Mapped[int]
    reason: Mapped[str] = mapped_column(String(80))
    evidence: Mapped[str] = mapped_column(String(200))
    order_id: Mapped[int | None] = mapped_column(ForeignKey("orders.id"), index=True)
    out_trade_no: Mapped[str | None] = mapped_column(String(32))
    status: Mapped[AdjustmentStatus] = mapped_column(String(16))
    last_error: Mapped[str | None] = mapped_column(String(200))
    requested_by: Mapped[str] = mapped_column(String(64))
    decided_by: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


ADJUSTMENT_STATES = StateMachine(
    name="adjustment",
    label="调账",
    model=Adjustment,
    states=AdjustmentStatus,
    transitions=ADJUSTMENT_TRANSITIONS,
    number="adjustment_no",
)


def move_adjustment(
    session: Session,
    adjustment: Adjustment,
    new: AdjustmentStatus,
    *,
    now: datetime,
    cause: str | None = None,
    error: str | None = None,
    decided_by: str | None = None,
) -> None:
    """Move an adjusting entry to `new`.

    Raises:
        IllegalTransition: not in the table.
        Conflict: another transaction moved it first.
    """
    values = {} if decided_by is None else {"decided_by": decided_by}
    guarded_move(
        session,
        ADJUSTMENT_STATES,
        adjustment,
        new,
        cause=cause or error or new.lower(),
        now=now,
        changed_at=now,
        last_error=error,
        **values,
    )


def lock_adjustment(session: Session, adjustment_no: str) -> Adjustment:
    """Return the entry with this number, locked until the transaction ends. Raises: NoSuchAdjustment."""
    query = select(Adjustment).where(Adjustment.adjustment_no == adjustment_no).with_for_update()
    found = session.scalar(query.execution_options(populate_existing=True))
    if found is None:
        raise NoSuchAdjustment
    return found
