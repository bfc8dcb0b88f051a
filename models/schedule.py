"""Periodic work as rows: N workers run each job once."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base


class Periodic(Base):
    """One job; `next_at` moves forward in the commit that takes it, so nobody else takes the same turn."""

    __tablename__ = "periodic"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    next_at: Mapped[datetime]
    last_at: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(String(200))
