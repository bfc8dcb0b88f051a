"""Traffic as the network reported it, and what became of it: sessions, samples, use of lots, days."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, BigId

_OPEN = text("ended_at IS NULL")


class SampleKind(StrEnum):
    """What a sample says of its session; at the same instant they happened in this order."""

    START = "start"
    INTERIM = "interim"
    STOP = "stop"


class EndReason(StrEnum):
    """STOP: the network said so; NAS: its server restarted; STALE: nothing was heard for long."""

    STOP = "stop"
    NAS = "nas"
    STALE = "stale"


class AccountingSession(Base):
    """One connection of an account, from login to logout.

    A server (NAS) numbers its sessions anew after a restart, so its number alone names nothing: the
    beginning belongs to the name. `nas_started_at` is the same beginning by the clock of the NAS.
    `up_bytes` and `down_bytes` are how far its counters had gone at `last_at` from their bases, wraps
    undone. A base is what a counter stood at when the session began: not 0 where a server does not set
    it back, or where another account had the session before. `doubts` counts the reports of which a
    counter without gigawords did not tell whether it came round; `in_doubt`: the last one was such.
    """

    __tablename__ = "accounting_session"
    __table_args__ = (
        UniqueConstraint("session_no", "nas", "account_no", "started_at"),
        Index("ix_accounting_session_account_started", "account_no", "started_at", "id"),
        # What a restart of a NAS closes, and what the sweep looks through.
        Index("ix_accounting_session_open", "nas", "last_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
        CheckConstraint("up_bytes >= 0 AND down_bytes >= 0", name="not_negative"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_no: Mapped[str] = mapped_column(ForeignKey("account.account_no"))
    nas: Mapped[str] = mapped_column(String(64))
    session_no: Mapped[str] = mapped_column(String(64))
    address: Mapped[str | None] = mapped_column(String(45))
    started_at: Mapped[datetime]
    nas_started_at: Mapped[datetime]
    last_at: Mapped[datetime]
    up_bytes: Mapped[int]
    down_bytes: Mapped[int]
    base_up_bytes: Mapped[int] = mapped_column(default=0, server_default="0")
    base_down_bytes: Mapped[int] = mapped_column(default=0, server_default="0")
    doubts: Mapped[int] = mapped_column(default=0, server_default="0")
    in_doubt: Mapped[bool] = mapped_column(default=False, server_default=false())
    ended_at: Mapped[datetime | None]
    end_reason: Mapped[EndReason | None] = mapped_column(String(8))


class UsageSample(Base):
    """One report about a session, as it was reported: what has happened is never changed or deleted.

    A report is its whole content: the same one again finds this row. `up_octets` and `down_octets`
    hold the gigawords where there were any (`up_wide`, `down_wide`), else only the lower 32 bits.
    `began_at` is when the session began, as far as this report knows.
    """

    __tablename__ = "usage_sample"

    accounting_session_id: Mapped[int] = mapped_column(ForeignKey("accounting_session.id"), primary_key=True)
    event_at: Mapped[datetime] = mapped_column(primary_key=True)
    kind: Mapped[SampleKind] = mapped_column(String(8), primary_key=True)
    up_octets: Mapped[int] = mapped_column(primary_key=True)
    down_octets: Mapped[int] = mapped_column(primary_key=True)
    up_wide: Mapped[bool] = mapped_column(primary_key=True)
    down_wide: Mapped[bool] = mapped_column(primary_key=True)
    began_at: Mapped[datetime] = mapped_column(primary_key=True)
    received_at: Mapped[datetime]


class LotUse(Base):
    """Bytes taken from a lot on one campus day; negative where a late report gave them back.

    Append-only; the sum over a lot is the lot's `used_bytes`.
    """

    __tablename__ = "lot_use"
    __table_args__ = (CheckConstraint("used_bytes <> 0", name="used_not_zero"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    lot_id: Mapped[int] = mapped_column(ForeignKey("traffic_lot.id"), index=True)
    used_on: Mapped[date]
    used_bytes: Mapped[int]
    at: Mapped[datetime]


class UsageDay(Base):
    """Traffic of an account on one campus day; a day without any has no row.

    `up_bytes` and `down_bytes` are what went over the line; `fast_bytes` and `throttled_bytes` what
    of it counts, by whether a lot held it.
    """

    __tablename__ = "usage_day"
    __table_args__ = (
        CheckConstraint("up_bytes >= 0 AND down_bytes >= 0", name="sent_not_negative"),
        CheckConstraint("fast_bytes >= 0 AND throttled_bytes >= 0", name="counted_not_negative"),
    )

    account_no: Mapped[str] = mapped_column(ForeignKey("account.account_no"), primary_key=True)
    used_on: Mapped[date] = mapped_column(primary_key=True)
    up_bytes: Mapped[int]
    down_bytes: Mapped[int]
    fast_bytes: Mapped[int]
    throttled_bytes: Mapped[int]
