"""Reversals in the embedded engine: entries of their own, never below zero, also on a closed account."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from billing.embedded import accounts, ledger
from billing.embedded.engine import EmbeddedBilling
from billing.embedded.ledger import wrong_balances
from models.db.engine import Database
from models.errors import BalanceTooLow, Unavailable, Unknown
from models.ledger import Entry, Posting
from tests.billing.fixed_clock import FixedClock


def test_a_reversal_names_the_entry_it_corrects(billing: EmbeddedBilling, any_database: Database) -> None:
    billing.credit("A1", 500, key="C1")
    billing.reverse("A1", 200, key="V1", credit_key="C1")
    with any_database.reading() as session:
        credit, reversal = session.scalars(select(Entry).order_by(Entry.id)).all()
        legs = session.execute(
            select(Posting.book, Posting.amount_fen).where(Posting.entry_id == reversal.id)
        )
        assert {tuple(leg) for leg in legs} == {("account:A1", -200), (ledger.CLEARING, 200)}
        assert wrong_balances(session) == []
    assert (reversal.corrects, reversal.kind, reversal.key) == (credit.id, "reversal", "reversal:V1")


def test_spent_money_cannot_be_reversed(
    billing: EmbeddedBilling, any_database: Database, clock: FixedClock
) -> None:
    billing.credit("A1", 500, key="C1")
    with any_database.transaction() as session:
        legs = (ledger.Leg(ledger.book_of("A1"), -301), ledger.Leg("income:packages", 301))
        ledger.post(session, key="bought", kind=ledger.EXCHANGE, legs=legs, at=clock())
    with pytest.raises(BalanceTooLow):
        billing.reverse("A1", 200, key="V1", credit_key="C1")
    assert billing.find_reversal("A1", "V1") is None
    assert billing.balance("A1").balance_fen == 199


def test_a_closed_account_still_gives_a_credit_back(billing: EmbeddedBilling, any_database: Database) -> None:
    billing.credit("A1", 500, key="C1")
    with any_database.transaction() as session:
        accounts.close_account(session, "A1")
    assert billing.reverse("A1", 500, key="V1", credit_key="C1").balance_fen == 0


def test_a_database_that_is_gone_leaves_a_doubt_and_cannot_be_asked(clock: FixedClock) -> None:
    nowhere = EmbeddedBilling(Database("sqlite:////nowhere/campusnet.db"), clock)
    with pytest.raises(Unknown):
        nowhere.reverse("A1", 500, key="V1", credit_key="C1")
    with pytest.raises(Unavailable):
        nowhere.find_reversal("A1", "V1")
