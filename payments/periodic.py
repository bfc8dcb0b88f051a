"""Periodic jobs as rows: whichever worker moves the row forward does the turn, so each happens once.

A turn that was taken and then lost in a crash is simply late: every job here looks at the state of
the world, not at what the last turn left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from models.clock import CAMPUS_ZONE, next_month
from models.db.state import rows_changed
from models.schedule import Periodic
from payments.outbox import CLOCK_SKEW
from payments.services import Services

log = structlog.get_logger()


@dataclass(frozen=True)
class Job:
    """`next_turn(now)` is the first turn after `now`.

    A run that failed, or that returned True because work is left, is due again after `again_s`.
    """

    run: Callable[[Services], bool | None]
    next_turn: Callable[[datetime], datetime]
    again_s: float | None = None


def every(seconds: float) -> Callable[[datetime], datetime]:
    """A turn every so many seconds."""
    return lambda now: now + timedelta(seconds=seconds)


def daily(hour: int, minute: int) -> Callable[[datetime], datetime]:
    """One turn a day at this campus time."""

    def next_turn(now: datetime) -> datetime:
        local = now.astimezone(CAMPUS_ZONE)
        turn = local.replace(hour=hour, minute=minute, second=0, microsecond=0)
        return turn if turn > local else turn + timedelta(days=1)

    return next_turn


def monthly(day: int, hour: int, minute: int) -> Callable[[datetime], datetime]:
    """One turn a month, on this day (at most the 28th) at this campus time."""

    def next_turn(now: datetime) -> datetime:
        local = now.astimezone(CAMPUS_ZONE)
        turn = local.replace(day=day, hour=hour, minute=minute, second=0, microsecond=0)
        return (
            turn
            if turn > local
            else datetime.combine(next_month(turn.date()), turn.timetz()).replace(day=day)
        )

    return next_turn


def run_due(services: Services, jobs: Mapping[str, Job]) -> int:
    """Take and run every job whose turn has come. Returns: how many ran here."""
    now = services.clock()
    with services.reading() as session:
        known = {row.name: row.next_at for row in session.scalars(select(Periodic))}
    ran = 0
    for name, job in jobs.items():
        latest = job.next_turn(now + CLOCK_SKEW)
        if name in known and now < known[name] <= latest:
            continue
        with services.transaction() as session:
            ours = take(session, name, job.next_turn(now), now=now, latest=latest)
        if ours:
            ran += 1
            _run(services, name, job)
    return ran


def take(
    session: Session, name: str, next_at: datetime, *, now: datetime, latest: datetime | None = None
) -> bool:
    """Move the row to its next turn. A new job starts with its next turn.

    Args:
        latest: a turn after this one was written by a clock that was ahead; it is taken now.
    Returns: whether this caller did it.
    """
    if session.get(Periodic, name) is None:
        insert = postgres_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
        # Every worker of a new installation meets a new job at the same moment: the first row stays.
        first = insert(Periodic).values(name=name, next_at=next_at)
        session.execute(first.on_conflict_do_nothing(index_elements=["name"]))
        return False
    due = Periodic.next_at <= now
    statement = (
        update(Periodic)
        .where(Periodic.name == name, due if latest is None else or_(due, Periodic.next_at > latest))
        .values(next_at=next_at, last_at=now, last_error=None)
    )
    return rows_changed(session, statement) == 1


def _run(services: Services, name: str, job: Job) -> None:
    try:
        if job.run(services):
            _again(services, name, job, None)
    except Exception as error:
        log.exception("periodic_failed", job=name)
        _again(services, name, job, f"{type(error).__name__}: {error}"[:200])


def _again(services: Services, name: str, job: Job, error: str | None) -> None:
    now = services.clock()
    with services.transaction() as session:
        row = session.get_one(Periodic, name, with_for_update=True)
        row.last_error = error
        if job.again_s is not None:
            row.next_at = min(row.next_at, now + timedelta(seconds=job.again_s))
