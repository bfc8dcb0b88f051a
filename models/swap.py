"""The wish to swap a package as soon as an order's money has arrived."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, BigId
from models.order import rows_changed


class SwapStatus(StrEnum):
    """WAITING for the money or for billing; REFUSED leaves the money in the balance."""

    WAITING = "WAITING"
    DONE = "DONE"
    REFUSED = "REFUSED"


class SwapIntent(Base):
    """Fixed with the order: which package, at which price; `reason` is the code of a refusal."""

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
    changed_at: Mapped[datetime]


def swaps_of(session: Session, order_ids: list[int]) -> dict[int, SwapIntent]:
    """Wishes by order id, in one query."""
    found = session.scalars(select(SwapIntent).where(SwapIntent.order_id.in_(order_ids)))
    return {intent.order_id: intent for intent in found}


def end_swap(
    session: Session, order_id: int, status: SwapStatus, *, now: datetime, reason: str | None = None
) -> bool:
    """Write how a waiting swap ended. Returns: whether it was still waiting."""
    statement = (
        update(SwapIntent)
        .where(SwapIntent.order_id == order_id, SwapIntent.status == SwapStatus.WAITING)
        .values(status=status, reason=reason, changed_at=now)
    )
    return rows_changed(session, statement) == 1
