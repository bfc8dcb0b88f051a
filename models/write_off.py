"""Money of dismissed review items: written off, or owed until someone claims it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, String, Text, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, BigId


class WriteOffKind(StrEnum):
    """OWED is still due to its payer; WRITTEN_OFF is not."""

    WRITTEN_OFF = "WRITTEN_OFF"
    OWED = "OWED"


class WriteOff(Base):
    """What two operators decided about money that stays where it is.

    `order_id` is set where the money is in review by the states of this order, so that the row stands
    for it in the books; `subject` names the order or payment for readers. `ended_at`: asked again.
    """

    __tablename__ = "write_off"
    __table_args__ = (CheckConstraint("amount_fen > 0", name="amount_positive"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("review_item.id"), index=True)
    order_id: Mapped[int | None] = mapped_column(ForeignKey("orders.id"), index=True)
    subject: Mapped[str] = mapped_column(String(80))
    amount_fen: Mapped[int]
    kind: Mapped[WriteOffKind] = mapped_column(String(16))
    proposed_by: Mapped[str] = mapped_column(String(64))
    approved_by: Mapped[str] = mapped_column(String(64))
    evidence: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


def kept_fen(session: Session, order_id: int) -> int:
    """Return what of an order is written off or kept as owed: it moves only once it is asked again."""
    query = select(func.sum(WriteOff.amount_fen)).where(
        WriteOff.order_id == order_id, WriteOff.ended_at.is_(None)
    )
    return int(session.scalar(query) or 0)
