"""Work that was promised by a commit and is done afterwards, at least once."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, BigId


class OutboxStatus(StrEnum):
    """READY waits for `next_at` (or for a lease to run out); PARKED waits for a person."""

    READY = "READY"
    DONE = "DONE"
    PARKED = "PARKED"


class OutboxItem(Base):
    """One piece of work; `(kind, key)` is unique, so the same promise is made once.

    `lease_owner` and `leased_until` say who works on it now; an item whose lease ran out is
    free again. `attempts` counts leases, not failures.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        UniqueConstraint("kind", "key"),
        Index("ix_outbox_ready", "status", "next_at"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    key: Mapped[str] = mapped_column(String(80))
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    status: Mapped[OutboxStatus] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(default=0)
    next_at: Mapped[datetime]
    lease_owner: Mapped[str | None] = mapped_column(String(64))
    leased_until: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    done_at: Mapped[datetime | None]
