"""Whatever a network reports in whatever order: the same bytes on the same days, and none lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.embedded import seed
from billing.embedded.accounting import Accounting
from billing.embedded.accounts import open_account
from models import schema
from models.clock import CAMPUS_ZONE
from models.db.engine import Database
from tests.billing.fixed_clock import FixedClock
from tests.billing.network import WRAP, Books, Nas

# A search: `make test-long`, and CI.
pytestmark = pytest.mark.long

EVENING = datetime(2026, 3, 31, 22, 0, tzinfo=CAMPUS_ZONE)
NOW = datetime(2026, 4, 20, 12, 0, tzinfo=CAMPUS_ZONE)
QUOTA_BYTES = 5 * 2**30
# Below half of what a counter holds: what a NAS without gigawords can be asked to keep to.
STEP_BYTES = 2**31 - 1

steps = st.lists(
    st.tuples(st.integers(1, 5000), st.integers(0, STEP_BYTES), st.integers(0, STEP_BYTES)),
    min_size=1,
    max_size=8,
)


@pytest.fixture(scope="module")
def books(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Books]:
    path: Path = tmp_path_factory.mktemp("ingest") / "books.db"
    database = Database(f"sqlite:///{path}")
    schema.upgrade(database)
    with database.transaction() as session:
        seed.seed_grant_policy(session, quota_bytes=QUOTA_BYTES)
    yield Books(database, Accounting(database, FixedClock(NOW)))
    database.dispose()


numbers = count()


def new_account(books: Books) -> str:
    """Each order of arrival gets an account of its own: nothing has to be cleared between examples."""
    account = f"P{next(numbers)}"
    with books.database.transaction() as session:
        open_account(session, account_no=account, name="学生", kind="undergraduate", now=NOW)
    return account


@st.composite
def networks(draw: st.DrawFn) -> tuple[list[dict[str, Any]], tuple[int, int]]:
    """Records of some sessions with counters that only grow, and how much went over the line.

    Sessions with and without gigawords, seconds of doubt about the beginning, records that were
    dropped on the way, repeated ones, a session number that comes back hours later.
    """
    records: list[dict[str, Any]] = []
    totals = [0, 0]
    for number in range(draw(st.integers(1, 3))):
        nas = Nas(EVENING + timedelta(hours=13 * number), session=draw(st.sampled_from(["s-1", "s-2"])))
        wide = draw(st.booleans())
        at, up, down = 0, 0, 0
        for seconds, more_up, more_down in draw(steps):
            at, up, down = at + seconds, up + more_up, down + more_down
            doubt = draw(st.integers(-20, 20))
            records.append(nas.interim(at, up, down, wide=wide, session_time_s=max(0, at + doubt)))
        records.append(nas.stop(at + 1, up, down, wide=wide))
        totals[0] += up
        totals[1] += down
    return records, (totals[0], totals[1])


def told(records: list[dict[str, Any]], account: str) -> list[dict[str, Any]]:
    # A server of its own for each: one session of a server is one connection, whatever its accounts.
    return [record | {"account": account, "nas": f"BRAS-{account}"} for record in records]


def results(books: Books, account: str) -> tuple[Any, ...]:
    sessions = sorted((row.up_bytes, row.down_bytes) for row in books.sessions(account))
    return books.days(account), books.lots(account), sessions


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(network=networks(), data=st.data())
def test_the_order_of_arrival_changes_nothing(
    books: Books, network: tuple[list[dict[str, Any]], tuple[int, int]], data: st.DataObject
) -> None:
    records, (up_bytes, down_bytes) = network
    straight, shuffled = new_account(books), new_account(books)
    books.take(*told(records, straight))
    arrival = data.draw(st.permutations(records + data.draw(st.lists(st.sampled_from(records), max_size=5))))
    while arrival:
        size = data.draw(st.integers(1, len(arrival)))
        books.take(*told(arrival[:size], shuffled))
        arrival = arrival[size:]
    assert results(books, straight) == results(books, shuffled)
    # Nothing is lost and nothing is made: what went over the line is on the days, all of it counts,
    # and what counts was taken from lots or throttled.
    days = books.days(straight).values()
    assert [sum(column) for column in zip(*days, strict=True)] in (
        [],
        [up_bytes, down_bytes, up_bytes + down_bytes],
    )
    for account in (straight, shuffled):
        fast, throttled = books.speeds(account)
        assert fast == sum(books.lots(account).values())
        assert fast + throttled == up_bytes + down_bytes


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    reports=st.lists(
        st.tuples(
            st.integers(0, 3 * 86_400), st.integers(0, 3 * WRAP), st.integers(0, 3 * WRAP), st.booleans(),
            st.sampled_from(["start", "interim", "stop"]),
        ),
        min_size=1,
        max_size=8,
    ),
    data=st.data(),
)  # fmt: skip
def test_even_counters_gone_mad_mean_the_same_in_any_order(
    books: Books, reports: list[tuple[int, int, int, bool, str]], data: st.DataObject
) -> None:
    """Counters that jump about, two reports at one instant, records after the stop: up, down, days."""
    nas = Nas(EVENING)
    records = [
        nas.record(kind, at, up, down, wide=wide, session_time_s=at) for at, up, down, wide, kind in reports
    ]
    first, second = new_account(books), new_account(books)
    books.take(*told(records, first))
    for record in data.draw(st.permutations(records)):
        books.take(*told([record], second))
    assert books.days(first) == books.days(second)
    for account in (first, second):
        up_down = [row[:2] for row in books.days(account).values()]
        (line,) = books.sessions(account)
        assert [sum(column) for column in zip(*up_down, strict=True)] in (
            [],
            [line.up_bytes, line.down_bytes],
        )
        assert sum(books.lots(account).values()) == books.speeds(account)[0]


def test_the_generator_of_these_tests_wraps_and_crosses_the_month(books: Books) -> None:
    """A guard of the properties above: their records hold what they are about."""
    account = new_account(books)
    nas = replace(Nas(EVENING), account=account)
    grown = [nas.interim(3000 * step, 0, STEP_BYTES * step, wide=False) for step in range(1, 5)]
    books.take(*grown)
    assert sum(down for _, down, _ in books.days(account).values()) == 4 * STEP_BYTES > WRAP
    assert len(books.days(account)) == 2
