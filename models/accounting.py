"""Accounting records that were received and could not be counted, and how often counters were in doubt."""

from __future__ import annotations

from datetime import date, datetime

from sqlalchemy import Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, BigId

_OPEN = text("replayed_at IS NULL")


class DeadLetter(Base):
    """One record as it was received, with the reason why it was not counted.

    `attributes` is its JSON, bounded; `whole` is False where it was cut. `digest` is of the whole
    record: the same one again is kept once. A replay that counts it sets `replayed_at` and `outcome`.
    """

    __tablename__ = "accounting_dead_letter"
    __table_args__ = (
        Index("ix_accounting_dead_letter_open", "reason", "id", sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("ix_accounting_dead_letter_received", "received_at"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    digest: Mapped[str] = mapped_column(String(64), unique=True)
    reason: Mapped[str] = mapped_column(String(32))
    attributes: Mapped[str] = mapped_column(Text)
    whole: Mapped[bool]
    received_at: Mapped[datetime]
    source: Mapped[str] = mapped_column(String(16))
    replayed_at: Mapped[datetime | None]
    outcome: Mapped[str | None] = mapped_column(String(16))


class CounterDoubt(Base):
    """How many reports of a server and campus day came from a 32-bit counter of which nothing was certain.

    Such a counter fell by less than half: it came round, or it went back. The traffic is not charged.
    """

    __tablename__ = "accounting_doubt"

    nas: Mapped[str] = mapped_column(String(64), primary_key=True)
    seen_on: Mapped[date] = mapped_column(primary_key=True)
    reports: Mapped[int]
