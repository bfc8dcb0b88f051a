"""The periodic jobs of the production wiring."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest

from models.outbox import WORK
from models.statement import ReconRun, ReconStatus
from payments.periodic import monthly
from payments.reconcile import daily as reconcile
from payments.reconcile import monthly as fund_flow
from payments.reconcile.runs import Summary
from payments.services import Services
from payments.wechatpay.bills import StatementCreating
from tests.builders import TestClock
from tests.rig import Rig

# 10:09 on campus.
BEFORE_TEN_PAST = datetime(2026, 3, 11, 2, 9, tzinfo=UTC)
YESTERDAY = date(2026, 3, 10)


@pytest.fixture
def clock() -> TestClock:
    return TestClock(BEFORE_TEN_PAST)


@pytest.fixture
def house_rig(make_rig: Callable[..., Rig], clock: TestClock) -> Rig:
    return make_rig(workers=0, clock=clock, pay={"foreign_prefixes": ("MEAL",)})


def test_yesterday_is_reconciled_once_at_ten_past_ten_by_two_workers(
    house_rig: Rig, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[date, tuple[str, ...]]] = []

    def run_daily(_services: Services, on: date, *, foreign_prefixes: tuple[str, ...]) -> Summary:
        asked.append((on, foreign_prefixes))
        return Summary(on, "trade", ReconStatus.DONE, None, {}, {}, None)

    monkeypatch.setattr(reconcile, "run_daily", run_daily)
    workers = [house_rig.house.worker() for _ in range(2)]
    for worker in workers:
        worker.run_periodic()
    assert asked == [], "before its time"
    clock.forward(minutes=2)
    for _ in range(2):
        for worker in workers:
            worker.run_periodic()
        clock.forward(minutes=1)
    assert asked == [(YESTERDAY, ("MEAL",))]


def test_a_reconciliation_that_failed_is_tried_again_in_a_quarter_of_an_hour(
    house_rig: Rig, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[date] = []

    def not_ready(_services: Services, on: date, **_: object) -> Summary:
        asked.append(on)
        raise StatementCreating("not yet")

    monkeypatch.setattr(reconcile, "run_daily", not_ready)
    worker = house_rig.house.worker()
    worker.run_periodic()
    for minutes in (2, 14, 2):
        clock.forward(minutes=minutes)
        worker.run_periodic()
    assert asked == [YESTERDAY] * 2


def test_last_month_is_done_once_after_the_first_however_many_workers_and_failures(
    house_rig: Rig, clock: TestClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[tuple[date, str]] = []

    def run_month(services: Services, month: date, *, foreign_prefixes: tuple[str, ...]) -> Summary:
        assert foreign_prefixes == ("MEAL",)
        turns.append((month, f"{clock():%d %H:%M}"))
        if len(turns) == 1:
            raise StatementCreating("not yet")
        return done(services, month, "fundflow")

    def run_daily(services: Services, on: date, **_: object) -> Summary:
        return done(services, on, "trade")

    monkeypatch.setattr(fund_flow, "run_month", run_month)
    monkeypatch.setattr(reconcile, "run_daily", run_daily)
    workers = [house_rig.house.worker() for _ in range(2)]
    clock.now = datetime(2026, 3, 30, 2, 0, tzinfo=UTC)
    for hours in (0, 24, 24, 0.5, 0.5, 1, 1, 24):
        clock.forward(hours=hours, minutes=1)
        for worker in workers:
            worker.run_periodic()
    # On the first at 10:03 and 10:34 it is too early; at 11:05 there is no bill, at 12:06 there is one.
    assert turns == [(date(2026, 3, 1), "01 03:05"), (date(2026, 3, 1), "01 04:06")]


def test_each_kind_of_work_has_its_lane_written_down(house_rig: Rig) -> None:
    assert set(house_rig.house.deliveries) == set(WORK)


def done(services: Services, on: date, kind: str) -> Summary:
    with services.transaction() as session:
        session.add(
            ReconRun(bill_on=on, kind=kind, status=ReconStatus.DONE, totals={}, started_at=services.clock())
        )
    return Summary(on, kind, ReconStatus.DONE, None, {}, {}, None)


def test_a_monthly_turn_is_on_its_day_also_over_the_new_year() -> None:
    turn = monthly(1, 10, 40)
    before, after = datetime(2026, 12, 1, 2, 39, tzinfo=UTC), datetime(2026, 12, 1, 2, 40, tzinfo=UTC)
    assert turn(before) == after
    assert turn(after) == datetime(2027, 1, 1, 2, 40, tzinfo=UTC)
