"""Pauses: an outside system that fails for everybody stops its kinds of work and raises one alarm.

A few failures in a row, of different items, are the system's and not the items'. From then on one item at
a time is sent as a probe, by whichever worker moves the row's `probe_at`; the first success ends the pause
and closes the alarm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import delete, or_, select, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from models.clock import campus_date
from models.db.state import rows_changed
from models.outbox import LanePause, Remote
from models.review import ReviewKind, ask_person, end_alarm
from payments.outbox import CLOCK_SKEW

log = structlog.get_logger()

# Failures in a row, of different items, that make a pause.
SUSPECT = 3
PROBE_FIRST = timedelta(seconds=5)
PROBE_CAP = timedelta(seconds=60)
# A single item that keeps failing while nothing else succeeds: operators are told, nothing is paused.
ALARM_AFTER = timedelta(minutes=5)
# Failures that are further apart than the longest back-off belong to different troubles.
FORGET_AFTER = timedelta(minutes=15)
REASON_MAX, KEY_MAX = 200, 120


@dataclass(frozen=True)
class Failure:
    """What went wrong with one item.

    Args:
        key: of the item.
        reason: shown to operators; never what the item was about.
        whole: the answer was about the whole account: one is enough for a pause.
        until: when the system says that it can be used again; None: probe soon.
        alarm: False for a limit that is over within a minute.
    """

    key: str
    reason: str
    whole: bool = False
    until: datetime | None = None
    alarm: bool = True


def current(session: Session) -> Mapping[Remote, LanePause]:
    """Return what fails now, suspicions included."""
    return {Remote(row.remote): row for row in session.scalars(select(LanePause))}


def is_paused(row: LanePause | None) -> bool:
    """Return True if only probes may be sent."""
    return row is not None and row.probe_at is not None


def take_probe(session: Session, remote: Remote, *, now: datetime) -> bool:
    """Return True for the one caller that may send the probe that is due."""
    row = session.get(LanePause, remote)
    if row is None or row.probe_at is None or row.probe_at > now:
        return False
    taken = (
        update(LanePause)
        .where(LanePause.remote == remote, LanePause.probe_at <= now)
        .values(probe_at=now + _interval(row.since, now))
    )
    return rows_changed(session, taken) == 1


def note_failure(session: Session, remote: Remote, failure: Failure, *, now: datetime) -> LanePause:
    """Count one failure. Returns: what is known of the system now."""
    insert = postgres_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    key, reason = failure.key[:KEY_MAX], failure.reason[:REASON_MAX]
    first = insert(LanePause).values(
        remote=remote, reason=reason, since=now, failures=0, last_key="", failed_at=now
    )
    # Locks a row that is there; one that a success is just deleting is written anew.
    session.execute(first.on_conflict_do_update(index_elements=["remote"], set_={"remote": remote}))
    row = session.get_one(LanePause, remote, with_for_update=True, populate_existing=True)
    if row.probe_at is None and now - row.failed_at > FORGET_AFTER:
        row.since, row.failures, row.alarmed_at, row.last_key = now, 0, None, ""
    row.failures += key != row.last_key
    row.reason, row.last_key, row.failed_at = reason, key, now
    if failure.whole or row.failures >= SUSPECT:
        row.probe_at = failure.until or now + _interval(row.since, now)
    told_late = now - row.since >= ALARM_AFTER
    if failure.alarm and row.alarmed_at is None and (row.probe_at is not None or told_late):
        _alarm(session, row, now=now)
    return row


def note_success(session: Session, remote: Remote, *, now: datetime) -> None:
    """The system works: end its pause, and the alarm with it."""
    row = session.get(LanePause, remote, with_for_update=True, populate_existing=True)
    if row is None:
        return
    if row.alarm_key is not None:
        end_alarm(session, ReviewKind.OUTAGE, row.alarm_key, now=now)
        log.warning("outage_over", remote=remote, since=row.since.isoformat())
    session.execute(delete(LanePause).where(LanePause.remote == remote))


def pull_back(session: Session, *, now: datetime) -> int:
    """Probe at once where a clock that was ahead has written the row. Returns: how many there were."""
    ahead = (
        update(LanePause)
        .where(or_(LanePause.failed_at > now + CLOCK_SKEW, LanePause.since > now + CLOCK_SKEW))
        .values(since=now, failed_at=now)
    )
    probes = update(LanePause).where(LanePause.failed_at > now + CLOCK_SKEW, LanePause.probe_at.is_not(None))
    rows_changed(session, probes.values(probe_at=now))
    return rows_changed(session, ahead)


def _alarm(session: Session, row: LanePause, *, now: datetime) -> None:
    """Tell operators once per outage; one that comes back on the same day opens the same item again."""
    row.alarmed_at, row.alarm_key = now, f"{row.remote}:{campus_date(now)}"
    ask_person(
        session,
        ReviewKind.OUTAGE,
        row.alarm_key,
        order_id=None,
        amount_fen=None,
        now=now,
        remote=row.remote,
        reason=row.reason,
        since=row.since.isoformat(),
    )
    log.error("outage", remote=row.remote, reason=row.reason, since=row.since.isoformat())


def _interval(since: datetime, now: datetime) -> timedelta:
    """Return the time to the next probe: a quarter of what the outage has lasted, within bounds."""
    return min(PROBE_CAP, max(PROBE_FIRST, (now - since) / 4))
