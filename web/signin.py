"""The browser's side of logins: which sessions its cookie names, and logins on their way.

The cookie is signed and holds random tokens only; sessions and begun logins are rows on the server
(`identity.login_sessions`, `identity.login_states`).
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import g, request, session

from identity import login_sessions, login_states
from identity.login_sessions import ActiveSession, Browser
from identity.login_states import BegunLogin, LoginProof
from models.errors import LoginNeeded, PageExpired
from models.people.login_session import LoginPurpose, SubjectKind
from models.values.security_log import SecurityEvent
from web import devices
from web.current import services
from web.rates import known_browser, slow_down

FRESH_LIFE = timedelta(minutes=5)
# Many students share one campus address; this only stops a flood.
BEGINS, BEGINS_WINDOW_S = 1200, 600
BEGINS_OF_BROWSER = 60


class LoginStale(LoginNeeded):
    """The action moves money, and the password was typed too long ago."""

    code = "E-FRESH"

    def __init__(self, text: str = "为保障资金安全，请重新登录，并在 5 分钟内提交") -> None:
        super().__init__(text)


def begin(
    purpose: LoginPurpose, target: str, *, fresh: bool = False, subject: str | None = None
) -> tuple[str, LoginProof]:
    """Begin a login in this browser. Returns: the state to send along, and the secrets behind it.

    Raises: LimitReached.
    """
    browser = known_browser()
    if browser is None:
        address = request.remote_addr or ""
        slow_down(f"begin-{purpose}", address, limit=BEGINS, window_s=BEGINS_WINDOW_S)
        session["browser"] = browser = secrets.token_urlsafe(16)
    else:
        slow_down("begin", browser, limit=BEGINS_OF_BROWSER, window_s=BEGINS_WINDOW_S)
    here = services()
    with here.transaction() as database:
        return login_states.begin(
            database,
            purpose,
            browser_key=browser,
            target=target,
            now=here.clock(),
            fresh=fresh,
            subject=subject,
        )


def finish(purpose: LoginPurpose, state: str) -> BegunLogin:
    """Use up a login that this browser began. Raises: PageExpired."""
    here = services()
    with here.transaction() as database:
        begun = login_states.finish(
            database, purpose, state, browser_key=session.get("browser"), now=here.clock()
        )
    if begun is None:
        raise PageExpired
    return begun


def record(event: SecurityEvent, **facts: str) -> None:
    """Write a security event of this request, with the client's address."""
    services().security.record(event, request.remote_addr or "", endpoint=request.endpoint or "", **facts)


def log_in(
    kind: SubjectKind, subject: str, *, typed_at: datetime | None = None, ticket: str | None = None
) -> None:
    """Start a session of this browser under a new token; its earlier one of this kind ends."""
    here = services()
    browser = Browser(devices.label(request.user_agent.string), request.remote_addr or "")
    with here.transaction() as database:
        token = login_sessions.start(
            database,
            kind,
            subject,
            browser=browser,
            now=here.clock(),
            replaces=_token(kind),
            typed_at=typed_at,
            ticket=ticket,
        )
    session.pop("csrf_token", None)
    _keep(kind, token, here.clock())
    _found().pop(kind, None)
    record(SecurityEvent.LOGIN, subject_kind=kind.value)


def log_out(kind: SubjectKind) -> None:
    """End this browser's session of this kind; sessions of other kinds stay."""
    token = _token(kind)
    if token is not None:
        here = services()
        with here.transaction() as database:
            login_sessions.end(database, token, now=here.clock())
        record(SecurityEvent.LOGOUT, subject_kind=kind.value)
    session.pop(kind.value, None)
    session.pop("csrf_token", None)
    _found().pop(kind, None)


def current(kind: SubjectKind, *, renew: bool = True) -> ActiveSession | None:
    """Return this browser's session of this kind, or None; at most one statement for each request.

    Args:
        renew: count this request as use, which prolongs the session up to its absolute end.
    """
    token = _token(kind)
    if token is None:
        return None
    if kind not in _found():
        here = services()
        now = here.clock()
        touch = renew and _minute(now) != session[kind.value].get("minute")
        found = login_sessions.find(here.database, kind, token, now=now, touch=touch)
        _found()[kind] = found
        if found is None:
            session.pop(kind.value, None)
        elif touch:
            _keep(kind, token, now)
    active: ActiveSession | None = _found()[kind]
    return active


def current_token(kind: SubjectKind) -> str:
    """Return the token of a session that `current` has found. Raises: KeyError - there is none."""
    return str(session[kind.value]["token"])


def known_openid() -> str | None:
    """Return the WeChat user of this browser, or None."""
    active = current(SubjectKind.WECHAT)
    return active.subject if active else None


def portal_account(*, renew: bool = True) -> str | None:
    """Return the account that is logged in to the portal, or None."""
    active = current(SubjectKind.PORTAL, renew=renew)
    return active.subject if active else None


def fresh_until() -> datetime | None:
    """Return until when money may be moved without the password again; None when it is too late."""
    active = current(SubjectKind.PORTAL)
    if active is None or active.typed_at is None:
        return None
    until = active.typed_at + FRESH_LIFE
    return until.astimezone(UTC) if services().clock() <= until else None


def require_fresh() -> None:
    """Return if the password was typed in the last five minutes. Raises: LoginStale."""
    if fresh_until() is None:
        raise LoginStale


def portal_login() -> str:
    """Return what tells this login from every other one, also of the same account. Raises: LoginNeeded."""
    active = current(SubjectKind.PORTAL)
    if active is None:
        raise LoginNeeded("登录已过期，请重新登录")
    return active.mark


def _keep(kind: SubjectKind, token: str, now: datetime) -> None:
    session[kind.value] = {"token": token, "minute": _minute(now)}


def _token(kind: SubjectKind) -> str | None:
    kept = session.get(kind.value)
    token = kept.get("token") if isinstance(kept, dict) else None
    return token if isinstance(token, str) else None


def _minute(now: datetime) -> int:
    return int(now.timestamp()) // login_sessions.TOUCH_S


def _found() -> dict[SubjectKind, Any]:
    known: dict[SubjectKind, Any] = g.setdefault("login_sessions", {})
    return known
