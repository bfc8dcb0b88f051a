from __future__ import annotations

import threading
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event, func, select, text

from billing.embedded import accounts, ledger, usage
from billing.embedded.engine import EmbeddedBilling
from billing.embedded.ledger import CreditEntry
from billing.embedded.seed import seed_grant_policy
from billing.interface import CreditOutcome, DayUsage
from models.db.engine import Database
from models.errors import NoSuchAccount, Unavailable, Unknown
from models.ledger import Entry
from models.package import LotKind, Package, TrafficLot
from tests.billing.fixed_clock import FixedClock

LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)
GB = 10**9


def set_policy(database: Database, **values: Any) -> None:
    with database.transaction() as session:
        seed_grant_policy(session, **{"effective_from": LONG_AGO, "quota_bytes": 30 * GB, **values})


def test_two_credits_with_one_key_past_the_first_look_meet_at_the_unique_key(
    postgres_database: Database, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Both transactions look before either writes: only the database's own wall is left.
    with postgres_database.transaction() as session:
        accounts.open_account(session, account_no="A1", name="李", kind="staff", now=clock())
    billing = EmbeddedBilling(postgres_database, clock)
    both_looked = threading.Barrier(2)
    looked = threading.local()
    find = ledger.find_credit

    def find_and_wait(session: Any, key: str) -> CreditEntry | None:
        known = find(session, key)
        if not getattr(looked, "once", False):
            looked.once = True
            both_looked.wait(timeout=10)
        return known

    monkeypatch.setattr(ledger, "find_credit", find_and_wait)
    outcomes: list[CreditOutcome] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(billing.credit("A1", 500, key="C1").outcome))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == [CreditOutcome.ALREADY_APPLIED, CreditOutcome.APPLIED]
    assert billing.balance("A1").balance_fen == 500


def test_a_closed_account_takes_no_money_but_shows_what_it_has(
    billing: EmbeddedBilling, any_database: Database
) -> None:
    set_policy(any_database)
    first = billing.credit("A1", 500, key="C1")
    with any_database.transaction() as session:
        accounts.close_account(session, "A1")
    with pytest.raises(NoSuchAccount):
        billing.find_account("A1")
    with pytest.raises(NoSuchAccount):
        billing.credit("A1", 500, key="C2")
    assert billing.credit("A1", 500, key="C1").balance_fen == first.balance_fen
    assert (billing.balance("A1").balance_fen, billing.balance("A1").lots) == (500, ())


def test_traffic_comes_off_the_grant_then_off_the_package_then_runs_slow(
    billing: EmbeddedBilling, any_database: Database, clock: FixedClock
) -> None:
    set_policy(any_database)
    billing.balance("A1")
    with any_database.transaction() as session:
        session.add(
            Package(
                code="P05",
                name="5元不限量套餐",
                price_fen=500,
                quota_bytes=8 * GB,
                validity_months=1,
                sale_from=LONG_AGO,
            )
        )
        session.flush()  # the lot refers to the package
        session.add(
            TrafficLot(
                account_no="A1",
                kind=LotKind.PACKAGE,
                package_code="P05",
                total_bytes=8 * GB,
                starts_at=clock(),
                ends_at=clock() + timedelta(days=3),
            )
        )
    with any_database.transaction() as session:
        assert usage.record_usage(session, "A1", 33 * GB, clock()) == 0
    balance = billing.balance("A1")
    assert [(lot.name, lot.left_bytes) for lot in balance.lots] == [
        ("本月免费流量（示例）", 0),
        ("5元不限量套餐", 5 * GB),
    ]
    assert balance.package == balance.lots[1]
    assert not balance.throttled
    with any_database.transaction() as session:
        assert usage.record_usage(session, "A1", 9 * GB, clock()) == 4 * GB
    assert billing.balance("A1").throttled
    assert billing.usage("A1") == [DayUsage(date(2026, 3, 10), 42 * GB, 4 * GB, 0, 42 * GB)]


def test_specials_are_listed_first_and_only_while_on_sale(
    billing: EmbeddedBilling, any_database: Database, clock: FixedClock
) -> None:
    def package(code: str, price_fen: int, *, special: bool, since: int, until: int | None) -> Package:
        return Package(
            code=code,
            name=code,
            price_fen=price_fen,
            quota_bytes=GB,
            validity_months=1,
            special=special,
            sale_from=clock() + timedelta(hours=since),
            sale_until=None if until is None else clock() + timedelta(hours=until),
        )

    with any_database.transaction() as session:
        session.add_all(
            [
                package("dear", 3000, special=False, since=-9, until=None),
                package("cheap", 500, special=False, since=-9, until=None),
                package("special", 2000, special=True, since=0, until=5),
                package("ended", 100, special=True, since=-9, until=0),
                package("future", 100, special=True, since=1, until=5),
            ]
        )
    assert [offer.code for offer in billing.catalogue()] == ["special", "cheap", "dear"]


@pytest.mark.parametrize("key", ["", "k" * 65])
def test_a_key_that_cannot_be_stored_is_a_bug_of_the_caller(billing: EmbeddedBilling, key: str) -> None:
    with pytest.raises(ValueError, match="key"):
        billing.credit("A1", 500, key=key)


def test_a_database_that_is_gone_is_unavailable_for_questions_and_unknown_for_credits(
    tmp_path: Path, clock: FixedClock
) -> None:
    database = Database(f"sqlite:///{tmp_path / 'no such folder' / 'x.db'}")
    billing = EmbeddedBilling(database, clock)
    with pytest.raises(Unavailable):
        billing.balance("A1")
    with pytest.raises(Unavailable):
        billing.find_credit("A1", "C1")
    with pytest.raises(Unknown):
        billing.credit("A1", 500, key="C1")


def test_a_line_that_breaks_at_the_commit_leaves_a_credit_that_can_be_asked_about(
    postgres_database: Database, clock: FixedClock
) -> None:
    with postgres_database.transaction() as session:
        accounts.open_account(session, account_no="A1", name="李", kind="staff", now=clock())
    billing = EmbeddedBilling(postgres_database, clock)

    def break_line(_connection: Any) -> None:
        # Only of this database: the server serves other tests, too.
        own = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE state = 'idle in transaction' AND datname = current_database()"
        )
        other = Database(postgres_database.url)
        with other.engine.begin() as connection:
            connection.execute(text(own))
        other.dispose()

    event.listen(postgres_database.engine, "commit", break_line)
    with pytest.raises(Unknown):
        billing.credit("A1", 500, key="C1")
    event.remove(postgres_database.engine, "commit", break_line)
    assert billing.find_credit("A1", "C1") is None
    assert billing.credit("A1", 500, key="C1").outcome is CreditOutcome.APPLIED
    with postgres_database.reading() as session:
        assert session.scalar(select(func.count()).select_from(Entry)) == 1
