"""The outbox: promises made in a commit, kept afterwards by whichever worker holds the lease.

Claiming is `FOR UPDATE SKIP LOCKED` on PostgreSQL; on SQLite it needs nothing more, since the write
lock is held from BEGIN. Finishing is fenced: only the holder of a running lease may do it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from models.db.state import rows_changed
from models.errors import Conflict
from models.outbox import OutboxItem, OutboxStatus

LEASE_S = 30
BACKOFF_FIRST_S = 2.0
BACKOFF_CAP_S = 600.0
ATTEMPTS_MAX = 40


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
) -> None:
    """Promise work in this transaction; a promise already made under `(kind, key)` stays as it is."""
    insert = postgres_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    session.execute(
        insert(OutboxItem)
        .values(
            kind=kind,
            key=key,
            payload=payload,
            status=OutboxStatus.READY,
            attempts=0,
            next_at=due_at or now,
            created_at=now,
        )
        .on_conflict_do_nothing(index_elements=["kind", "key"])
    )


def claim(
    session: Session, owner: str, *, now: datetime, limit: int, kinds: list[str], lease_s: float = LEASE_S
) -> list[Claim]:
    """Lease up to `limit` due items of these kinds for `lease_s` seconds, oldest first."""
    free = or_(OutboxItem.leased_until.is_(None), OutboxItem.leased_until <= now)
    due = (
        select(OutboxItem)
        .where(
            OutboxItem.status == OutboxStatus.READY,
            OutboxItem.next_at <= now,
            OutboxItem.kind.in_(kinds),
            free,
        )
        .order_by(OutboxItem.next_at)
        .limit(limit)
        # Written out only by PostgreSQL; on SQLite the transaction already holds the write lock.
        .with_for_update(skip_locked=True)
    )
    items = list(session.scalars(due))
    until = now + timedelta(seconds=lease_s)
    for item in items:
        item.lease_owner = owner
        item.leased_until = until
        item.attempts += 1
    return [Claim(i.id, i.kind, i.key, dict(i.payload), i.attempts, owner, until) for i in items]


def renew(session: Session, held: Claim, *, now: datetime, lease_s: float = LEASE_S) -> Claim:
    """Hold the item for another `lease_s` seconds. Raises: Conflict - the lease ran out."""
    until = now + timedelta(seconds=lease_s)
    _guarded(session, held, now, leased_until=until)
    return replace(held, leased_until=until)


def insist(session: Session, held: Claim, *, now: datetime) -> None:
    """Go on only while the lease runs: nobody else works on this item until this transaction ends.

    For steps that would undo what the next holder of the item does. Raises: Conflict.
    """
    _guarded(session, held, now, lease_owner=held.owner)


def finish(session: Session, held: Claim, *, now: datetime, note: str | None = None) -> None:
    """Mark the work as done. Raises: Conflict - the lease ran out; somebody else has it."""
    _settle(session, held, now, status=OutboxStatus.DONE, done_at=now, last_error=note)


def postpone(session: Session, held: Claim, *, now: datetime, due_at: datetime, error: str | None) -> None:
    """Give the item back until `due_at`. Raises: Conflict - the lease ran out."""
    _settle(session, held, now, next_at=due_at, last_error=error)


def park(session: Session, held: Claim, *, now: datetime, error: str) -> None:
    """Leave the item to a person. Raises: Conflict - the lease ran out."""
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


def backoff_s(attempts: int) -> float:
    """Seconds until the next try: 2, 4, 8 ... 600, each with up to a quarter of jitter."""
    base: float = min(BACKOFF_CAP_S, BACKOFF_FIRST_S * 2 ** min(attempts - 1, 20))
    return base * (1 + random.random() / 4)  # noqa: S311 - spreading load, no secret


def _settle(session: Session, held: Claim, now: datetime, **values: Any) -> None:
    _guarded(session, held, now, lease_owner=None, leased_until=None, **values)


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
