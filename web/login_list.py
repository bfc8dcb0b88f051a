"""Steps of the two pages that list one's logins."""

from __future__ import annotations

from flask import request

from identity import login_sessions
from identity.login_sessions import ListedSession
from models.errors import Refused
from models.people.login_session import SubjectKind
from web import signin
from web.current import services

ID_DIGITS_MAX = 18


class NoSuchLogin(Refused):
    """The form names no login of this person."""

    status = 404
    code = "E-LOGIN-ID"

    def __init__(self, text: str = "这个登录已经退出") -> None:
        super().__init__(text)


def rows(kind: SubjectKind, subject: str) -> list[ListedSession]:
    """Return the subject's sessions that are in force."""
    here = services()
    with here.reading() as session:
        return login_sessions.listed(
            session, kind, subject, now=here.clock(), current=signin.current_token(kind)
        )


def end_one(kind: SubjectKind, subject: str) -> None:
    """End the session that the form names. Raises: NoSuchLogin."""
    typed = request.form.get("id", "")
    here = services()
    with here.transaction() as session:
        known = typed.isascii() and typed.isdecimal() and len(typed) <= ID_DIGITS_MAX
        if not known or not login_sessions.end_one(session, kind, subject, int(typed), now=here.clock()):
            raise NoSuchLogin


def end_all(kind: SubjectKind, subject: str) -> None:
    """End every session of the subject, this browser's included."""
    here = services()
    with here.transaction() as session:
        login_sessions.end_all(session, kind, subject, now=here.clock(), cause="everywhere")
    signin.log_out(kind)
