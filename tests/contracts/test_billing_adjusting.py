"""What every billing backend promises of adjusting entries and closed accounts."""

from __future__ import annotations

import pytest

from billing.interface import BillingBackend, CreditOutcome, StatementKind
from models.errors import BalanceTooLow, NoSuchAccount, Refused
from tests.contracts.subjects import LI, NOBODY, WANG, at_once


def test_an_entry_counts_once_per_key_in_both_directions(backend: BillingBackend) -> None:
    assert backend.capabilities().adjust
    for amount_fen, balance_fen in ((300, 1534), (-500, 1034)):
        key = f"j{amount_fen}"
        first = backend.adjust(LI.account_no, amount_fen, key=key, memo="断网补偿")
        again = backend.adjust(LI.account_no, amount_fen, key=key, memo="断网补偿")
        assert (first.outcome, again.outcome) == (CreditOutcome.APPLIED, CreditOutcome.ALREADY_APPLIED)
        assert (first.amount_fen, first.balance_fen, again.amount_fen) == (
            amount_fen,
            balance_fen,
            amount_fen,
        )
        found = backend.find_adjustment(LI.account_no, key)
        assert found is not None
        assert (found.amount_fen, found.account_no) == (amount_fen, LI.account_no)
    line = backend.statement(LI.account_no)[0]
    assert (line.kind, line.amount_fen, line.memo) == (StatementKind.ADJUSTMENT, -500, "调账：断网补偿")
    assert backend.find_adjustment(LI.account_no, "j0") is None


def test_a_key_serves_one_entry_and_no_credit(backend: BillingBackend) -> None:
    backend.adjust(LI.account_no, 300, key="j1", memo="x")
    for account_no, amount_fen in ((LI.account_no, 301), (LI.account_no, -300), (WANG.account_no, 300)):
        with pytest.raises(Refused):
            backend.adjust(account_no, amount_fen, key="j1", memo="x")
    assert backend.find_credit(LI.account_no, "j1") is None
    assert backend.balance(LI.account_no).balance_fen == 1534


def test_an_entry_never_takes_more_than_there_is(backend: BillingBackend) -> None:
    with pytest.raises(BalanceTooLow):
        backend.adjust(LI.account_no, -1235, key="j1", memo="x")
    with pytest.raises(NoSuchAccount):
        backend.adjust(NOBODY, 100, key="j1", memo="x")
    for amount_fen in (0, 10**12):
        with pytest.raises(Refused):
            backend.adjust(LI.account_no, amount_fen, key="j1", memo="x")
    assert backend.find_adjustment(LI.account_no, "j1") is None


def test_the_same_entry_at_once_counts_once(backend: BillingBackend) -> None:
    done = at_once([lambda: backend.adjust(LI.account_no, 100, key="j1", memo="x")] * 4)
    assert {receipt.amount_fen for receipt in done} == {100}
    assert backend.balance(LI.account_no).balance_fen == 1334


def test_a_closed_account_takes_no_money_and_can_be_emptied(backend: BillingBackend) -> None:
    assert backend.capabilities().close_account
    for _ in range(2):
        backend.close_account(LI.account_no)
    with pytest.raises(NoSuchAccount):
        backend.close_account(NOBODY)
    for refused in (
        lambda: backend.credit(LI.account_no, 100, key="k1"),
        lambda: backend.adjust(LI.account_no, 100, key="k1", memo="x"),
        lambda: backend.find_account(LI.account_no),
    ):
        with pytest.raises(NoSuchAccount):
            refused()
    assert not backend.name_matches(LI.account_no, LI.name)
    assert backend.name_matches(LI.account_no, LI.name, closed=True)
    assert not backend.name_matches(LI.account_no, WANG.name, closed=True)
    assert not backend.name_matches(NOBODY, LI.name, closed=True)
    backend.withdraw(LI.account_no, 1000, key="w1")
    backend.adjust(LI.account_no, -234, key="j1", memo="x")
    assert backend.balance(LI.account_no).balance_fen == 0
