"""Begun logins: for one browser, one purpose, ten minutes, one use."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select

from identity import login_states
from identity.login_states import BegunLogin
from models.db.engine import Database
from models.people.login_session import LoginPurpose, LoginState
from tests.builders import NOON

BIND, PORTAL = LoginPurpose.BIND, LoginPurpose.PORTAL


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    return sqlite_database


def begin(database: Database, browser: str = "b1") -> str:
    with database.transaction() as session:
        state, _ = login_states.begin(
            session, BIND, browser_key=browser, target="/h5/usage", now=NOON, subject="o1"
        )
        return state


def finish(
    database: Database,
    state: str,
    *,
    purpose: LoginPurpose = BIND,
    browser: str | None = "b1",
    now: datetime = NOON,
) -> BegunLogin | None:
    with database.transaction() as session:
        return login_states.finish(session, purpose, state, browser_key=browser, now=now)


def test_a_login_comes_back_to_where_it_began(database: Database) -> None:
    begun = finish(database, begin(database))
    assert begun is not None
    assert (begun.target, begun.subject, begun.fresh) == ("/h5/usage", "o1", False)


def test_secrets_of_two_logins_differ_and_the_state_is_not_kept(database: Database) -> None:
    states = [begin(database) for _ in range(2)]
    with database.reading() as session:
        rows = session.scalars(select(LoginState)).all()
    assert len({row.nonce for row in rows} | {row.code_verifier for row in rows}) == 4
    assert not {row.state_hash for row in rows} & set(states)


def test_a_state_works_once(database: Database) -> None:
    state = begin(database)
    assert finish(database, state) is not None
    assert finish(database, state) is None


def test_sixty_uses_at_once_are_one(database: Database) -> None:
    state = begin(database)

    def use(_: int) -> bool:
        return finish(database, state) is not None

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(use, range(60))) == 1


@pytest.mark.parametrize("browser", ["b2", None, ""])
def test_a_state_that_another_browser_has_seen_is_worth_nothing_any_more(
    database: Database, browser: str | None
) -> None:
    state = begin(database)
    assert finish(database, state, browser=browser) is None
    assert finish(database, state) is None


def test_a_state_of_another_purpose_is_refused(database: Database) -> None:
    assert finish(database, begin(database), purpose=PORTAL) is None


def test_a_state_is_too_old_after_ten_minutes(database: Database) -> None:
    state = begin(database)
    assert finish(database, state, now=NOON + timedelta(minutes=10)) is None
    begin(database)
    with database.transaction() as session:
        assert login_states.purge(session, now=NOON + timedelta(minutes=11)) == 1


@pytest.mark.parametrize("state", ["", "x" * 129, "nothing", "ä", "\x00"])
def test_what_is_no_state_is_refused(database: Database, state: str) -> None:
    begin(database)
    assert finish(database, state) is None
