from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError

from billing.embedded import ledger
from billing.embedded.accounts import open_account
from billing.embedded.engine import EmbeddedBilling
from billing.embedded.ledger import CLEARING, Leg, book_of
from models.db.engine import Database
from models.errors import BalanceTooLow, NoSuchAccount, Refused
from models.ledger import Account, Entry, Posting
from tests.billing.fixed_clock import FixedClock

fresh = itertools.count()


def rows(database: Database) -> list[tuple[object, ...]]:
    query = select(Entry.id, Entry.key, Entry.at, Posting.id, Posting.book, Posting.amount_fen).join(
        Posting, Posting.entry_id == Entry.id
    )
    with database.reading() as session:
        return [tuple(row) for row in session.execute(query.order_by(Posting.id))]


@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    # One database serves all examples; each uses accounts and keys of its own.
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["A", "B", "nobody"]), st.integers(-1, 3), st.integers(0, 4)), max_size=12
    )
)
def test_any_sequence_of_credits_keeps_the_books(
    any_database: Database, clock: FixedClock, steps: list[tuple[str, int, int]]
) -> None:
    run = next(fresh)
    with any_database.transaction() as session:
        for name in ("A", "B"):
            open_account(session, account_no=f"{name}{run}", name=name, kind="staff", now=clock())
    billing = EmbeddedBilling(any_database, clock)
    model: dict[str, tuple[str, int]] = {}
    before = rows(any_database)
    for name, amount_fen, key_number in steps:
        account_no, key = f"{name}{run}", f"K{run}-{key_number}"
        wanted = (account_no, amount_fen)
        acceptable = name != "nobody" and amount_fen > 0 and model.get(key, wanted) == wanted
        try:
            billing.credit(account_no, amount_fen, key=key)
        except Refused:
            assert not acceptable
        else:
            assert acceptable
            model[key] = wanted
        after = rows(any_database)
        assert after[: len(before)] == before
        before = after
    expected = {f"{name}{run}": 0 for name in ("A", "B")}
    for account_no, amount_fen in model.values():
        expected[account_no] += amount_fen
    with any_database.reading() as session:
        assert session.scalar(select(func.coalesce(func.sum(Posting.amount_fen), 0))) == 0
        for account_no, balance_fen in expected.items():
            assert session.get_one(Account, account_no).balance_fen == balance_fen
        assert ledger.wrong_balances(session) == []


@pytest.mark.parametrize("legs", [(), (Leg("a", 5),), (Leg("a", 5), Leg("b", -4))])
def test_legs_that_do_not_sum_to_zero_are_a_bug(
    any_database: Database, clock: FixedClock, legs: tuple[Leg, ...]
) -> None:
    with pytest.raises(ValueError, match="zero"), any_database.transaction() as session:
        ledger.post(session, key="k", kind="x", legs=legs, at=clock())


def test_a_key_is_used_once(any_database: Database, clock: FixedClock) -> None:
    legs = (Leg("a", 5), Leg("b", -5))
    with any_database.transaction() as session:
        ledger.post(session, key="k", kind="x", legs=legs, at=clock())
    with pytest.raises(IntegrityError), any_database.transaction() as session:
        ledger.post(session, key="k", kind="x", legs=legs, at=clock())
    assert len(rows(any_database)) == 2


def test_nothing_can_be_taken_that_is_not_there(
    billing: EmbeddedBilling, any_database: Database, clock: FixedClock
) -> None:
    billing.credit("A1", 500, key="C1")
    legs = (Leg(book_of("A1"), -501), Leg("income:packages", 501))
    with pytest.raises(BalanceTooLow), any_database.transaction() as session:
        ledger.post(session, key="X1", kind=ledger.EXCHANGE, legs=legs, at=clock())
    assert billing.balance("A1").balance_fen == 500
    assert len(rows(any_database)) == 2


def test_money_for_an_account_that_is_not_there_is_refused(any_database: Database, clock: FixedClock) -> None:
    legs = (Leg(book_of("nobody"), 5), Leg(CLEARING, -5))
    with pytest.raises(NoSuchAccount), any_database.transaction() as session:
        ledger.post(session, key="k", kind="x", legs=legs, at=clock())
    assert rows(any_database) == []


def test_money_moves_between_accounts_in_one_entry(
    billing: EmbeddedBilling, any_database: Database, clock: FixedClock
) -> None:
    billing.credit("A1", 500, key="C1")
    legs = (Leg(book_of("A1"), -200), Leg(book_of("A2"), 200))
    with any_database.transaction() as session:
        assert ledger.post(session, key="T1", kind="transfer", legs=legs, at=clock()) == {
            "A1": 300,
            "A2": 200,
        }
        assert ledger.wrong_balances(session) == []


def test_a_tampered_balance_is_found(billing: EmbeddedBilling, any_database: Database) -> None:
    billing.credit("A1", 500, key="C1")
    with any_database.transaction() as session:
        session.execute(text("UPDATE account SET balance_fen = 900 WHERE account_no = 'A1'"))
    with any_database.reading() as session:
        assert ledger.wrong_balances(session) == ["A1"]


def test_keys_of_credits_and_other_entries_never_meet(
    billing: EmbeddedBilling, any_database: Database, clock: FixedClock
) -> None:
    with any_database.transaction() as session:
        ledger.post(session, key="K", kind="x", legs=(Leg(book_of("A1"), 5), Leg("b", -5)), at=clock())
    assert billing.find_credit("A1", "K") is None
    assert billing.credit("A1", 500, key="K").balance_fen == 505
