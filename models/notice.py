"""Notices and their broadcasts: written once, sent in batches, each batch at most once."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, ForeignKey, String, Text, UniqueConstraint, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, BigId
from models.db.state import StateMachine


class BroadcastStatus(StrEnum):
    """A broadcast is planned, then its batches are sent, then their results are known."""

    PLANNED = "PLANNED"
    SENDING = "SENDING"
    DONE = "DONE"
    FAILED = "FAILED"


class BatchStatus(StrEnum):
    """SUBMITTED means that WeChat gave a `msg_id`; SENT and FAILED come by event or by polling."""

    PLANNED = "PLANNED"
    SUBMITTED = "SUBMITTED"
    SENT = "SENT"
    FAILED = "FAILED"


class Notice(Base):
    """A text for everybody; shown under 公告 from `published_at` on."""

    __tablename__ = "notice"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    title: Mapped[str] = mapped_column(String(64))
    body: Mapped[str] = mapped_column(Text)
    published_at: Mapped[datetime] = mapped_column(index=True)


class Broadcast(Base):
    """One sending of a notice. `audience` is `all`, `tag` or `list`; `audience_arg` the tag id.

    `key` is chosen by the caller before anything is sent: the same key continues the same
    broadcast, it never makes a second one. `content` is the text as it was confirmed: audience and
    content are frozen together, whatever becomes of the notice.
    """

    __tablename__ = "broadcast"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    key: Mapped[str] = mapped_column(String(64), unique=True)
    notice_id: Mapped[int] = mapped_column(ForeignKey("notice.id"))
    audience: Mapped[str] = mapped_column(String(16))
    audience_arg: Mapped[str | None] = mapped_column(String(64))
    content: Mapped[str] = mapped_column(Text, default="", server_default=text("''"))
    status: Mapped[BroadcastStatus] = mapped_column(String(16))
    recipients: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class BroadcastBatch(Base):
    """One call of the mass-send interface. `clientmsgid` makes a repetition harmless for 24 h.

    `openids` is empty for the audiences `all` and `tag`, which WeChat expands itself.
    """

    __tablename__ = "broadcast_batch"
    __table_args__ = (UniqueConstraint("broadcast_id", "seq"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    broadcast_id: Mapped[int] = mapped_column(ForeignKey("broadcast.id"))
    seq: Mapped[int]
    clientmsgid: Mapped[str] = mapped_column(String(64), unique=True)
    openids: Mapped[list[str]] = mapped_column(JSON)
    status: Mapped[BatchStatus] = mapped_column(String(16))
    msg_id: Mapped[str | None] = mapped_column(String(32), index=True)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    submitted_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


BROADCAST_STATES = StateMachine(
    name="broadcast",
    label="群发",
    model=Broadcast,
    states=BroadcastStatus,
    transitions={
        BroadcastStatus.PLANNED: frozenset({BroadcastStatus.SENDING}),
        BroadcastStatus.SENDING: frozenset({BroadcastStatus.DONE, BroadcastStatus.FAILED}),
    },
    number="key",
)
BATCH_STATES = StateMachine(
    name="broadcast_batch",
    label="群发批次",
    model=BroadcastBatch,
    states=BatchStatus,
    transitions={
        BatchStatus.PLANNED: frozenset({BatchStatus.SUBMITTED, BatchStatus.FAILED}),
        BatchStatus.SUBMITTED: frozenset({BatchStatus.SENT, BatchStatus.FAILED}),
    },
    number="clientmsgid",
)


def latest_notices(session: Session, now: datetime, *, limit: int = 5) -> list[Notice]:
    """The newest notices that are published by `now`."""
    query = (
        select(Notice)
        .where(Notice.published_at <= now)
        .order_by(Notice.published_at.desc(), Notice.id.desc())
    )
    return list(session.scalars(query.limit(limit)))


def published_notice(session: Session, notice_id: int, now: datetime) -> Notice | None:
    """One notice, if it is published by `now`."""
    found = session.get(Notice, notice_id)
    return found if found is not None and found.published_at <= now else None
