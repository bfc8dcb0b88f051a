"""Login sessions, kept on the server, and the logins that a browser has begun."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, BigId

HASH_CHARS = 64


class SubjectKind(StrEnum):
    """Who is logged in: a WeChat user by openid, or the owner of a campus account in the portal."""

    WECHAT = "wechat"
    PORTAL = "portal"


class LoginPurpose(StrEnum):
    """What a login that a browser begins is for."""

    WECHAT = "wechat"
    BIND = "bind"
    PORTAL = "portal"


class LoginSession(Base):
    """One login of one browser. The cookie holds the token, the table only its SHA-256.

    `seen_at` is the last use, at most a minute late; `expires_at` the absolute end. `typed_at` is when the
    identity server saw the password, if it vouched for a fresh login. `ticket_hash` names the CAS ticket
    that the login came from, for single logout. `end_cause` says why `ended_at` is set.
    """

    __tablename__ = "login_session"
    __table_args__ = (
        Index("ix_login_session_subject", "subject_kind", "subject", "id"),
        Index(
            "ix_login_session_ticket",
            "ticket_hash",
            sqlite_where=text("ticket_hash IS NOT NULL"),
            postgresql_where=text("ticket_hash IS NOT NULL"),
        ),
        Index("ix_login_session_expires", "expires_at"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    token_hash: Mapped[str] = mapped_column(String(HASH_CHARS), unique=True)
    subject_kind: Mapped[SubjectKind] = mapped_column(String(16))
    subject: Mapped[str] = mapped_column(String(64))
    device: Mapped[str] = mapped_column(String(64))
    address: Mapped[str] = mapped_column(String(45))
    typed_at: Mapped[datetime | None]
    ticket_hash: Mapped[str | None] = mapped_column(String(HASH_CHARS))
    created_at: Mapped[datetime]
    seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    end_cause: Mapped[str | None] = mapped_column(String(16))


class LoginState(Base):
    """A login that a browser has begun and not finished. The row is deleted by its one use.

    `browser_hash` binds it to the browser that began. `subject` is the openid that a binding is for.
    `nonce` and `code_verifier` are OpenID Connect's, random for each login.
    """

    __tablename__ = "login_state"
    __table_args__ = (Index("ix_login_state_expires", "expires_at"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    state_hash: Mapped[str] = mapped_column(String(HASH_CHARS), unique=True)
    browser_hash: Mapped[str] = mapped_column(String(HASH_CHARS))
    purpose: Mapped[LoginPurpose] = mapped_column(String(16))
    subject: Mapped[str | None] = mapped_column(String(64))
    target: Mapped[str] = mapped_column(String(500))
    fresh: Mapped[bool]
    nonce: Mapped[str] = mapped_column(String(64))
    code_verifier: Mapped[str] = mapped_column(String(128))
    expires_at: Mapped[datetime]
