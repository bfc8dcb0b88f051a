"""Every missing day is reconciled while it has a bill, and named once when it has none any more."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select

from models.clock import campus_date, months_earlier
from models.db.engine import Database
from models.errors import Malformed, Unavailable, Unknown
from models.review import ReviewItem, ReviewKind, ReviewStatus
from models.statement import ReconRun, ReconStatus
from payments.periodic import Job, daily, run_due
from payments.reconcile import catch_up, monthly, runs
from payments.reconcile import daily as reconcile
from payments.reconcile.result import FUNDFLOW, TRADE
from tests.payments.reconcile.bill_maker import ON, BillWorld

DAY = timedelta(days=1)


class Backlog(BillWorld):
    """Reconciles by a fake that only notes the day, unless `failing` names it."""

    def __init__(self, database: Database, folder: Path) -> None:
        super().__init__(database, folder)
        self.tried: list[date] = []
        self.failing: dict[date, Exception] = {}

    def reconcile(self, _: Any, on: date, **__: Any) -> None:
        self.tried.append(on)
        if on in self.failing:
            raise self.failing[on]
        self.done(on)

    def done(self, on: date, kind: str = TRADE) -> None:
        runs.begin(self.services, on, kind, None).finish({}, now=self.clock())

    def off(self, days: int) -> None:
        self.next_morning()
        self.clock.forward(days=days)

    def results(self, kind: str = TRADE) -> dict[date, str]:
        with self.database.reading() as session:
            rows = session.execute(select(ReconRun.bill_on, ReconRun.status).where(ReconRun.kind == kind))
            return {row.bill_on: row.status for row in rows}

    def named(self) -> list[list[str]]:
        with self.database.reading() as session:
            query = select(ReviewItem).where(ReviewItem.kind == ReviewKind.MISSING_BILL)
            return [item.facts["days"] for item in session.scalars(query.order_by(ReviewItem.id))]

    def all_turns(self) -> int:
        turns = 1
        while reconcile.due_job(self.services):
            turns += 1
        return turns


@pytest.fixture
def world(sqlite_database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Backlog:
    made = Backlog(sqlite_database, tmp_path)
    monkeypatch.setattr(reconcile, "run_daily", made.reconcile)
    return made


def days(first: date, last: date) -> list[date]:
    return [first + timedelta(days=number) for number in range((last - first).days + 1)]


def test_forty_days_off_every_day_is_reconciled_oldest_first(world: Backlog) -> None:
    world.next_morning()
    world.done(ON)
    world.off(40)
    assert world.all_turns() == 4
    assert world.tried == days(ON + DAY, ON + 40 * DAY)
    assert set(world.results().values()) == {ReconStatus.DONE}
    assert world.named() == []


def test_a_turn_does_a_bounded_number_of_days_and_the_next_one_comes_soon(world: Backlog) -> None:
    world.next_morning()
    world.done(ON)
    world.off(40)
    jobs = {"reconcile": Job(reconcile.due_job, daily(10, 10), again_s=900)}
    run_due(world.services, jobs)
    world.clock.forward(days=1)
    for turn in range(1, 6):
        run_due(world.services, jobs)
        assert len(world.tried) == min(turn * reconcile.DAYS_PER_TURN, 41)
        world.clock.forward(minutes=15)
    run_due(world.services, jobs)
    assert len(world.tried) == 41


def test_after_120_days_the_days_beyond_the_window_are_named_once(world: Backlog) -> None:
    world.next_morning()
    world.done(ON)
    world.off(120)
    oldest = months_earlier(campus_date(world.clock()), 3)
    world.all_turns()
    world.all_turns()
    assert world.tried == days(oldest, ON + 120 * DAY)
    lost = days(ON + DAY, oldest - DAY)
    assert world.named() == [[str(on) for on in lost]]
    assert {on for on, status in world.results().items() if status == ReconStatus.NO_BILL} == set(lost)
    world.clock.forward(days=1)
    world.all_turns()
    assert len(world.named()) == 1


def test_a_day_that_falls_out_of_the_window_later_is_named_then(world: Backlog) -> None:
    world.next_morning()
    world.done(ON)
    world.failing[ON + DAY] = Malformed("cut")
    world.off(2)
    for _ in range(95):
        with suppress(Unavailable):
            world.all_turns()
        world.clock.forward(days=1)
    assert world.named() == [[str(ON + DAY)]]


def test_a_lost_day_may_be_done_by_a_bill_from_elsewhere(world: Backlog) -> None:
    world.next_morning()
    world.done(ON)
    world.off(120)
    world.all_turns()
    world.done(ON + DAY)
    assert world.results()[ON + DAY] == ReconStatus.DONE


def test_without_a_result_the_first_order_is_where_it_begins(world: Backlog) -> None:
    world.credited()
    world.off(5)
    reconcile.due_job(world.services)
    assert world.tried == days(ON, ON + 5 * DAY)


def test_a_new_installation_begins_with_yesterday(world: Backlog) -> None:
    world.off(0)
    assert not reconcile.due_job(world.services)
    assert world.tried == [ON]


@pytest.mark.parametrize("trouble", [Malformed("cut"), Unknown("no answer")])
def test_a_day_that_fails_keeps_no_other_waiting(world: Backlog, trouble: Exception) -> None:
    world.next_morning()
    world.done(ON)
    world.failing = {ON + DAY: trouble, ON + 3 * DAY: trouble}
    world.off(20)
    for _ in range(3):
        with pytest.raises(Unavailable, match=str(ON + DAY)):
            reconcile.due_job(world.services)
    assert {on for on in days(ON, ON + 20 * DAY) if on not in world.results()} == set(world.failing)
    world.failing.clear()
    assert not reconcile.due_job(world.services)
    assert set(world.results()) == set(days(ON, ON + 20 * DAY))


def test_an_outage_ends_the_turn(world: Backlog) -> None:
    world.next_morning()
    world.done(ON)
    world.off(20)
    world.failing = dict.fromkeys(days(ON + DAY, ON + 20 * DAY), Unavailable("off"))
    with pytest.raises(Unavailable):
        reconcile.due_job(world.services)
    assert len(world.tried) == reconcile.OUTAGES_MAX


def test_a_run_that_never_finished_is_done_again(world: Backlog) -> None:
    world.next_morning()
    runs.begin(world.services, ON, TRADE, None)
    world.off(1)
    reconcile.due_job(world.services)
    assert world.tried == [ON, ON + DAY]


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    off=st.integers(1, 130),
    known=st.sets(st.integers(0, 129), max_size=130),
    bad=st.sets(st.integers(0, 129), max_size=5),
)
def test_every_day_ends_done_failing_or_named(
    world: Backlog, off: int, known: set[int], bad: set[int]
) -> None:
    """Whatever days have a result before, and whichever fail."""
    with world.database.transaction() as session:
        session.execute(delete(ReviewItem))
        session.execute(delete(ReconRun))
    world.tried.clear()
    world.next_morning()
    for number in sorted({0, *known}):
        if number <= off:
            world.done(ON + number * DAY)
    world.failing = {ON + number * DAY: Malformed("cut") for number in bad if number not in known}
    world.off(off)
    for _ in range(15):
        try:
            if not reconcile.due_job(world.services):
                break
        except Unavailable:
            continue
    results, oldest = world.results(), months_earlier(campus_date(world.clock()), 3)
    named = {one for group in world.named() for one in group}
    for on in days(ON, ON + off * DAY):
        if str(on) in named:
            assert on < oldest
            assert results[on] == ReconStatus.NO_BILL
        else:
            assert results.get(on) == ReconStatus.DONE or on in world.failing
    assert len(named) == sum(map(len, world.named()))


def test_months_are_caught_up_and_the_lost_ones_named(
    world: Backlog, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[date] = []

    def run_month(_: Any, month: date, **__: Any) -> None:
        done.append(month)
        world.done(month, FUNDFLOW)

    monkeypatch.setattr(monthly, "run_month", run_month)
    world.next_morning()
    world.done(ON)
    world.clock.now = world.clock.now.replace(month=8, day=6)
    for _ in range(2):
        monthly.due_job(world.services)
    # On 6 August bills reach back to 6 May: May is not complete any more.
    assert done == [date(2026, 6, 1), date(2026, 7, 1)]
    assert world.named() == [["2026-03-01", "2026-04-01", "2026-05-01"]]
    with world.database.reading() as session:
        gaps = catch_up.missing_months(session, world.clock())
    assert (gaps.due, len(gaps.lost), gaps.unnamed) == ([], 3, [])


def test_what_is_named_waits_for_an_operator(world: Backlog) -> None:
    world.next_morning()
    world.done(ON)
    world.off(120)
    world.all_turns()
    with world.database.reading() as session:
        item = session.scalars(select(ReviewItem)).one()
    assert (item.status, item.kind, item.amount_fen) == (ReviewStatus.OPEN, ReviewKind.MISSING_BILL, None)
