from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError

from billing.embedded import rules, seed
from billing.embedded.consumption import counted_of
from billing.embedded.counters import Piece
from billing.embedded.engine import EmbeddedBilling
from billing.interface import ExchangeReceipt, SlowReason
from models.clock import CAMPUS_ZONE
from models.db.engine import Database
from models.errors import (
    NotForYou,
    PackageLimitReached,
    PackageNotOffered,
    PackageStillRunning,
    PriceChanged,
    Refused,
    SoldOut,
)
from models.package import Counted, LotKind, MonthRule, Package, TrafficLot, TrafficRule
from tests.billing.fixed_clock import FixedClock

GB = 10**9
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)


@pytest.fixture
def shop(billing: EmbeddedBilling, any_database: Database) -> EmbeddedBilling:
    """The published packages; A1 (undergraduate) and A2 (staff) have 100 yuan each, and no grant."""
    with any_database.transaction() as session:
        seed.seed_catalogue(session)
    for account_no in ("A1", "A2"):
        billing.credit(account_no, 10_000, key=account_no)
    return billing


def special(database: Database, clock: FixedClock, **values: Any) -> None:
    facts: dict[str, Any] = {
        "code": "S1",
        "name": "开学季",
        "price_fen": 990,
        "quota_bytes": 50 * GB,
        "validity_months": 1,
        "special": True,
        "sale_from": clock(),
        "sale_until": clock() + timedelta(days=2),
    }
    with database.transaction() as session:
        session.add(Package(**{**facts, **values}))


def buy(
    billing: EmbeddedBilling, account_no: str = "A1", code: str = "P05", key: str = "X1"
) -> ExchangeReceipt:
    price_fen = {"P05": 500, "P10": 1000, "S1": 990}[code]
    return billing.exchange(account_no, code, key=key, price_fen=price_fen)


def use_up(database: Database, left_bytes: int = 0) -> None:
    """Of everything that runs, so many bytes are left."""
    with database.transaction() as session:
        session.execute(
            update(TrafficLot)
            .where(TrafficLot.closed_at.is_(None))
            .values(used_bytes=TrafficLot.total_bytes - left_bytes)
        )


def set_rule(database: Database, clock: FixedClock, **values: Any) -> None:
    facts: dict[str, Any] = {
        "effective_from": clock(),
        "bytes_per_gb": GB,
        "month_rule": MonthRule.SAME_DAY,
        "counted": Counted.BOTH,
        "ended_is_used_up": True,
        "rest_carries_over": False,
    }
    with database.transaction() as session:
        session.add(TrafficRule(**{**facts, **values}))


@contextmanager
def refused(kind: type[Refused], billing: EmbeddedBilling) -> Iterator[None]:
    """Refused, and neither money nor traffic moved."""
    before = billing.balance("A1"), billing.exchange_log("A1"), billing.catalogue()
    with pytest.raises(kind):
        yield
    assert (billing.balance("A1"), billing.exchange_log("A1"), billing.catalogue()) == before


def test_when_a_package_is_used_up_the_next_may_be_bought_at_once(
    shop: EmbeddedBilling, any_database: Database
) -> None:
    buy(shop)
    use_up(any_database, left_bytes=1)
    with refused(PackageStillRunning, shop):
        buy(shop, key="X2")
    use_up(any_database)
    assert shop.balance("A1").slow_because == (SlowReason.NO_GRANT, SlowReason.PACKAGE_USED_UP)
    buy(shop, code="P10", key="X2")
    after = shop.balance("A1")
    assert after.package is not None
    assert (after.package.name, after.left_bytes, after.slow_because) == ("10元不限量套餐", 20 * GB, ())


def test_an_account_cannot_have_two_open_packages_whatever_a_program_does(
    shop: EmbeddedBilling, any_database: Database, clock: FixedClock
) -> None:
    buy(shop)
    with pytest.raises(IntegrityError), any_database.transaction() as session:
        session.add(
            TrafficLot(
                account_no="A1",
                kind=LotKind.SPECIAL,
                total_bytes=GB,
                starts_at=clock(),
                ends_at=clock() + timedelta(days=1),
            )
        )


