"""A wall clock that jumped ahead and back leaves nothing waiting for as long as it was wrong."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select, update

from app.worker import Worker
from models.db.engine import Database
from models.errors import Unavailable
from models.order import CreditStatus
from models.outbox import LanePause, OutboxItem, Remote
from models.schedule import Periodic
from payments import credit, outbox, pauses, periodic, sweep
from payments.services import Services
from tests.builders import NOON, World

DAY = timedelta(days=1)


@pytest.fixture
def either(any_database: Database) -> World:
    return World(any_database)


def worker_of(world: World) -> Worker:
    return Worker(world.services, {"credit": credit.deliver}, wait=lambda _: None)


def test_a_credit_postponed_a_day_ahead_is_tried_within_the_next_sweep(either: World) -> None:
    view = either.paid()
    either.clock.now += DAY
    either.billing.troubles = [Unavailable("down")]
    worker_of(either).run_once()
    either.clock.now -= DAY
    either.clock.forward(minutes=1)
    worker_of(either).run_once()
    assert either.credit(view).status == CreditStatus.PENDING
    sweep.sweep(either.services)
    either.clock.forward(seconds=5)
    worker_of(either).run_once()
    assert either.credit(view).status == CreditStatus.CREDITED
    item = either.item("credit", view.order_no)
    assert item is not None
    assert item.status == "DONE"


def test_a_lease_taken_a_day_ahead_is_free_after_the_next_sweep(either: World) -> None:
    view = either.paid()
    either.clock.now += DAY
    (lost,) = either.claim("credit")
    either.clock.now -= DAY
    assert either.claim("credit") == []
    sweep.sweep(either.services)
    (held,) = either.claim("credit")
    assert (held.key, held.attempts) == (view.order_no, lost.attempts + 1)


@given(
    ahead_s=st.integers(min_value=120, max_value=10**8),
    wait_s=st.integers(min_value=0, max_value=10**6),
    leased=st.booleans(),
)
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_the_jump_an_item_waits_as_long_as_it_was_meant_to(
    world: World, ahead_s: int, wait_s: int, *, leased: bool
) -> None:
    wrong = NOON + timedelta(seconds=ahead_s)
    with world.database.transaction() as session:
        session.execute(delete(OutboxItem))
        outbox.put(session, "job", "k", {}, now=wrong, due_at=wrong + timedelta(seconds=wait_s))
        if leased:
            outbox.claim(session, "w", now=wrong + timedelta(days=20), limit=1, kinds=["job"])
        outbox.pull_back(session, now=NOON)
    item = world.item("job", "k")
    assert item is not None
    assert item.leased_until is None
    assert item.next_at <= NOON + timedelta(seconds=wait_s)


def test_what_waits_by_plan_is_left_alone(either: World) -> None:
    with either.database.transaction() as session:
        outbox.put(session, "refund", "r", {}, now=NOON, due_at=NOON + DAY)
    sweep.sweep(either.services)
    item = either.item("refund", "r")
    assert item is not None
    assert item.next_at == NOON + DAY


def test_a_job_whose_turn_lies_behind_its_next_one_is_taken_now(either: World) -> None:
    ran: list[Services] = []
    jobs = {
        "sweep": periodic.Job(ran.append, periodic.every(60)),
        "reconcile": periodic.Job(ran.append, periodic.daily(10, 10)),
    }
    periodic.run_due(either.services, jobs)
    either.clock.now += DAY
    periodic.run_due(either.services, jobs)
    assert len(ran) == 2
    either.clock.now -= DAY
    assert periodic.run_due(either.services, jobs) == 2
    assert periodic.run_due(either.services, jobs) == 0
    with either.database.reading() as session:
        latest = max(session.scalars(select(Periodic.next_at)))
    assert latest <= either.clock() + DAY


def test_a_pause_that_began_ahead_is_probed_at_once(either: World) -> None:
    failure = pauses.Failure("credit:1", "down", whole=True)
    with either.database.transaction() as session:
        pauses.note_failure(session, Remote.BILLING, failure, now=NOON + DAY)
        # A failure of the time before keeps its plan.
        pauses.note_failure(session, Remote.PAYMENT, failure, now=NOON)
    sweep.sweep(either.services)
    with either.database.reading() as session:
        probes = {row.remote: row.probe_at for row in session.scalars(select(LanePause))}
    assert probes["billing"] == NOON
    assert probes["payment"] == NOON + pauses.PROBE_FIRST


def test_an_item_in_the_wrong_lane_is_sorted(either: World) -> None:
    with either.database.transaction() as session:
        outbox.put(session, "message", "m", {}, now=NOON)
        session.execute(update(OutboxItem).values(lane="money"))
    assert either.claim("message") == []
    sweep.sweep(either.services)
    assert [item.key for item in either.claim("message")] == ["m"]
