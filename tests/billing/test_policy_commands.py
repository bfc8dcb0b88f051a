"""`campusnet rules` and `campusnet grants`: the future may be changed, the past never."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from app.cli import main
from billing.embedded import seed
from billing.embedded.grants import policy_in_force
from billing.embedded.rules import rule_in_force
from models.clock import CAMPUS_ZONE, utc_now
from models.db.engine import Database
from models.journal import JournalRow
from models.package import GrantPolicy, TrafficRule
from sandbox.credentials import Credentials
from tests.rig import make_config, toml

BY = ("--by", "anna")
FROM = ("--from", "2036-09-01")
STARTS = datetime(2036, 9, 1, tzinfo=CAMPUS_ZONE)


@pytest.fixture
def config(sqlite_database: Database, tmp_path: Path, credentials: Credentials) -> Path:
    with sqlite_database.transaction() as session:
        seed.seed_grant_policy(session)
    made = make_config(
        tmp_path,
        credentials,
        site="http://127.0.0.1:9",
        platform="http://127.0.0.1:9",
        database_url=sqlite_database.url,
        redis_url="redis://127.0.0.1:1/0",
    )
    return toml(made, tmp_path)


def campusnet(config: Path, group: str, command: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, [group, command, "--config", str(config), *arguments])


def journal(database: Database) -> list[tuple[str, str]]:
    with database.reading() as session:
        return [(row.what, row.actor) for row in session.scalars(select(JournalRow))]


def test_a_rule_counts_from_its_date_and_keeps_what_it_does_not_name(
    config: Path, sqlite_database: Database
) -> None:
    done = campusnet(config, "rules", "add", *BY, *FROM, "--month", "calendar", "--ended-blocks")
    assert done.exit_code == 0, done.output
    with sqlite_database.reading() as session:
        before = rule_in_force(session, STARTS - timedelta(microseconds=1))
        after = rule_in_force(session, STARTS)
    assert (before.month_rule, before.ended_is_used_up) == ("same_day", True)
    assert (after.month_rule, after.ended_is_used_up) == ("calendar", False)
    assert (after.bytes_per_gb, after.counted, after.rest_carries_over) == (10**9, "both", False)
    assert journal(sqlite_database) == [("rule-added", "anna")]
    now = campusnet(config, "rules", "show").output
    then = campusnet(config, "rules", "show", "--on", "2036-09-01").output
    assert (now.count("次月同日"), then.count("购买当月月底到期")) == (1, 1)
    assert campusnet(config, "rules", "list").output == now + then


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "2020-01-01", "--gb", "1024"), "必须在将来"),
        ((*FROM, "--gb", "1000"), "相同"),
        ((*FROM,), "相同"),
        ((*FROM, "--gb", "1000000"), "Invalid value"),
        (("--from", "soon", "--gb", "1024"), "Invalid value"),
    ],
)
def test_a_rule_that_changes_the_past_or_nothing_is_refused(
    config: Path, sqlite_database: Database, arguments: tuple[str, ...], words: str
) -> None:
    done = campusnet(config, "rules", "add", *BY, *arguments)
    assert done.exit_code != 0
    assert words in done.output
    with sqlite_database.reading() as session:
        assert len(session.scalars(select(TrafficRule)).all()) == 1
    assert journal(sqlite_database) == []


def test_a_date_has_one_rule(config: Path) -> None:
    assert campusnet(config, "rules", "add", *BY, *FROM, "--counted", "down").exit_code == 0
    again = campusnet(config, "rules", "add", *BY, *FROM, "--counted", "up")
    assert (again.exit_code, "已有" in again.output) == (1, True)


def test_a_grant_of_a_group_counts_from_the_month_on_and_goes_before_everybodys(
    config: Path, sqlite_database: Database
) -> None:
    words = ("--kind", "staff", "--gb", "80", "--kbps", "4000")
    done = campusnet(config, "grants", "add", *BY, *FROM, *words)
    assert done.exit_code == 0, done.output
    with sqlite_database.reading() as session:
        quotas = [
            policy_in_force(session, kind, at).quota_bytes // 10**9  # type: ignore[union-attr]
            for kind, at in (("staff", utc_now()), ("staff", STARTS), ("undergraduate", STARTS))
        ]
    assert quotas == [30, 80, 30]
    assert journal(sqlite_database) == [("grant-added", "anna")]
    assert "80.0 GB" not in campusnet(config, "grants", "show").output
    then = campusnet(config, "grants", "show", "--on", "2036-09-01").output
    assert ("80.0 GB，用完后 4000 kbit/s" in then, "30.0 GB" in then, "（示例）" in then) == (
        True,
        True,
        True,
    )
    assert len(campusnet(config, "grants", "list").output.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--from", "2020-01-01", "--gb", "1", "--kbps", "1"), "必须在将来"),
        ((*FROM, "--gb", "1", "--kbps", "1", "--kind", " "), "用户组"),
        ((*FROM, "--gb", "1"), "Missing option"),
    ],
)
def test_a_grant_that_changes_the_past_or_makes_no_sense_is_refused(
    config: Path, sqlite_database: Database, arguments: tuple[str, ...], words: str
) -> None:
    done = campusnet(config, "grants", "add", *BY, *arguments)
    assert done.exit_code != 0
    assert words in done.output
    with sqlite_database.reading() as session:
        assert len(session.scalars(select(GrantPolicy)).all()) == 1


def test_a_group_has_one_grant_a_date(config: Path) -> None:
    words = ("--gb", "40", "--kbps", "2000")
    assert campusnet(config, "grants", "add", *BY, *FROM, *words).exit_code == 0
    again = campusnet(config, "grants", "add", *BY, *FROM, *words)
    assert (again.exit_code, "已有" in again.output) == (1, True)
