"""`campusnet packages`: what an operator types, and what is on sale afterwards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from app.cli import main
from billing.embedded import accounts, seed
from billing.embedded.engine import EmbeddedBilling
from models.clock import CAMPUS_ZONE, utc_now
from models.db import Database
from models.package import Package
from sandbox.credentials import Credentials
from tests.rig import make_config, toml

SPECIAL = ("special", "S1", "--name", "开学季", "--price", "9.90", "--gb", "50")
WINDOW = ("--from", "2026-03-01", "--until", "2026-03-10 18:30")


@pytest.fixture
def config(sqlite_database: Database, tmp_path: Path, credentials: Credentials) -> Path:
    with sqlite_database.transaction() as session:
        seed.seed_catalogue(session)
        accounts.open_account(session, account_no="A1", name="李小明", kind="staff", now=utc_now())
    made = make_config(
        tmp_path,
        credentials,
        site="http://127.0.0.1:9",
        platform="http://127.0.0.1:9",
        database_url=sqlite_database.url,
        redis_url="redis://127.0.0.1:1/0",
    )
    return toml(made, tmp_path)


def campusnet(config: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["packages", arguments[0], "--config", str(config), *arguments[1:]])


def on_sale(database: Database, at: datetime) -> list[str]:
    return [offer.code for offer in EmbeddedBilling(database, lambda: at).catalogue("A1")]


def test_a_special_is_sold_in_campus_time_with_its_limits(config: Path, sqlite_database: Database) -> None:
    limits = ("--stock", "10", "--each", "1", "--kind", "undergraduate", "--kind", "staff")
    done = campusnet(config, *SPECIAL, *WINDOW, *limits)
    assert done.exit_code == 0, done.output
    ends = datetime(2026, 3, 10, 18, 30, tzinfo=CAMPUS_ZONE).astimezone(UTC)
    assert "S1" not in on_sale(sqlite_database, ends)
    assert "S1" in on_sale(sqlite_database, ends - timedelta(microseconds=1))
    with sqlite_database.reading() as session:
        package = session.get_one(Package, "S1")
        assert (package.price_fen, package.quota_bytes) == (990, 50 * 10**9)
        assert (package.stock_left, package.limit_each) == (10, 1)
        assert (package.for_kinds, package.for_departments) == (["undergraduate", "staff"], None)
    listed = campusnet(config, "list").output
    assert "9.90    50.0 GB  2026-03-01 00:00 .. 2026-03-10 18:30  left 10     开学季" in listed
    assert "5元不限量套餐" in listed


@pytest.mark.parametrize(
    "changed",
    [("--until", "2026-02-01"), ("--price", "0"), ("--price", "much"), ("--stock", "0"), ("--gb", "-1")],
)
def test_a_special_that_makes_no_sense_is_refused(
    config: Path, sqlite_database: Database, changed: tuple[str, str]
) -> None:
    done = campusnet(config, *SPECIAL, *WINDOW, *changed)
    assert done.exit_code != 0
    assert "Error" in done.output
    with sqlite_database.reading() as session:
        assert session.get(Package, "S1") is None


def test_a_code_is_never_used_again(config: Path) -> None:
    assert campusnet(config, *SPECIAL, *WINDOW).exit_code == 0
    again = campusnet(config, *SPECIAL, *WINDOW)
    assert (again.exit_code, "已被使用" in again.output) == (1, True)


def test_a_retired_package_is_sold_no_more(config: Path, sqlite_database: Database) -> None:
    assert campusnet(config, "retire", "P05").exit_code == 0
    assert on_sale(sqlite_database, utc_now()) == ["P10", "P20", "P30"]
    for code in ("P05", "P99"):
        assert "不在售" in campusnet(config, "retire", code).output
