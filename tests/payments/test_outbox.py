"""Promises are kept by whoever holds the lease, and by nobody else."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models.db.engine import Database
from models.errors import Conflict
from models.outbox import WORK, Lane, OutboxItem, OutboxStatus, work_of
from models.values import request_id
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


def test_the_request_behind_an_item_is_no_part_of_what_it_says(either: World) -> None:
    first, second = "a" * 32, "b" * 32
    with request_id.bound(first):
        put(either)
    with request_id.bound(second):
        put(either)
        put(either, "explicit", caused_by=first)
    put(either)
    put(either, "none")
    assert {held.key: held.request_id for held in either.claim("job")} == {
        "k": first,
        "explicit": first,
        "none": None,
    }


def test_an_item_revived_by_another_request_belongs_to_that_one(either: World) -> None:
    first, second = "a" * 32, "b" * 32
    put(either, caused_by=first)
    for caused_by, seen in ((None, first), (second, second)):
        (held,) = either.claim("job")
        assert held.request_id == first
        with either.database.transaction() as session:
            outbox.finish(session, held, now=either.clock())
        with request_id.bound(caused_by), either.database.transaction() as session:
            outbox.revive(session, "job", "k", now=either.clock())
        with either.database.reading() as session:
            assert session.scalar(select(OutboxItem.request_id)) == seen


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


@given(st.integers(min_value=1, max_value=10**6))
def test_money_waits_a_minute_at_most_and_a_message_ten(attempts: int) -> None:
    for kind, cap_s in (("credit", 60), ("message", 600)):
        waited = outbox.backoff_s(attempts, kind=kind)
        assert min(cap_s, 2 ** min(attempts, 20)) <= waited <= cap_s * 1.25


def test_each_kind_has_a_lane_and_messages_are_not_money() -> None:
    lanes = {kind: work.lane for kind, work in WORK.items()}
    assert {kind for kind, lane in lanes.items() if lane == Lane.MESSAGE} == {
        "message",
        "alert",
        "owner_notice",
    }
    assert work_of("a kind of tomorrow").lane == Lane.MONEY


def test_an_item_is_written_into_the_lane_of_its_kind(either: World) -> None:
    now = either.clock()
    with either.database.transaction() as session:
        outbox.put(session, "message", "m", {}, now=now)
        outbox.put(session, "credit", "c", {}, now=now)
        session.add(
            OutboxItem(kind="alert", key="a", payload={}, status="READY", next_at=now, created_at=now)
        )
    with either.database.reading() as session:
        found = dict(session.execute(select(OutboxItem.kind, OutboxItem.lane)).all())
    assert found == {"message": "message", "alert": "message", "credit": "money"}


def test_the_oldest_is_claimed_first_whatever_its_kind(either: World) -> None:
    for minutes, kind in ((3, "settle"), (1, "credit"), (2, "settle"), (4, "credit")):
        with either.database.transaction() as session:
            due_at = NOON - timedelta(minutes=minutes)
            outbox.put(session, kind, f"{minutes}", {}, now=NOON, due_at=due_at)
    with either.database.transaction() as session:
        got = outbox.claim(session, "w", now=NOON, limit=3, kinds=["credit", "settle"])
    assert [item.key for item in got] == ["4", "3", "2"]


@pytest.mark.postgres
def test_a_claim_reads_few_rows_of_a_long_queue(postgres_database: Database) -> None:
    """Kinds that a worker lacks and a backlog of its own kinds are neither read nor sorted."""
    world = World(postgres_database)
    fill = """
        INSERT INTO outbox (kind, key, lane, payload, status, attempts, failures, next_at, created_at)
        SELECT kind, kind || n, lane, '{}', 'READY', 0, 0, :now - n * interval '1 second', :now
        FROM generate_series(1, 20000) n,
        (VALUES ('message', 'message'), ('alert', 'message'), ('credit', 'money'), ('x', 'money'))
            AS kinds(kind, lane)
    """
    with world.database.transaction() as session:
        session.execute(text(fill), {"now": NOON})
        session.execute(text("ANALYZE outbox"))
    statement = outbox._due(["alert", "message"], NOON, 4).compile(
        postgres_database.engine, compile_kwargs={"literal_binds": True}
    )
    with world.database.reading() as session:
        plan = "\n".join(session.scalars(text(f"EXPLAIN (ANALYZE, COSTS OFF) {statement}")))
    assert plan.count("using ix_outbox_lane") == 2, plan
    assert "Seq Scan" not in plan
    read = [int(rows) for rows in re.findall(r"ix_outbox_lane on outbox.*?rows=(\d+)", plan)]
    assert read == [4, 4], plan