def test_a_special_is_sold_in_its_window_only(
    shop: EmbeddedBilling, any_database: Database, clock: FixedClock
) -> None:
    special(any_database, clock, sale_from=clock() + timedelta(hours=1))
    with refused(PackageNotOffered, shop):
        buy(shop, code="S1")
    clock.now += timedelta(days=2)
    with refused(PackageNotOffered, shop):
        buy(shop, code="S1")
    clock.now -= timedelta(microseconds=1)
    assert buy(shop, code="S1").quota_bytes == 50 * GB


@pytest.mark.parametrize(
    "audience",
    [
        {"for_kinds": ["undergraduate"]},
        {"for_departments": ["计算机"]},
        {"for_kinds": [], "for_departments": None},
    ],
)
def test_a_special_for_others_is_refused(
    shop: EmbeddedBilling, any_database: Database, clock: FixedClock, audience: dict[str, Any]
) -> None:
    special(any_database, clock, **audience)
    with refused(NotForYou, shop):
        shop.preview_exchange("A2", "S1")
    with refused(NotForYou, shop):
        buy(shop, "A2", code="S1")
    assert "S1" not in [offer.code for offer in shop.catalogue("A2")]


def test_a_special_is_offered_and_sold_to_its_audience(
    shop: EmbeddedBilling, any_database: Database, clock: FixedClock
) -> None:
    special(any_database, clock, for_kinds=["undergraduate"], for_departments=[""])
    assert shop.catalogue("A1")[0].code == "S1"
    assert buy(shop, code="S1").code == "S1"


@pytest.mark.parametrize("nobody", [None, "", "A9", "9" * 5000])
def test_nobody_in_particular_is_offered_what_is_for_everybody(
    shop: EmbeddedBilling, any_database: Database, clock: FixedClock, nobody: str | None
) -> None:
    special(any_database, clock)
    assert shop.catalogue(nobody)[0].code == "S1"
    with any_database.transaction() as session:
        session.execute(update(Package).where(Package.code == "S1").values(for_kinds=["undergraduate"]))
    assert [offer.code for offer in shop.catalogue(nobody)] == ["P05", "P10", "P20", "P30"]


def test_a_limit_for_each_holds_over_time(
    shop: EmbeddedBilling, any_database: Database, clock: FixedClock
) -> None:
    special(any_database, clock, limit_each=2, sale_until=None)
    for key in ("X1", "X2"):
        buy(shop, code="S1", key=key)
        use_up(any_database)
    with refused(PackageLimitReached, shop):
        buy(shop, code="S1", key="X3")
    assert buy(shop, "A2", code="S1", key="X4").code == "S1"
    assert buy(shop, code="P05", key="X5").code == "P05"


def test_a_special_that_is_gone_stays_listed_and_is_refused(
    shop: EmbeddedBilling, any_database: Database, clock: FixedClock
) -> None:
    special(any_database, clock, stock_left=1, limit_each=1)
    buy(shop, "A2", code="S1")
    assert [(offer.stock_left, offer.limit_each) for offer in shop.catalogue()][:2] == [(0, 1), (None, None)]
    with refused(SoldOut, shop):
        shop.preview_exchange("A1", "S1")
    with refused(SoldOut, shop):
        buy(shop, code="S1", key="X2")


def test_a_refused_purchase_gives_its_piece_back(
    shop: EmbeddedBilling, any_database: Database, clock: FixedClock
) -> None:
    special(any_database, clock, stock_left=1)
    buy(shop)
    with refused(PackageStillRunning, shop):
        buy(shop, code="S1", key="X2")
    assert buy(shop, "A2", code="S1", key="X3").code == "S1"


def test_the_price_of_the_moment_is_what_is_paid_and_kept(
    shop: EmbeddedBilling, any_database: Database
) -> None:
    first = buy(shop)
    with any_database.transaction() as session:
        session.execute(update(Package).where(Package.code == "P05").values(price_fen=600, name="新名称"))
    use_up(any_database)
    with refused(PriceChanged, shop):
        buy(shop, key="X2")
    assert shop.exchange("A1", "P05", key="X2", price_fen=600).balance_fen == 10_000 - 500 - 600
    assert [(row.package_name, row.price_fen) for row in shop.exchange_log("A1")] == [
        ("新名称", 600),
        (first.package_name, 500),
    ]


