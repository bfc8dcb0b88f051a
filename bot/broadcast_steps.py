"""The rows of a broadcast: steps inside a transaction."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from bot.audience import Fingerprint
from models.db.state import guarded_move, rows_changed
from models.errors import Conflict, Refused
from models.notice import (
    BATCH_STATES,
    BROADCAST_STATES,
    BatchStatus,
    Broadcast,
    BroadcastBatch,
    BroadcastStatus,
    Notice,
)

OPEN = (BatchStatus.PLANNED, BatchStatus.SUBMITTED)
SENT_WORDS = frozenset({"send success", "sendsuccess", "SEND_SUCCESS"})
LARGEST_ID = 2**63 - 1
_COUNTS = ("TotalCount", "FilterCount", "SentCount", "ErrorCount")


class NoSuchBroadcast(Refused):
    """No broadcast has this key."""

    status = 404
    code = "E-CAST"


class BroadcastDiffers(Refused):
    """This key was used for another audience or another text."""

    status = 409
    code = "E-CAST-KEY"


class NoSuchNotice(Refused):
    """No notice has this number."""

    status = 404
    code = "E-NOTICE"

    def __init__(self, text: str = "没有这条公告") -> None:
        super().__init__(text)


def find_notice(session: Session, notice_id: int) -> Notice:
    """The notice with this number. Raises: NoSuchNotice."""
    found = session.get(Notice, notice_id) if 0 < notice_id <= LARGEST_ID else None
    if found is None:
        raise NoSuchNotice
    return found


def find_broadcast(session: Session, key: str) -> Broadcast:
    """The broadcast with this key.

    Raises:
        NoSuchBroadcast: it was never planned.
    """
    found = session.scalar(select(Broadcast).where(Broadcast.key == key))
    if found is None:
        raise NoSuchBroadcast(f"没有这次群发：{key}")
    return found


def text_of(notice: Notice) -> str:
    """Return the text that a broadcast of this notice sends."""
    return f"{notice.title}\n\n{notice.body}"


def fingerprint_of(session: Session, broadcast: Broadcast) -> Fingerprint:
    """Compute the fingerprint of the stored list, one batch in memory at a time."""
    made = Fingerprint()
    query = select(BroadcastBatch.openids).where(BroadcastBatch.broadcast_id == broadcast.id)
    for openids in session.scalars(query.execution_options(yield_per=1)):
        for openid in openids:
            made.add(openid)
    return made


def add_batch(session: Session, broadcast: Broadcast, seq: int, openids: list[str]) -> None:
    """Plan one call; its clientmsgid follows from the broadcast's key, so that it can be repeated."""
    session.add(
        BroadcastBatch(
            broadcast_id=broadcast.id,
            seq=seq,
            clientmsgid=hashlib.sha256(f"{broadcast.key}:{seq}".encode()).hexdigest()[:32],
            openids=openids,
            status=BatchStatus.PLANNED,
        )
    )


def next_batch(session: Session, broadcast_id: int) -> BroadcastBatch | None:
    """The first batch that has no msg_id yet."""
    query = select(BroadcastBatch).where(
        BroadcastBatch.broadcast_id == broadcast_id, BroadcastBatch.status == BatchStatus.PLANNED
    )
    return session.scalar(query.order_by(BroadcastBatch.seq).limit(1))


def mark_sending(session: Session, broadcast: Broadcast, now: datetime) -> None:
    """Move a planned broadcast to SENDING; another process may have been first."""
    if broadcast.status == BroadcastStatus.PLANNED:
        try:
            guarded_move(session, BROADCAST_STATES, broadcast, BroadcastStatus.SENDING, cause="send", now=now)
        except Conflict:
            session.refresh(broadcast)


def mark_attempt(session: Session, batch_id: int, now: datetime | None) -> None:
    """Note that the batch may be on its way from now on; None: it certainly is not."""
    # Guarded, so that a slow process cannot undo what another one has recorded meanwhile.
    waiting = update(BroadcastBatch).where(
        BroadcastBatch.id == batch_id, BroadcastBatch.status == BatchStatus.PLANNED
    )
    rows_changed(session, waiting.values(submitted_at=now))


