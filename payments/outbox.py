"""The outbox: promises made in a commit, kept afterwards by whichever worker holds the lease.

Claiming is `FOR UPDATE SKIP LOCKED` on PostgreSQL; on SQLite it needs nothing more, since the write
lock is held from BEGIN. Finishing is fenced: only the holder of a running lease may do it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BindParameter, Select, bindparam, or_, select, union_all, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from models.db.state import rows_changed
from models.errors import Conflict, Refused
from models.outbox import UNFINISHED, WORK, Lane, OutboxItem, OutboxStatus, work_of
from models.values import request_id

LEASE_S = 30
BACKOFF_FIRST_S = 2.0
# Money is tried again within a minute of the return of whatever was down. A message that may have been
# sent already is not repeated that often.
BACKOFF_CAP_S = 60.0
MESSAGE_BACKOFF_CAP_S = 600.0
# Tries that end in a bug of ours; an outage never uses them up.
FAILURES_MAX = 40
# A time further ahead than this was written by a clock that was wrong.
CLOCK_SKEW = timedelta(minutes=1)
PULLED_AT_ONCE = 1000

# Written into the statement: with a parameter in its place the partial index could not be used.
_READY: BindParameter[OutboxStatus] = bindparam("ready", OutboxStatus.READY, literal_execute=True)


# Sent once per key, whatever words a repetition has.
NOTIFICATIONS = frozenset({"message", "alert"})


class PayloadDiffers(Refused):
    """This key stands for another piece of work."""

    status = 409
    code = "E-KEY"

    def __init__(self, text: str = "该任务编号已用于另一项工作") -> None:
        super().__init__(text)


@dataclass(frozen=True)
class Claim:
    """One leased item: work on it, then finish, postpone or park it under the same owner."""

    id: int
    kind: str
    key: str
    payload: dict[str, Any]
    attempts: int
    owner: str
    leased_until: datetime
    failures: int = 0
    created_at: datetime | None = None
    request_id: str | None = None

    def check_lease(self, now: datetime) -> None:
        """Return while the lease runs: the last check before a call that a successor might repeat.

        Raises: Conflict - another worker may hold the item by now.
        """
        if now >= self.leased_until:
            raise Conflict(f"lease of {self.kind}:{self.key} ran out")


def put(
    session: Session,
    kind: str,
    key: str,
    payload: dict[str, Any],
    *,
    now: datetime,
    due_at: datetime | None = None,
    caused_by: str | None = None,
) -> None:
    """Enqueue work in this transaction; work already enqueued under `(kind, key)` stays as it is.

    Args:
        caused_by: id of the request that the work belongs to; that of the logging context if None.

    Raises: PayloadDiffers - the key stands for other work (notifications go out once per key).
    """
    insert = postgres_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    inserted = (
        insert(OutboxItem)
        .values(
            kind=kind,
            key=key,
            lane=work_of(kind).lane,
            payload=payload,
            request_id=caused_by or request_id.current(),
            status=OutboxStatus.READY,
            attempts=0,
            failures=0,
            next_at=due_at or now,
            touched_at=now,
            created_at=now,
        )
        .on_conflict_do_nothing(index_elements=["kind", "key"])
    )
    if rows_changed(session, inserted) or kind in NOTIFICATIONS:
        return
    known = select(OutboxItem.payload).where(OutboxItem.kind == kind, OutboxItem.key == key)
    if session.scalar(known) != payload:
        raise PayloadDiffers


def claim(
    session: Session,
    owner: str,
    *,
    now: datetime,
    limit: int,
    kinds: Sequence[str],
    lease_s: float = LEASE_S,
) -> list[Claim]:
    """Lease up to `limit` due items of these kinds for `lease_s` seconds, oldest first."""
    if not kinds:
        return []
    until = now + timedelta(seconds=lease_s)
    found = session.execute(_due(kinds, now, limit)).all()
    if not found:
        return []
    session.execute(
        update(OutboxItem)
        .where(OutboxItem.id.in_([row.id for row in found]))
        .values(
            lease_owner=owner,
            leased_until=until,
            touched_at=now,
            attempts=OutboxItem.attempts + 1,
        )
        .execution_options(synchronize_session=False)
    )
    return [
        Claim(
            row.id,
            row.kind,
            row.key,
            dict(row.payload),
            row.attempts + 1,
            owner,
            until,
            row.failures,
            row.created_at,
            row.request_id,
        )
        for row in found
    ]


def _due(kinds: Sequence[str], now: datetime, limit: int) -> Select[Any]:
    """The oldest due items, locked.

    One walk along the index for each kind: neither a hundred thousand rows of this kind nor those of a
    kind that this worker lacks are read or sorted.
    """
    branches = []
    for kind in kinds:
        rows = (
            select(*_CLAIMED, OutboxItem.next_at)
            .where(
                OutboxItem.lane == work_of(kind).lane,
                OutboxItem.kind == kind,
                UNFINISHED,
                OutboxItem.status == _READY,
                OutboxItem.next_at <= now,
                or_(OutboxItem.leased_until.is_(None), OutboxItem.leased_until <= now),
            )
            .order_by(OutboxItem.next_at)
            .limit(limit)
            # Written out only by PostgreSQL; on SQLite the transaction already holds the write lock.
            .with_for_update(skip_locked=True)
            .subquery()
        )
        branches.append(select(*rows.c))
    if len(branches) == 1:
        return branches[0]
    due = union_all(*branches).subquery()
    return select(*due.c).order_by(due.c.next_at).limit(limit)


_CLAIMED = (
    OutboxItem.id,
    OutboxItem.kind,
    OutboxItem.key,
    OutboxItem.payload,
    OutboxItem.attempts,
    OutboxItem.failures,
    OutboxItem.created_at,
    OutboxItem.request_id,
)


def revive(session: Session, kind: str, key: str, *, now: datetime) -> None:
    """Make a finished or parked item ready once more; does nothing to one that is ready."""
    ended = update(OutboxItem).where(
        OutboxItem.kind == kind, OutboxItem.key == key, OutboxItem.status != OutboxStatus.READY
    )
    again: dict[str, Any] = {
        "attempts": 0,
        "failures": 0,
        "touched_at": now,
        "lease_owner": None,
        "leased_until": None,
        "done_at": None,
    }
    # From now on this is the work of the request that asked for it again.
    if (caused_by := request_id.current()) is not None:
        again["request_id"] = caused_by
    rows_changed(session, ended.values(status=OutboxStatus.READY, next_at=now, **again))


def renew(session: Session, held: Claim, *, now: datetime, lease_s: float = LEASE_S) -> Claim:
    """Hold the item for another `lease_s` seconds. Raises: Conflict - the lease ran out."""
    until = now + timedelta(seconds=lease_s)
    _guarded(session, held, now, leased_until=until, touched_at=now)
    return replace(held, leased_until=until)


def insist(session: Session, held: Claim, *, now: datetime) -> None:
    """Go on only while the lease runs: nobody else works on this item until this transaction ends.

    For steps that would undo what the next holder of the item does. Raises: Conflict.
    """
    _guarded(session, held, now, lease_owner=held.owner)


def finish(session: Session, held: Claim, *, now: datetime, note: str | None = None) -> None:
    """Mark the work as done. Raises: Conflict - the lease ran out; somebody else has it."""
    _settle(session, held, now, status=OutboxStatus.DONE, done_at=now, last_error=note)


def postpone(
    session: Session, held: Claim, *, now: datetime, due_at: datetime, error: str | None, failed: bool = False
) -> None:
    """Give the item back until `due_at`; `failed` counts a bug. Raises: Conflict - the lease ran out."""
    failures = held.failures + 1 if failed else held.failures
    _settle(session, held, now, next_at=due_at, last_error=error, failures=failures)


def park(session: Session, held: Claim, *, now: datetime, error: str) -> None:
    """Leave the item to an operator. Raises: Conflict - the lease ran out."""
    _settle(session, held, now, status=OutboxStatus.PARKED, last_error=error)


def hasten(session: Session, kind: str, key: str, *, due_at: datetime) -> None:
    """Make a waiting item due at `due_at` if that is earlier than planned; does nothing otherwise."""
    session.execute(
        update(OutboxItem)
        .where(
            OutboxItem.kind == kind,
            OutboxItem.key == key,
            OutboxItem.status == OutboxStatus.READY,
            OutboxItem.next_at > due_at,
        )
        .values(next_at=due_at)
        .execution_options(synchronize_session=False)
    )


def pull_back(session: Session, *, now: datetime) -> int:
    """Correct what a clock that was ahead has written. Returns: how many items.

    An item keeps the wait that it was given, counted from now; a lease that was written then has no holder
    who could still use it.
    """
    ahead = select(OutboxItem.id, OutboxItem.next_at, OutboxItem.touched_at).where(
        UNFINISHED, OutboxItem.touched_at > now + CLOCK_SKEW
    )
    rows = session.execute(ahead.limit(PULLED_AT_ONCE).with_for_update(skip_locked=True)).all()
    for number, next_at, touched_at in rows:
        meant = next_at - (touched_at or now)
        due_at = min(next_at, now + max(meant, timedelta(0)))
        values = {"next_at": due_at, "touched_at": now, "lease_owner": None, "leased_until": None}
        session.execute(update(OutboxItem).where(OutboxItem.id == number).values(values))
    return len(rows)


def sort_lanes(session: Session) -> int:
    """Move items to the lane of their kind: the previous version's processes know no lanes."""
    moved = 0
    for kind, work in WORK.items():
        wrong = update(OutboxItem).where(OutboxItem.kind == kind, UNFINISHED, OutboxItem.lane != work.lane)
        moved += rows_changed(session, wrong.values(lane=work.lane))
    return moved


def backoff_s(attempts: int, *, kind: str = "") -> float:
    """Seconds until the next try: 2, 4, 8 ... up to the lane's cap, each with up to a quarter of jitter."""
    cap = MESSAGE_BACKOFF_CAP_S if work_of(kind).lane == Lane.MESSAGE else BACKOFF_CAP_S
    base: float = min(cap, BACKOFF_FIRST_S * 2 ** min(attempts - 1, 20))
    return base * (1 + random.random() / 4)  # noqa: S311 - spreading load, no secret


def _settle(session: Session, held: Claim, now: datetime, **values: Any) -> None:
    _guarded(session, held, now, lease_owner=None, leased_until=None, touched_at=now, **values)


def _guarded(session: Session, held: Claim, now: datetime, **values: Any) -> None:
    statement = (
        update(OutboxItem)
        .where(
            OutboxItem.id == held.id,
            OutboxItem.lease_owner == held.owner,
            OutboxItem.leased_until > now,
            OutboxItem.attempts == held.attempts,
        )
        .values(**values)
    )
    if rows_changed(session, statement) != 1:
        raise Conflict(f"lease of {held.kind}:{held.key} is gone")
