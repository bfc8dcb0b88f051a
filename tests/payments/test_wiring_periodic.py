"""The periodic jobs of the production wiring."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime

import pytest

from app.worker import PERIODIC_S
from models.statement import ReconStatus
from payments.reconcile import daily as reconcile
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
        clock.forward(seconds=PERIODIC_S)
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
