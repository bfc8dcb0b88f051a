"""The wish to swap a package as soon as an order's money has arrived."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, BigId
from models.db.state import StateMachine, guarded_move
from models.errors import Conflict


class SwapStatus(StrEnum):
    """WAITING for the money or for billing; REFUSED leaves the money in the balance.

    LATE: billing made the purchase after it had been given up.
    """

    WAITING = "WAITING"
    DONE = "DONE"
    REFUSED = "REFUSED"
    LATE = "LATE"


class SwapIntent(Base):
    """Fixed with the order: which package, at which price; `reason` is the code of a refusal.

    `doubt_from` and `prepared_ref` are of its call to billing: see `Credit`.
    """

    __tablename__ = "swap_intent"
    __table_args__ = (
        CheckConstraint("price_fen > 0", name="price_positive"),
        Index(
            "ix_swap_intent_waiting",
            "order_id",
            sqlite_where=text("status = 'WAITING'"),
            postgresql_where=text("status = 'WAITING'"),
        ),
    )

    order_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("orders.id"), primary_key=True, autoincrement=False
    )
    package_code: Mapped[str] = mapped_column(String(32))
    package_name: Mapped[str] = mapped_column(String(64))
    price_fen: Mapped[int]
    status: Mapped[SwapStatus] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(40))
    doubt_from: Mapped[datetime | None]
    prepared_ref: Mapped[str | None] = mapped_column(String(64))
    changed_at: Mapped[datetime]


def swaps_of(session: Session, order_ids: list[int]) -> dict[int, SwapIntent]:
    """Wishes by order id, in one query."""
    found = session.scalars(select(SwapIntent).where(SwapIntent.order_id.in_(order_ids)))
    return {intent.order_id: intent for intent in found}


SWAP_STATES = StateMachine(
    name="swap_intent",
    label="换购",
    model=SwapIntent,
    states=SwapStatus,
    transitions={
        SwapStatus.WAITING: frozenset({SwapStatus.DONE, SwapStatus.REFUSED}),
        SwapStatus.REFUSED: frozenset({SwapStatus.LATE}),
        SwapStatus.LATE: frozenset({SwapStatus.DONE}),
    },
    number="order_id",
)


def move_swap(
    session: Session, intent: SwapIntent, new: SwapStatus, *, now: datetime, reason: str | None = None
) -> None:
    """Move a wish to `new`. Raises: IllegalTransition, Conflict."""
    guarded_move(
        session,
        SWAP_STATES,
        intent,
        new,
        cause=reason or new.lower(),
        now=now,
        reason=reason,
        changed_at=now,
        doubt_from=None,
    )


def end_swap(
    session: Session, order_id: int, status: SwapStatus, *, now: datetime, reason: str | None = None
) -> bool:
    """Record how a waiting swap ended. Returns: False if it was not waiting any more."""
    intent = session.get(SwapIntent, order_id, populate_existing=True)
    if intent is None or intent.status != SwapStatus.WAITING:
        return False
    try:
        move_swap(session, intent, status, now=now, reason=reason)
    except Conflict:
        return False
    return True
