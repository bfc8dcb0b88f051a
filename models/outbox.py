"""Work that was promised by a commit and is done afterwards, at least once.

`WORK` says for each kind of work in which lane it waits and which outside system it needs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Index, String, Text, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, BigId


class Lane(StrEnum):
    """Work of one lane never waits for work of the other one."""

    MONEY = "money"
    MESSAGE = "message"


class Remote(StrEnum):
    """The outside system that a kind of work needs; while it is down, its kinds are paused together."""

    BILLING = "billing"
    PAYMENT = "payment"
    REFUND = "refund"
    MESSAGES = "messages"


@dataclass(frozen=True)
class Work:
    """Where a kind of work belongs; `remote` is None where our own database is all it needs."""

    lane: Lane
    remote: Remote | None


WORK: Mapping[str, Work] = {
    "credit": Work(Lane.MONEY, Remote.BILLING),
    "swap": Work(Lane.MONEY, Remote.BILLING),
    "payout": Work(Lane.MONEY, Remote.BILLING),
    "adjustment": Work(Lane.MONEY, Remote.BILLING),
    "repair": Work(Lane.MONEY, Remote.BILLING),
    "billing-repair": Work(Lane.MONEY, Remote.BILLING),
    "settle": Work(Lane.MONEY, Remote.PAYMENT),
    # Needs billing (the reversal) and WeChat Pay: neither outage may pause the work of the other system.
    "refund": Work(Lane.MONEY, Remote.REFUND),
    "inbox": Work(Lane.MONEY, None),
    "message": Work(Lane.MESSAGE, Remote.MESSAGES),
    "alert": Work(Lane.MESSAGE, Remote.MESSAGES),
    "owner_notice": Work(Lane.MESSAGE, None),
}
OTHER = Work(Lane.MONEY, None)


def work_of(kind: str) -> Work:
    """Return where this kind belongs; one that is not in the table never waits for messages."""
    return WORK.get(kind, OTHER)


class OutboxStatus(StrEnum):
    """READY waits for `next_at` (or for a lease to run out); PARKED waits for a person."""

    READY = "READY"
    DONE = "DONE"
    PARKED = "PARKED"


# The condition of the partial index; claims repeat it literally, so that both databases use the index.
UNFINISHED = text("status <> 'DONE'")


def _lane_of_row(context: Any) -> Lane:
    return work_of(context.get_current_parameters()["kind"]).lane


class OutboxItem(Base):
    """One piece of work; `(kind, key)` is unique, so the same promise is made once.

    `lease_owner` and `leased_until` say who works on it now; an item whose lease ran out is
    free again. `attempts` counts leases, `failures` the tries that ended in a bug of ours. `touched_at`
    is when `next_at` or the lease was written: a time ahead of now was written by a clock that was wrong.
    `request_id` is the request or command that enqueued it, for log lines only: no part of what it says.
    """

    __tablename__ = "outbox"
    __table_args__ = (
        UniqueConstraint("kind", "key"),
        Index(
            "ix_outbox_lane",
            "lane",
            "kind",
            "next_at",
            postgresql_where=UNFINISHED,
            sqlite_where=UNFINISHED,
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    kind: Mapped[str] = mapped_column(String(32))
    key: Mapped[str] = mapped_column(String(80))
    # The server's default serves processes of the previous version; `sweep` sorts their rows.
    lane: Mapped[Lane] = mapped_column(String(16), default=_lane_of_row, server_default=Lane.MONEY)
    payload: Mapped[dict[str, Any]] = mapped_column(JSON)
    request_id: Mapped[str | None] = mapped_column(String(32))
    status: Mapped[OutboxStatus] = mapped_column(String(16))
    attempts: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0, server_default="0")
    next_at: Mapped[datetime]
    touched_at: Mapped[datetime | None]
    lease_owner: Mapped[str | None] = mapped_column(String(64))
    leased_until: Mapped[datetime | None]
    last_error: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]
    done_at: Mapped[datetime | None]


class LanePause(Base):
    """An outside system that fails, seen by all workers: one row from the first failure to the first success.

    `probe_at` is None while it is only suspected. Once it is set, the kinds of `remote` are paused, and
    whoever moves it forward sends one item as a probe. `alarmed_at` says that operators were told.
    """

    __tablename__ = "lane_pause"

    remote: Mapped[str] = mapped_column(String(32), primary_key=True)
    reason: Mapped[str] = mapped_column(String(200))
    since: Mapped[datetime]
    failures: Mapped[int]
    last_key: Mapped[str] = mapped_column(String(120))
    failed_at: Mapped[datetime]
    probe_at: Mapped[datetime | None]
    alarmed_at: Mapped[datetime | None]
    alarm_key: Mapped[str | None] = mapped_column(String(80))
