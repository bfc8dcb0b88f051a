"""Accounts are found in any of their spellings; those that become equal are listed and left alone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, insert, text

from billing.embedded import accounts
from billing.embedded.accounting import Accounting
from billing.embedded.engine import EmbeddedBilling
from models.db.engine import Database
from models.errors import NoSuchAccount
from models.ledger import Account
from models.values.account_no import AccountRules
from tests.billing.fixed_clock import FixedClock
from tests.billing.network import Books, Nas

NOW = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
RULES = AccountRules()


def store(database: Database, *numbers: str) -> None:
    """Accounts as they may be stored: older ones under texts that are opened no more."""
    with database.transaction() as session:
        session.execute(
            insert(Account),
            [
                {"account_no": n, "name": f"户{n}", "kind": "staff", "department": "", "active": True,
                 "balance_fen": 0, "created_at": NOW}
                for n in numbers
            ],
        )  # fmt: skip


def billing(database: Database, rules: AccountRules = RULES) -> EmbeddedBilling:
    return EmbeddedBilling(database, FixedClock(NOW), rules)


@pytest.mark.parametrize("stored", ["T20080015", "t20080015"])
@pytest.mark.parametrize(
    "spelling",
    ["T20080015", "t20080015", "Ｔ２００８００１５", " t20080015\u200b", "T20080015@CMCC", "guet\\t20080015"],
)
def test_an_account_is_found_in_every_spelling(any_database: Database, stored: str, spelling: str) -> None:
    store(any_database, stored)
    found = billing(any_database)
    assert found.find_account(spelling).account_no == stored
    assert found.balance(spelling).account_no == stored
    assert found.name_matches(spelling, f"户{stored}")


def test_the_settings_are_obeyed(any_database: Database) -> None:
    store(any_database, "T1")
    strict = billing(any_database, AccountRules(ignore_case=False, realms=("@campus",)))
    assert strict.find_account("T1@campus").account_no == "T1"
    for spelling in ("t1", "T1@cmcc"):
        with pytest.raises(NoSuchAccount):
            strict.find_account(spelling)


def test_accounts_that_become_equal_are_listed_and_found_as_before(any_database: Database) -> None:
    store(any_database, "B1", "b1", "C1", "C1@cmcc", "D1", "E1@telecom", "x/y")
    with any_database.reading() as session:
        assert accounts.equal_accounts(session, RULES) == [("B1", "b1"), ("C1", "C1@cmcc")]
        assert accounts.equal_accounts(session, AccountRules(ignore_case=False, realms=())) == []
    found = billing(any_database)
    for number in ("B1", "b1", "C1", "C1@cmcc", "D1", "E1@telecom", "x/y"):
        assert found.find_account(number).account_no == number
    store(any_database, "Ab1", "aB1")
    for ambiguous in ("ab1", "AB1"):
        with pytest.raises(NoSuchAccount):
            found.find_account(ambiguous)


def test_traffic_under_a_realm_or_in_another_case_is_the_owners(any_database: Database) -> None:
    store(any_database, "T1")
    books = Books(any_database, Accounting(any_database, FixedClock(NOW)))
    names = ("T1", "t1", "T1@cmcc", "GUET\\t1", " T1 ", "T1\0")
    records = [Nas(NOW, account=name, session=f"s-{n}").stop(60, 10, 20) for n, name in enumerate(names)]
    assert books.take(*records) == ["counted"] * len(names)
    assert [sum(day[:2]) for day in books.days("T1").values()] == [30 * len(names)]
    # One session whose reports name the user differently is counted once.
    again = Nas(NOW, account="t1@telecom", session="s-0").stop(60, 10, 20)
    assert books.take(again) == ["known"]
    assert books.take(Nas(NOW, account="T1@elsewhere").stop(60, 1, 1)) == ["no_account"]


def test_a_lookup_in_another_case_uses_an_index(any_database: Database) -> None:
    explain = "EXPLAIN" if any_database.dialect == "postgresql" else "EXPLAIN QUERY PLAN"
    query = "SELECT account_no FROM account WHERE lower(account_no) IN ('a', 'b')"
    with any_database.transaction() as session:
        if any_database.dialect == "postgresql":
            session.execute(text("SET LOCAL enable_seqscan = off"))
        assert "ix_account_lower" in str(session.execute(text(f"{explain} {query}")).all())


NUMBERS = st.text("aAbB1", min_size=1, max_size=3)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=60)
@given(st.sets(NUMBERS, max_size=6), st.lists(NUMBERS, max_size=6), st.sampled_from(["", "@cmcc"]))
def test_any_spelling_is_one_account_or_none(
    sqlite_database: Database, stored: set[str], asked: Sequence[str], realm: str
) -> None:
    """An exact number is its account; another spelling is an account only where there is one to choose."""
    with sqlite_database.transaction() as session:
        session.execute(delete(Account))
    if stored:
        store(sqlite_database, *stored)
    with sqlite_database.reading() as session:
        resolved = accounts.resolve(session, [name + realm for name in asked], RULES)
    for name in asked:
        alike = [number for number in stored if number.lower() == name.lower()]
        expected = name if name in stored else (alike[0] if len(alike) == 1 else None)
        assert resolved.get(name + realm) == expected
