"""Figures are compared with what was promised, and a promise that nothing measures is a miss."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import goals
from bench.goals import Row

SLOW = Row("credit_s", "< 2", "s", "python -m one")
FAST = Row("rate", ">= 100", "a second", "python -m one")
OPEN = Row("later", "== 0", "fen")


def printed(_source: str) -> str:
    return "2 cores\nworker: ready\ncredit_s: 1.999\nrate: 99\nlater: 0\n"


def test_the_rows_of_the_project_can_be_read() -> None:
    rows = goals.load()
    assert "credit_p99_behind_hanging_messages_s" in {row.name for row in rows}
    assert all(row.source.startswith("python -m bench") for row in rows)


def test_each_source_runs_once_and_a_row_without_one_is_a_miss() -> None:
    ran: list[str] = []

    def measure(source: str) -> str:
        ran.append(source)
        return printed(source)

    kept = {verdict.row.name: verdict.kept for verdict in goals.check([SLOW, FAST, OPEN], measure)}
    assert kept == {"credit_s": True, "rate": False, "later": False}
    assert ran == ["python -m one"]


def test_a_source_that_prints_nothing_measures_nothing() -> None:
    (verdict,) = goals.check([SLOW], lambda _: "Traceback")
    assert (verdict.kept, verdict.value) == (False, None)
    assert goals.NOT_MEASURED in verdict.line()


@pytest.mark.parametrize(
    ("goal", "value", "met"),
    [("< 2", 2, False), ("<= 2", 2, True), ("> 2", 2, False), (">= 2", 2, True), ("== 0", 0, True)],
)
def test_goals_are_compared_as_written(goal: str, value: float, *, met: bool) -> None:
    assert Row("x", goal, "").is_met(value) == met


@pytest.mark.parametrize("goal", ["2", "about 2", "< two", "", "=> 2"])
def test_a_goal_that_cannot_be_compared_is_refused(goal: str) -> None:
    with pytest.raises(ValueError, match="a goal is"):
        Row("x", goal, "")


def test_a_name_stands_once(tmp_path: Path) -> None:
    row = '[[row]]\nname = "x"\ngoal = "< 1"\nunit = "s"\n'
    path = tmp_path / "goals.toml"
    path.write_text(row * 2, encoding="utf-8")
    with pytest.raises(ValueError, match="twice"):
        goals.load(path)