def mark_submitted(session: Session, batch_id: int, msg_id: str, now: datetime) -> None:
    """Note the platform's number, if it gave one; a batch that has one keeps it."""
    _move_batch(
        session,
        batch_id,
        BatchStatus.PLANNED,
        BatchStatus.SUBMITTED,
        now=now,
        cause="submitted",
        msg_id=msg_id or None,
        submitted_at=now,
    )


def mark_failed(session: Session, batch_id: int, reason: Mapping[str, Any], now: datetime) -> None:
    """Give the batch up; the reason is kept for the operator."""
    cause = str(reason.get("error", "failed"))
    _move_batch(
        session,
        batch_id,
        BatchStatus.PLANNED,
        BatchStatus.FAILED,
        now=now,
        cause=cause,
        result=dict(reason),
        finished_at=now,
    )


def record_result(session: Session, fields: Mapping[str, Any], now: datetime) -> bool:
    """Record what a MASSSENDJOBFINISH event says about a batch of ours, once.

    Returns: whether it was a batch of ours that had no result yet.
    """
    status = str(fields.get("Status", ""))
    counts = {name: int(fields[name]) for name in _COUNTS if str(fields.get(name, "")).isdecimal()}
    result = {"Status": status, **counts}
    return record_outcome(
        session, str(fields.get("MsgID", "")), sent=status in SENT_WORDS, result=result, now=now
    )


def record_outcome(
    session: Session, msg_id: str, *, sent: bool, result: Mapping[str, Any], now: datetime
) -> bool:
    """Close the batch with this msg_id, and the broadcast with its last batch."""
    batch = session.scalar(select(BroadcastBatch).where(BroadcastBatch.msg_id == msg_id)) if msg_id else None
    if batch is None:
        return False
    # Held, so that the results of the last two batches see each other.
    session.get_one(Broadcast, batch.broadcast_id, with_for_update=True, populate_existing=True)
    status = BatchStatus.SENT if sent else BatchStatus.FAILED
    changed = _move_batch(
        session,
        batch.id,
        BatchStatus.SUBMITTED,
        status,
        now=now,
        cause="result",
        result=dict(result),
        finished_at=now,
    )
    close_if_done(session, batch.broadcast_id, now)
    return changed


def close_if_done(session: Session, broadcast_id: int, now: datetime) -> None:
    """End the broadcast when no batch is open: DONE, or FAILED when a batch failed."""
    counts = count_batches(session, broadcast_id)
    broadcast = session.get_one(Broadcast, broadcast_id, populate_existing=True)
    if any(counts.get(status) for status in OPEN) or broadcast.status != BroadcastStatus.SENDING:
        return
    status = BroadcastStatus.FAILED if counts.get(BatchStatus.FAILED) else BroadcastStatus.DONE
    try:
        guarded_move(
            session, BROADCAST_STATES, broadcast, status, cause="all batches", now=now, finished_at=now
        )
    except Conflict:
        session.refresh(broadcast)


def count_batches(session: Session, broadcast_id: int) -> dict[BatchStatus, int]:
    """How many batches stand where."""
    query = (
        select(BroadcastBatch.status, func.count())
        .where(BroadcastBatch.broadcast_id == broadcast_id)
        .group_by(BroadcastBatch.status)
    )
    return {BatchStatus(status): count for status, count in session.execute(query)}


def submitted(session: Session, broadcast_id: int) -> list[str]:
    """The msg_ids without a result."""
    query = select(BroadcastBatch.msg_id).where(
        BroadcastBatch.broadcast_id == broadcast_id, BroadcastBatch.status == BatchStatus.SUBMITTED
    )
    return [msg_id for msg_id in session.scalars(query.order_by(BroadcastBatch.seq)) if msg_id]


def _move_batch(
    session: Session,
    batch_id: int,
    old: BatchStatus,
    new: BatchStatus,
    *,
    now: datetime,
    cause: str,
    **values: Any,
) -> bool:
    """Move a batch that is still in `old`; a slow process cannot undo what another one has recorded."""
    batch = session.get_one(BroadcastBatch, batch_id, populate_existing=True)
    if batch.status != old:
        return False
    try:
        guarded_move(session, BATCH_STATES, batch, new, cause=cause, now=now, **values)
    except Conflict:
        return False
    return True
