from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import func, select, update

from billing.registry import DemoAccount, NoSuchBackend, build, seed_demo, seed_published
from models.db.engine import Database
from models.ledger import Posting
from models.package import GrantPolicy, Package
from tests.billing.fixed_clock import FixedClock

DEMO = [
    DemoAccount("2400101001", "李小明", balance_fen=1234, daily_gb=(1, 0, 2, 3, 0, 0, 0, 0, 0, 0, 4)),
    DemoAccount("2400101002", "王芳", balance_fen=0),
]


def test_an_unknown_back_end_is_named_together_with_those_there_are(
    any_database: Database, clock: FixedClock
) -> None:
    with pytest.raises(NoSuchBackend, match=r"'srun'.*embedded"):
        build("srun", database=any_database, clock=clock)


def test_a_demo_may_be_seeded_twice(any_database: Database, clock: FixedClock) -> None:
    billing = build("embedded", database=any_database, clock=clock)
    seed_demo(any_database, DEMO, now=clock())
    once = (billing.balance("2400101001"), billing.usage("2400101001"), billing.catalogue())
    seed_demo(any_database, DEMO, now=clock())
    assert (billing.balance("2400101001"), billing.usage("2400101001"), billing.catalogue()) == once


def test_opening_money_goes_through_the_ledger(any_database: Database, clock: FixedClock) -> None:
    seed_demo(any_database, DEMO, now=clock())
    with any_database.reading() as session:
        assert session.scalar(select(func.sum(Posting.amount_fen))) == 0
        held = select(func.sum(Posting.amount_fen)).where(Posting.book == "account:2400101001")
        assert session.scalar(held) == 1234


def test_traffic_of_this_month_comes_off_the_grant_and_older_traffic_does_not(
    any_database: Database, clock: FixedClock
) -> None:
    # The eleventh day back from 10 March is 28 February.
    seed_demo(any_database, DEMO, now=clock())
    billing = build("embedded", database=any_database, clock=clock)
    assert billing.balance("2400101001").lots[0].used_bytes == 6 * 10**9
    assert sum(day.used_bytes for day in billing.usage("2400101001")) == 10 * 10**9


def test_a_demo_can_be_seeded_in_the_first_minute_of_a_month(any_database: Database) -> None:
    clock = FixedClock(datetime(2026, 2, 28, 16, 0, tzinfo=UTC))
    seed_demo(any_database, DEMO, now=clock())
    billing = build("embedded", database=any_database, clock=clock)
    assert billing.balance("2400101001").lots[0].used_bytes == 10**9


def test_the_published_packages_come_without_any_invented_grant(any_database: Database) -> None:
    seed_published(any_database)
    with any_database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Package)) == 4
        assert session.scalar(select(func.count()).select_from(GrantPolicy)) == 0


def test_seeding_again_keeps_what_the_operator_changed(any_database: Database) -> None:
    seed_published(any_database)
    with any_database.transaction() as session:
        session.execute(update(Package).where(Package.code == "P05").values(price_fen=600))
    seed_published(any_database)
    with any_database.reading() as session:
        assert session.get_one(Package, "P05").price_fen == 600
