"""The store of login sessions: start, look up, list and end them.

A session is looked up by one statement: a read, or, when the last recorded use is older than a minute,
one UPDATE that records the use and answers as well.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, bindparam, delete, select, update
from sqlalchemy.orm import Session

from models.db.engine import Database
from models.db.state import rows_changed
from models.people.login_session import LoginSession, SubjectKind
from models.prepared import Prepared

TOUCH_S = 60
LISTED_MAX = 50
# How long an ended or expired session can still be shown in audits.
KEPT = timedelta(days=30)
PURGE_BATCH = 5000
_TOKEN_BYTES = 32
_DEVICE_CHARS, _ADDRESS_CHARS = 64, 45


@dataclass(frozen=True)
class Limits:
    """A session ends `idle` after its last use, and `absolute` after the login whatever happens."""

    idle: timedelta
    absolute: timedelta


LIMITS = {
    SubjectKind.WECHAT: Limits(idle=timedelta(hours=12), absolute=timedelta(days=3)),
    SubjectKind.PORTAL: Limits(idle=timedelta(minutes=30), absolute=timedelta(hours=12)),
}


@dataclass(frozen=True)
class Browser:
    """Where a login comes from, as its owner can recognise it."""

    device: str
    address: str


@dataclass(frozen=True)
class ActiveSession:
    """A session that is in force; `mark` tells it from every other and is no secret."""

    id: int
    subject: str
    mark: str
    typed_at: datetime | None
    seen_at: datetime


@dataclass(frozen=True)
class ListedSession:
    """One row of the owner's list of sessions."""

    id: int
    device: str
    address: str
    created_at: datetime
    seen_at: datetime
    is_current: bool


def hash_of(token: str) -> str:
    """Return the SHA-256 of a token in hex: what the database knows of it."""
    return sha256(token.encode()).hexdigest()


def start(
    session: Session,
    kind: SubjectKind,
    subject: str,
    *,
    browser: Browser,
    now: datetime,
    replaces: str | None = None,
    typed_at: datetime | None = None,
    ticket: str | None = None,
) -> str:
    """Start a session and end the one that this browser had. Returns: the new token.

    Args:
        replaces: the browser's earlier token of this kind: a login or step-up always gets a new one.
        typed_at: when the identity server saw the password, where it vouches for that.
        ticket: the CAS ticket, kept hashed for single logout.
    """
    if replaces:
        end(session, replaces, now=now, cause="replaced")
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    session.add(
        LoginSession(
            token_hash=hash_of(token),
            subject_kind=kind,
            subject=subject,
            device=browser.device[:_DEVICE_CHARS],
            address=browser.address[:_ADDRESS_CHARS],
            typed_at=typed_at,
            ticket_hash=hash_of(ticket) if ticket else None,
            created_at=now,
            seen_at=now,
            expires_at=now + LIMITS[kind].absolute,
        )
    )
    return token


_COLUMNS = (
    LoginSession.id,
    LoginSession.subject,
    LoginSession.token_hash,
    LoginSession.typed_at,
    LoginSession.seen_at,
)
_IN_FORCE = (
    LoginSession.token_hash == bindparam("wanted_hash"),
    LoginSession.subject_kind == bindparam("wanted_kind"),
    LoginSession.ended_at.is_(None),
    LoginSession.expires_at > bindparam("now"),
    LoginSession.seen_at >= bindparam("idle_since"),
)
_FIND = Prepared(select(*_COLUMNS).where(*_IN_FORCE))


def find(
    database: Database, kind: SubjectKind, token: str, *, now: datetime, touch: bool
) -> ActiveSession | None:
    """Return the session with this token if it is in force, else None. One statement.

    Args:
        touch: record this use as well; callers ask for it at most once a minute.
    """
    values = {
        "wanted_hash": hash_of(token),
        "wanted_kind": kind,
        "now": now,
        "idle_since": now - LIMITS[kind].idle,
    }
    rows: list[tuple[Any, ...]]
    if touch:
        with database.transaction() as session:
            statement = update(LoginSession).where(*_IN_FORCE).values(seen_at=now).returning(*_COLUMNS)
            options = {"synchronize_session": False}
            rows = [tuple(row) for row in session.execute(statement, values, execution_options=options)]
    else:
        rows = database.look(_FIND, **values)
    if not rows:
        return None
    session_id, subject, token_hash, typed_at, seen_at = rows[0]
    return ActiveSession(session_id, subject, token_hash[:16], typed_at, seen_at)


def end(session: Session, token: str, *, now: datetime, cause: str = "logout") -> None:
    """End the session with this token; one that has ended stays as it is."""
    _end(session, LoginSession.token_hash == hash_of(token), now=now, cause=cause)


def end_one(session: Session, kind: SubjectKind, subject: str, session_id: int, *, now: datetime) -> bool:
    """End one session of this subject by its id. Returns: False if the subject has no such session."""
    mine = _of(kind, subject) & (LoginSession.id == session_id)
    return _end(session, mine, now=now, cause="ended by owner") == 1


def end_all(
    session: Session,
    kind: SubjectKind,
    subject: str,
    *,
    now: datetime,
    cause: str,
    keep: str | None = None,
) -> int:
    """End every session of this subject but the one with the token `keep`. Returns: how many ended."""
    mine = _of(kind, subject)
    if keep is not None:
        mine &= LoginSession.token_hash != hash_of(keep)
    return _end(session, mine, now=now, cause=cause)


def end_by_ticket(session: Session, ticket: str, *, now: datetime) -> int:
    """CAS single logout: end the sessions that came from this ticket. Returns: how many ended."""
    return _end(session, LoginSession.ticket_hash == hash_of(ticket), now=now, cause="single logout")


def listed(
    session: Session, kind: SubjectKind, subject: str, *, now: datetime, current: str
) -> list[ListedSession]:
    """Return the subject's sessions that are in force, newest first, at most 50."""
    query = (
        select(LoginSession)
        .where(
            _of(kind, subject),
            LoginSession.expires_at > now,
            LoginSession.seen_at >= now - LIMITS[kind].idle,
        )
        .order_by(LoginSession.id.desc())
        .limit(LISTED_MAX)
    )
    mine = hash_of(current)
    return [
        ListedSession(
            row.id, row.device, row.address, row.created_at, row.seen_at, is_current=row.token_hash == mine
        )
        for row in session.scalars(query)
    ]


def purge(session: Session, *, now: datetime) -> int:
    """Delete a batch of sessions that expired a month ago. Returns: how many were deleted."""
    old = select(LoginSession.id).where(LoginSession.expires_at < now - KEPT).limit(PURGE_BATCH)
    return rows_changed(session, delete(LoginSession).where(LoginSession.id.in_(old)))


def _of(kind: SubjectKind, subject: str) -> ColumnElement[bool]:
    return (
        (LoginSession.subject_kind == kind)
        & (LoginSession.subject == subject)
        & LoginSession.ended_at.is_(None)
    )


def _end(session: Session, which: ColumnElement[bool], *, now: datetime, cause: str) -> int:
    session.flush()
    statement = update(LoginSession).where(which, LoginSession.ended_at.is_(None))
    return rows_changed(session, statement.values(ended_at=now, end_cause=cause))
