"""`campusnet recover`: what it says when there is nothing to do, no answer, or one operator only."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from models.clock import utc_now
from models.db.engine import Database
from payments.recovery.opening import open_recovery

REASON = "演练环境，没有真实付款"


def run(path: Path, *words: str) -> Result:
    return CliRunner().invoke(main, ["recover", "--config", str(path), *words])


@pytest.fixture
def restored(path: Path, database_url: str) -> Path:
    """A database that was restored just now."""
    database = Database(database_url)
    with database.transaction() as session:
        open_recovery(session, since=utc_now(), backup_no="b1", actor="anna", now=utc_now())
    database.dispose()
    return path


def test_nothing_was_restored(path: Path) -> None:
    told = run(path, "--by", "anna")
    assert told.exit_code == 1
    assert "没有待恢复的数据" in told.output
    assert "--since" in told.output


@pytest.mark.parametrize("since", ["yesterday", "2026-13-01", "/nowhere"])
def test_a_time_that_is_none_is_one_line(path: Path, since: str) -> None:
    told = run(path, "--by", "anna", "--since", since)
    assert told.exit_code == 1
    assert isinstance(told.exception, SystemExit)
    assert len(told.output.strip().splitlines()) == 1


def test_today_alone_is_recovered_without_a_bill(restored: Path) -> None:
    told = run(restored, "--by", "anna")
    assert told.exit_code == 0, told.output
    assert "账单还没有生成" in told.output
    assert "充值已开放" in told.output


def test_without_an_answer_it_says_so_and_can_be_run_again(path: Path) -> None:
    """Nobody listens where the configuration says that WeChat Pay is."""
    for _ in range(2):
        told = run(path, "--by", "anna", "--since", "2026-11-20 08:00")
        assert told.exit_code == 1
        assert isinstance(told.exception, SystemExit)
        assert "Unavailable" in told.output


def test_two_operators_skip_it(restored: Path) -> None:
    words = ("--skip", "--reason", REASON)
    assert "另一位同事" in run(restored, "--by", "anna", *words).output
    assert "另一位同事" in run(restored, "--by", "ANNA", *words).output
    assert "系统已开放" in run(restored, "--by", "bert", *words).output
    assert run(restored, "--by", "bert", *words).exit_code == 1
