"""Sessions on the server: their limits, their ends, and what the database knows of them."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import event, select

from identity import login_sessions
from identity.login_sessions import LIMITS, ActiveSession, Browser
from models.db.engine import Database
from models.people.login_session import LoginSession, SubjectKind
from tests.builders import NOON

PHONE = Browser("iPhone · 微信", "203.0.113.7")
PORTAL, WECHAT = SubjectKind.PORTAL, SubjectKind.WECHAT
OWNER = "2400101001"


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    return sqlite_database


def start(database: Database, kind: SubjectKind = PORTAL, subject: str = OWNER, **more: str) -> str:
    with database.transaction() as session:
        return login_sessions.start(session, kind, subject, browser=PHONE, now=NOON, **more)  # type: ignore[arg-type]


def find(
    database: Database, token: str, now: datetime = NOON, *, kind: SubjectKind = PORTAL, touch: bool = False
) -> ActiveSession | None:
    return login_sessions.find(database, kind, token, now=now, touch=touch)


def test_a_token_finds_its_session_and_the_database_does_not_hold_it(database: Database) -> None:
    token = start(database)
    found = find(database, token)
    assert found is not None
    assert found.subject == OWNER
    with database.reading() as session:
        row = session.scalars(select(LoginSession)).one()
        assert token not in {str(value) for value in vars(row).values()}


@pytest.mark.parametrize("kind", [PORTAL, WECHAT])
def test_a_session_that_is_not_used_ends(database: Database, kind: SubjectKind) -> None:
    token, idle = start(database, kind), LIMITS[kind].idle
    assert find(database, token, NOON + idle, kind=kind) is not None
    assert find(database, token, NOON + idle + timedelta(seconds=1), kind=kind) is None


@pytest.mark.parametrize("kind", [PORTAL, WECHAT])
def test_a_session_ends_however_much_it_is_used(database: Database, kind: SubjectKind) -> None:
    token, now = start(database, kind), NOON
    while now + LIMITS[kind].idle / 2 < NOON + LIMITS[kind].absolute:
        now += LIMITS[kind].idle / 2
        assert find(database, token, now, kind=kind, touch=True) is not None
    assert find(database, token, NOON + LIMITS[kind].absolute, kind=kind, touch=True) is None


def test_looking_alone_does_not_prolong_a_session(database: Database) -> None:
    token = start(database)
    assert find(database, token, NOON + timedelta(minutes=29)) is not None
    assert find(database, token, NOON + timedelta(minutes=31)) is None


def test_a_session_of_one_kind_is_none_of_another(database: Database) -> None:
    assert find(database, start(database, WECHAT), kind=PORTAL) is None


def test_a_new_login_of_the_same_browser_ends_the_old_one(database: Database) -> None:
    old = start(database)
    new = start(database, replaces=old)
    assert old != new
    assert (find(database, old), find(database, new) is None) == (None, False)


def test_ends_reach_whom_they_should(database: Database) -> None:
    mine, other, stranger = start(database), start(database), start(database, subject="2400101002")
    with database.transaction() as session:
        assert login_sessions.end_all(session, PORTAL, OWNER, now=NOON, cause="test", keep=mine) == 1
    assert [find(database, token) is not None for token in (mine, other, stranger)] == [True, False, True]
    found = find(database, stranger)
    assert found is not None
    with database.transaction() as session:
        assert not login_sessions.end_one(session, PORTAL, OWNER, found.id, now=NOON)
        assert login_sessions.end_one(session, PORTAL, "2400101002", found.id, now=NOON)
    assert find(database, stranger) is None


def test_single_logout_ends_the_sessions_of_its_ticket(database: Database) -> None:
    mine, other = start(database, ticket="ST-1"), start(database, ticket="ST-2")
    with database.transaction() as session:
        assert login_sessions.end_by_ticket(session, "ST-1", now=NOON) == 1
        assert login_sessions.end_by_ticket(session, "ST-unknown", now=NOON) == 0
    assert (find(database, mine), find(database, other) is None) == (None, False)


def test_the_list_shows_what_is_in_force_and_marks_this_browser(database: Database) -> None:
    old, mine = start(database), start(database)
    gone = start(database)
    with database.transaction() as session:
        login_sessions.end(session, gone, now=NOON)
        rows = login_sessions.listed(session, PORTAL, OWNER, now=NOON, current=mine)
    assert [(row.device, row.is_current) for row in rows] == [(PHONE.device, True), (PHONE.device, False)]
    assert find(database, old) is not None


@pytest.mark.parametrize("touch", [False, True])
def test_a_look_up_is_one_statement(database: Database, *, touch: bool) -> None:
    token, seen = start(database), []

    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if not statement.startswith(("BEGIN", "PRAGMA")):
            seen.append(statement)

    for engine in database.engines:
        event.listen(engine, "before_cursor_execute", count)
    find(database, token, touch=touch)
    # A plain read goes to the driver directly and is not even seen here.
    assert len(seen) == int(touch)


def test_old_sessions_leave_the_table(database: Database) -> None:
    start(database)
    with database.transaction() as session:
        assert login_sessions.purge(session, now=NOON + timedelta(days=30)) == 0
        assert login_sessions.purge(session, now=NOON + timedelta(days=31)) == 1
