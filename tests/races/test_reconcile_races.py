"""Two reconciliations of one day that begin at once: one goes on, the other is told so."""

from __future__ import annotations

from datetime import date

import pytest
from sqlalchemy import func, select

from models.errors import Conflict
from models.statement import ReconRun
from payments.reconcile import runs
from payments.reconcile.result import TRADE, Recorder
from tests.races.conftest import Desk
from tests.races.meeting import Meeting, together

ON = date(2026, 3, 10)


@pytest.mark.postgres
def test_two_first_runs_of_a_day_leave_one_and_one_conflict(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    Meeting(desk.database).at(monkeypatch, runs, "_new")
    results = together(*[lambda: runs.begin(desk.services, ON, TRADE, None)] * 2)
    assert {type(result) for result in results} == {Recorder, Conflict}
    with desk.database.reading() as session:
        assert session.scalar(select(func.count()).select_from(ReconRun)) == 1
