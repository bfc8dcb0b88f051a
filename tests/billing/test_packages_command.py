"""`campusnet packages`: what an operator types, and what is on sale afterwards."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select

from app.cli import main
from billing.embedded import accounts, seed
from billing.embedded.engine import EmbeddedBilling
from models.clock import CAMPUS_ZONE, utc_now
from models.db.engine import Database
from models.journal import JournalRow
from models.package import LotKind, Package, TrafficLot, TrafficRule
from sandbox.credentials import Credentials
from tests.rig import make_config, toml

ACCOUNT = "2400101001"
BY = ("--by", "anna")
SPECIAL = ("special", "S1", *BY, "--name", "开学季", "--price", "9.90", "--gb", "50")
WINDOW = ("--from", "2036-03-01", "--until", "2036-03-10 18:30")


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
    ends = datetime(2036, 3, 10, 18, 30, tzinfo=CAMPUS_ZONE).astimezone(UTC)
    assert "S1" not in on_sale(sqlite_database, ends)
    assert "S1" in on_sale(sqlite_database, ends - timedelta(microseconds=1))
    with sqlite_database.reading() as session:
        package = session.get_one(Package, "S1")
        assert (package.price_fen, package.quota_bytes) == (990, 50 * 10**9)
        assert (package.stock_left, package.limit_each) == (10, 1)
        assert (package.for_kinds, package.for_departments) == (["undergraduate", "staff"], None)
    listed = campusnet(config, "list").output
    assert "9.90    50.0 GB  2036-03-01 00:00 .. 2036-03-10 18:30  left 10     each 1  开学季" in listed
    assert "5元不限量套餐" in listed


@pytest.mark.parametrize(
    "changed",
    [("--until", "2036-02-01"), ("--price", "0"), ("--price", "much"), ("--stock", "0"), ("--gb", "-1")],
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
    assert campusnet(config, "retire", "P05", *BY).exit_code == 0
    assert on_sale(sqlite_database, utc_now()) == ["P10", "P20", "P30"]
    for code in ("P05", "P99"):
        assert "不在售" in campusnet(config, "retire", code, *BY).output


def test_a_standard_package_is_sold_without_end_and_its_price_counts_at_the_counter(
    config: Path, sqlite_database: Database
) -> None:
    words = ("--name", "50元不限量套餐", "--price", "50", "--gb", "300", "--from", "2026-01-01")
    assert campusnet(config, "add", "P50", *BY, *words).exit_code == 0
    (offer,) = [o for o in EmbeddedBilling(sqlite_database, utc_now).catalogue() if o.code == "P50"]
    assert (offer.price_fen, offer.special, offer.sale_until) == (5000, False, None)


def test_who_changed_the_catalogue_stands_in_the_journal(config: Path, sqlite_database: Database) -> None:
    assert campusnet(config, *SPECIAL, *WINDOW).exit_code == 0
    assert campusnet(config, "retire", "S1", "--by", " bert ").exit_code == 0
    with sqlite_database.reading() as session:
        rows = session.scalars(select(JournalRow).order_by(JournalRow.id)).all()
    assert [(row.what, row.actor, row.facts["code"]) for row in rows] == [
        ("package-added", "anna", "S1"),
        ("package-retired", "bert", "S1"),
    ]
    assert "请填写操作人姓名" in campusnet(config, "retire", "P05", "--by", " ").output


def bought(database: Database, *, used: int, days_left: float, blocks: bool = True) -> None:
    now = utc_now()
    with database.transaction() as session:
        account = seed.DemoAccount(ACCOUNT, "李小明")
        seed.seed_demo_accounts(session, [account], now)
        rule = TrafficRule(
            effective_from=now - timedelta(days=90), bytes_per_gb=10**9, month_rule="same_day",
            counted="both", ended_is_used_up=not blocks, rest_carries_over=False,
        )  # fmt: skip
        session.add(rule)
        session.flush()
        session.add(
            TrafficLot(
                account_no=ACCOUNT, kind=LotKind.PACKAGE, package_code="P05", rule_id=rule.id,
                total_bytes=100, used_bytes=used, starts_at=now - timedelta(days=31),
                ends_at=now + timedelta(days=days_left),
            )
        )  # fmt: skip


def test_an_ended_package_that_blocks_the_next_is_closed_once(
    config: Path, sqlite_database: Database
) -> None:
    bought(sqlite_database, used=40, days_left=-1)
    done = campusnet(config, "close", ACCOUNT, *BY)
    assert (done.exit_code, "作废" in done.output) == (0, True), done.output
    assert "没有未结束的套餐" in campusnet(config, "close", ACCOUNT, *BY).output
    with sqlite_database.reading() as session:
        row = session.scalars(select(JournalRow)).one()
        lot = session.scalars(select(TrafficLot).where(TrafficLot.kind != LotKind.GRANT)).one()
    assert (row.what, row.actor, row.facts["left_bytes"]) == ("package-closed", "anna", 60)
    assert (lot.closed_at is not None, lot.total_bytes, lot.used_bytes) == (True, 100, 40)


@pytest.mark.parametrize(
    ("lot", "words"),
    [
        ({"used": 40, "days_left": 1}, "尚未到期"),
        ({"used": 100, "days_left": -1}, "无需关闭"),
        ({"used": 40, "days_left": -1, "blocks": False}, "无需关闭"),
    ],
)
def test_a_package_that_runs_or_blocks_nothing_is_not_closed(
    config: Path, sqlite_database: Database, lot: dict[str, Any], words: str
) -> None:
    bought(sqlite_database, **lot)
    done = campusnet(config, "close", ACCOUNT, *BY)
    assert (done.exit_code, words in done.output) == (1, True), done.output
    assert campusnet(config, "close", "9999999999", *BY).exit_code == 1


@pytest.mark.parametrize("code", ["A/B", "..", "S 1", "S?1", "S#1", "特惠"])
def test_a_code_that_no_address_can_hold_is_refused(config: Path, code: str) -> None:
    done = campusnet(config, "special", code, *SPECIAL[2:], *WINDOW)
    assert (done.exit_code, "E-PKG-CODE" in done.output) == (1, True)


@pytest.mark.parametrize(
    "wrong",
    [
        ("--name", ""),
        ("--name", "长" * 65),
        ("--name", "两\n行"),
        ("--price", "9999999999"),
        ("--gb", "99999999999999999999"),
        ("--months", "1201"),
    ],
)
def test_what_does_not_fit_into_the_catalogue_is_refused(config: Path, wrong: tuple[str, str]) -> None:
    done = campusnet(config, *SPECIAL, *WINDOW, *wrong)
    assert (done.exit_code, "E-PKG-WRONG" in done.output) == (1, True), done.output
