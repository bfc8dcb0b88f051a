"""Promises are kept by whoever holds the lease, and by nobody else."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.orm import Session

from models.db.engine import Database
from models.errors import Conflict
from models.outbox import OutboxStatus
from payments import outbox
from tests.builders import NOON, World


@pytest.fixture
def either(any_database: Database) -> World:
    return World(any_database)


def put(world: World, key: str = "k", **options: object) -> None:
    with world.database.transaction() as session:
        outbox.put(session, "job", key, {"n": 1}, now=world.clock(), **options)  # type: ignore[arg-type]


def test_the_same_promise_is_made_once(either: World) -> None:
    put(either)
    put(either)
    assert len(either.claim("job")) == 1


def test_a_leased_item_is_not_given_out_again_until_the_lease_ends(either: World) -> None:
    put(either)
    assert len(either.claim("job", owner="a", lease_s=30)) == 1
    assert either.claim("job", owner="b") == []
    either.clock.forward(seconds=31)
    (again,) = either.claim("job", owner="b")
    assert again.attempts == 2


def test_whoever_lost_the_lease_cannot_finish_postpone_park_or_insist(either: World) -> None:
    put(either)
    (held,) = either.claim("job", owner="a", lease_s=30)
    either.clock.forward(seconds=31)
    (newer,) = either.claim("job", owner="b", lease_s=30)
    now = either.clock()
    attempts: list[Callable[[Session], object]] = [
        lambda s: outbox.finish(s, held, now=now),
        lambda s: outbox.postpone(s, held, now=now, due_at=now, error=None),
        lambda s: outbox.park(s, held, now=now, error="x"),
        lambda s: outbox.insist(s, held, now=now),
        lambda s: outbox.renew(s, held, now=now),
    ]
    for attempt in attempts:
        with pytest.raises(Conflict), either.database.transaction() as session:
            attempt(session)
    with either.database.transaction() as session:
        outbox.finish(session, newer, now=now)


def test_the_same_owner_with_an_older_lease_cannot_finish(either: World) -> None:
    put(either)
    (old,) = either.claim("job", owner="a", lease_s=5)
    either.clock.forward(seconds=6)
    either.claim("job", owner="a", lease_s=30)
    with pytest.raises(Conflict), either.database.transaction() as session:
        outbox.finish(session, old, now=either.clock())


def test_a_postponed_item_comes_back_at_its_time(world: World) -> None:
    put(world)
    (held,) = world.claim("job")
    later = world.clock() + timedelta(minutes=3)
    with world.database.transaction() as session:
        outbox.postpone(session, held, now=world.clock(), due_at=later, error="busy")
    assert world.claim("job") == []
    world.clock.forward(minutes=3)
    assert len(world.claim("job")) == 1


def test_hastening_only_brings_forward(world: World) -> None:
    put(world, due_at=NOON + timedelta(hours=1))
    with world.database.transaction() as session:
        outbox.hasten(session, "job", "k", due_at=NOON + timedelta(hours=2))
    world.clock.forward(hours=1)
    assert len(world.claim("job")) == 1


def test_a_parked_item_waits_for_a_person(world: World) -> None:
    put(world)
    (held,) = world.claim("job")
    with world.database.transaction() as session:
        outbox.park(session, held, now=world.clock(), error="x")
    world.clock.forward(days=1)
    assert world.claim("job") == []
    item = world.item("job", "k")
    assert item is not None
    assert item.status == OutboxStatus.PARKED


@given(st.integers(min_value=1, max_value=200))
def test_waiting_grows_and_ends_at_ten_minutes(attempts: int) -> None:
    waited = outbox.backoff_s(attempts)
    assert min(600, 2**attempts) <= waited <= 750
