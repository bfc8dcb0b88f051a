from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from billing.embedded import accounts, catalogue, exchange, grants, ledger, seed
from billing.embedded.engine import EmbeddedBilling
from billing.interface import ExchangeReceipt
from models.db.engine import Database
from models.errors import PackageStillRunning, SoldOut
from models.ledger import Account
from models.package import Package, Purchase, TrafficLot
from tests.races.meeting import PATIENCE_S, Meeting, together

NOW = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
GB = 10**9
BUYERS = [f"24001{number:05d}" for number in range(100)]
STOCK = 10


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def wide_database(request: pytest.FixtureRequest) -> Iterator[Database]:
    """A database that a hundred may be connected to at once."""
    name = {"sqlite": "sqlite_database", "postgresql": "postgres_database"}[request.param]
    made: Database = request.getfixturevalue(name)
    wide = Database(made.url, pool_size=len(BUYERS))
    yield wide
    wide.dispose()


def shop(database: Database) -> EmbeddedBilling:
    """A hundred accounts with 10 yuan each, and ten specials of 5 yuan."""
    with database.transaction() as session:
        for account_no in BUYERS:
            accounts.open_account(session, account_no=account_no, name="李", kind="undergraduate", now=NOW)
            ledger.post_credit(session, key=account_no, account_no=account_no, amount_fen=1000, at=NOW)
        session.add(
            Package(
                code="S1",
                name="开学季",
                price_fen=500,
                quota_bytes=50 * GB,
                validity_months=1,
                special=True,
                sale_from=NOW,
                stock_left=STOCK,
            )
        )
    return EmbeddedBilling(database, lambda: NOW)


def everybody_buys(billing: EmbeddedBilling, buyers: Sequence[str] = BUYERS) -> list[object]:
    start = threading.Barrier(len(buyers))

    def buyer(account_no: str) -> Callable[[], ExchangeReceipt]:
        def buy() -> ExchangeReceipt:
            start.wait(PATIENCE_S)
            return billing.exchange(account_no, "S1", key=f"X{account_no}", price_fen=500)

        return buy

    return together(*(buyer(account_no) for account_no in buyers))


def books(database: Database) -> tuple[int, int, int, int]:
    """Purchases, bought lots, fen earned, fen left on all accounts."""
    with database.reading() as session:
        return (
            session.execute(select(func.count()).select_from(Purchase)).scalar_one(),
            session.execute(select(func.count()).select_from(TrafficLot)).scalar_one(),
            ledger.book_sum(session, exchange.INCOME),
            int(session.execute(select(func.sum(Account.balance_fen))).scalar_one()),
        )


def test_a_hundred_buyers_get_exactly_the_ten_specials_there_are(wide_database: Database) -> None:
    results = everybody_buys(shop(wide_database))
    sold = [result for result in results if isinstance(result, ExchangeReceipt)]
    refused = [result for result in results if isinstance(result, SoldOut)]
    assert (len(sold), len(refused)) == (STOCK, len(BUYERS) - STOCK)
    assert books(wide_database) == (STOCK, STOCK, 500 * STOCK, 1000 * len(BUYERS) - 500 * STOCK)
    with wide_database.reading() as session:
        assert session.scalar(select(Package.stock_left)) == 0


def test_control_without_the_guard_more_are_sold_than_there_are(
    wide_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    buyers = BUYERS[: 2 * STOCK]
    many = threading.Barrier(len(buyers))

    def read_then_write(session: Session, package: Package, _now: datetime) -> None:
        # SQLite lets one in at a time, so that even this would be right there: it forgets to write.
        if wide_database.dialect == "postgresql":
            stock_left = package.stock_left or 0
            many.wait(PATIENCE_S)
            values: dict[str, Any] = {"stock_left": stock_left - 1}
            session.execute(update(Package).where(Package.code == package.code).values(values))

    billing = shop(wide_database)
    monkeypatch.setattr(catalogue, "take_one", read_then_write)
    everybody_buys(billing, buyers)
    assert books(wide_database)[0] > STOCK


def running_out(database: Database) -> EmbeddedBilling:
    """The first buyer has a package with 3 GB left."""
    with database.transaction() as session:
        seed.seed_catalogue(session)
        accounts.open_account(session, account_no=BUYERS[0], name="李", kind="undergraduate", now=NOW)
        ledger.post_credit(session, key="C1", account_no=BUYERS[0], amount_fen=1000, at=NOW)
        seed.seed_grant_policy(session)
    billing = EmbeddedBilling(database, lambda: NOW)
    billing.exchange(BUYERS[0], "P05", key="X1", price_fen=500)
    with database.transaction() as session:
        session.execute(update(TrafficLot).values(used_bytes=5 * GB))
    return billing


def count_traffic(database: Database, used_bytes: int, taken: Callable[[], None]) -> None:
    """As traffic is counted: take it from the lot, open what is missing, commit late."""
    with database.transaction() as session:
        session.execute(update(TrafficLot).values(used_bytes=TrafficLot.used_bytes + used_bytes))
        taken()
        policy = grants.policy_in_force(session, "undergraduate", NOW)
        assert policy is not None
        grants.open_grant(session, BUYERS[0], policy, NOW)


@pytest.mark.parametrize(("used_bytes", "swapped"), [(3 * GB, True), (3 * GB - 1, False)])
def test_a_purchase_sees_the_last_bytes_that_are_being_counted(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch, used_bytes: int, *, swapped: bool
) -> None:
    billing = running_out(postgres_database)
    counted, bought = traffic_and_purchase(billing, postgres_database, monkeypatch, used_bytes)
    assert counted is None
    assert isinstance(bought, ExchangeReceipt if swapped else PackageStillRunning), bought


def test_control_without_the_lock_a_purchase_is_refused_that_was_due(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    billing = running_out(postgres_database)
    monkeypatch.setattr(exchange, "_held", lambda query, **_: query)
    counted, bought = traffic_and_purchase(billing, postgres_database, monkeypatch, 3 * GB)
    assert counted is None
    assert isinstance(bought, PackageStillRunning), bought


def traffic_and_purchase(
    billing: EmbeddedBilling, database: Database, monkeypatch: pytest.MonkeyPatch, used_bytes: int
) -> list[object]:
    """The traffic is taken first; the purchase looks at the lot while that is not committed."""
    meeting, taken = Meeting(database), threading.Event()
    look = exchange._what_carries_over

    def look_and_meet(*args: Any) -> int:
        try:
            return look(*args)
        finally:
            meeting.here()

    def meet() -> None:
        taken.set()
        meeting.here()

    def buy() -> ExchangeReceipt:
        assert taken.wait(PATIENCE_S)
        return billing.exchange(BUYERS[0], "P05", key="X2", price_fen=500)

    monkeypatch.setattr(exchange, "_what_carries_over", look_and_meet)
    return together(lambda: count_traffic(database, used_bytes, meet), buy)