def test_purchases_and_rules_cannot_be_changed(shop: EmbeddedBilling, any_database: Database) -> None:
    buy(shop)
    for statement in ("UPDATE purchase SET price_fen = 1", "DELETE FROM traffic_rule"):
        with pytest.raises(IntegrityError, match="append-only"), any_database.engine.begin() as connection:
            connection.exec_driver_sql(statement)


def test_the_size_of_a_gigabyte_is_that_of_the_day_of_purchase(
    shop: EmbeddedBilling, any_database: Database, clock: FixedClock
) -> None:
    set_rule(any_database, clock, bytes_per_gb=2**30, effective_from=clock() + timedelta(days=1))
    assert buy(shop).quota_bytes == 8 * 10**9
    clock.now += timedelta(days=1)
    assert shop.balance("A1").left_bytes == 8 * 10**9
    assert {offer.code: offer.quota_bytes for offer in shop.catalogue()}["P05"] == 8 * 2**30
    assert buy(shop, "A2", key="X2").quota_bytes == 8 * 2**30


def test_a_month_is_what_the_rule_of_the_day_says(
    shop: EmbeddedBilling, any_database: Database, clock: FixedClock
) -> None:
    clock.now = datetime(2026, 1, 31, 23, 59, tzinfo=CAMPUS_ZONE).astimezone(UTC)
    assert buy(shop).ends_at == datetime(2026, 2, 28, 23, 59, tzinfo=CAMPUS_ZONE)
    set_rule(any_database, clock, month_rule=MonthRule.CALENDAR)
    assert buy(shop, "A2", key="X2").ends_at == datetime(2026, 2, 1, tzinfo=CAMPUS_ZONE)


def test_where_ended_is_not_used_up_a_rest_blocks_the_next_package(
    shop: EmbeddedBilling, any_database: Database, clock: FixedClock
) -> None:
    set_rule(any_database, clock, ended_is_used_up=False)
    first = buy(shop)
    # The rule of the purchase decides, not that of today.
    clock.now += timedelta(days=1)
    set_rule(any_database, clock)
    clock.now = first.ends_at
    with pytest.raises(PackageStillRunning, match="到期，但还剩"):
        buy(shop, key="X2")
    use_up(any_database)
    assert buy(shop, key="X2").outcome == "APPLIED"


def test_a_rest_goes_into_the_next_package_where_the_rule_says_so_and_only_once(
    shop: EmbeddedBilling, any_database: Database, clock: FixedClock
) -> None:
    set_rule(any_database, clock, rest_carries_over=True)
    first = buy(shop)
    use_up(any_database, left_bytes=3 * GB)
    clock.now = first.ends_at
    assert shop.balance("A1").slow_because == (SlowReason.NO_GRANT, SlowReason.PACKAGE_ENDED)
    seen = shop.preview_exchange("A1", "P05")
    second = buy(shop, key="X2")
    assert (second.quota_bytes, seen.left_after_bytes) == (8 * GB, 11 * GB)
    assert shop.balance("A1").left_bytes == 11 * GB
    with any_database.reading() as session:
        lots = session.execute(select(TrafficLot.total_bytes, TrafficLot.used_bytes).order_by(TrafficLot.id))
        # Nothing is left in the old one for traffic that is reported late.
        assert [tuple(row) for row in lots] == [(5 * GB, 5 * GB), (11 * GB, 0)]


def test_without_such_a_rule_a_rest_is_lost(shop: EmbeddedBilling, clock: FixedClock) -> None:
    clock.now = buy(shop).ends_at
    assert shop.preview_exchange("A1", "P05").left_after_bytes == 8 * GB
    buy(shop, key="X2")
    assert shop.balance("A1").left_bytes == 8 * GB


@pytest.mark.parametrize(("counted", "expected"), [(Counted.BOTH, 15), (Counted.DOWN, 10), (Counted.UP, 5)])
def test_the_rule_says_which_direction_counts(
    any_database: Database, clock: FixedClock, counted: Counted, expected: int
) -> None:
    set_rule(any_database, clock, counted=counted)
    with any_database.reading() as session:
        rule = rules.rule_in_force(session, clock())
        before = rules.rule_in_force(session, clock() - timedelta(microseconds=1))
    piece = Piece(clock().date(), clock(), up_bytes=5, down_bytes=10)
    assert counted_of(piece, Counted(rule.counted)) == expected
    assert counted_of(piece, Counted(before.counted)) == 15
