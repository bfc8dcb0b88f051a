"""Logins that a browser has begun: a record on the server, bound to that browser, used once."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete
from sqlalchemy.orm import Session

from identity.login_sessions import hash_of
from models.db.state import rows_changed
from models.people.login_session import LoginPurpose, LoginState

LIFE = timedelta(minutes=10)
STATE_CHARS_MAX = 128


@dataclass(frozen=True)
class LoginProof:
    """What ties an answer of the identity server to one login; OpenID Connect sends both, CAS neither."""

    nonce: str
    code_verifier: str


@dataclass(frozen=True)
class BegunLogin:
    """A login that this browser began: where it leads, and for whom.

    `fresh`: the password had to be typed. `subject` is the openid that a binding is for.
    """

    target: str
    fresh: bool
    subject: str | None
    proof: LoginProof


def begin(
    session: Session,
    purpose: LoginPurpose,
    *,
    browser_key: str,
    target: str,
    now: datetime,
    fresh: bool = False,
    subject: str | None = None,
) -> tuple[str, LoginProof]:
    """Record that a browser begins a login. Returns: the state to send along, and the secrets behind it."""
    state = secrets.token_urlsafe(24)
    proof = LoginProof(secrets.token_urlsafe(32), secrets.token_urlsafe(48))
    session.add(
        LoginState(
            state_hash=hash_of(state),
            browser_hash=hash_of(browser_key),
            purpose=purpose,
            subject=subject,
            target=target,
            fresh=fresh,
            nonce=proof.nonce,
            code_verifier=proof.code_verifier,
            expires_at=now + LIFE,
        )
    )
    return state, proof


def finish(
    session: Session, purpose: LoginPurpose, state: str, *, browser_key: str | None, now: datetime
) -> BegunLogin | None:
    """Use up the login with this state: it works once, in time, for this purpose and in that browser.

    A state that comes back in another browser is used up as well: the answer of the identity server that
    came with it has been seen there, so it must not be worth anything to the browser that began. The caller
    commits in either case. Returns: None if this browser began no such login.
    """
    if not 0 < len(state) <= STATE_CHARS_MAX:
        return None
    used = (
        delete(LoginState)
        .where(LoginState.state_hash == hash_of(state))
        .returning(
            LoginState.browser_hash,
            LoginState.purpose,
            LoginState.expires_at,
            LoginState.target,
            LoginState.fresh,
            LoginState.subject,
            LoginState.nonce,
            LoginState.code_verifier,
        )
    )
    row = session.execute(used, execution_options={"synchronize_session": False}).one_or_none()
    if row is None or browser_key is None:
        return None
    ours = hmac.compare_digest(row.browser_hash, hash_of(browser_key))
    if not ours or row.purpose != purpose or row.expires_at <= now:
        return None
    return BegunLogin(row.target, row.fresh, row.subject, LoginProof(row.nonce, row.code_verifier))


def purge(session: Session, *, now: datetime) -> int:
    """Delete logins that were never finished. Returns: how many."""
    return rows_changed(session, delete(LoginState).where(LoginState.expires_at < now))
