"""What every billing backend promises about calls in doubt: queries, closed keys, prepared identifiers."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from billing.interface import BillingBackend, CreditOutcome, CreditReceipt, ExchangeReceipt, MoneyCall
from models.errors import KeyClosed, Refused
from tests.contracts.subjects import LI, SUBJECTS_OF_CALLS, Factory, at_once

AMOUNT_FEN = 500
CREDIT_KEY = "C0"
ALL = sorted(MoneyCall)


@pytest.fixture(params=SUBJECTS_OF_CALLS)
def backend(request: pytest.FixtureRequest) -> BillingBackend:
    """A backend with a credit on LI's account that can be reversed."""
    factory: Factory = request.param
    made = factory(request).backend
    made.credit(LI.account_no, AMOUNT_FEN, key=CREDIT_KEY, ref=prepared(made, MoneyCall.CREDIT, CREDIT_KEY))
    return made


def prepared(backend: BillingBackend, call: MoneyCall, key: str) -> str | None:
    if not backend.capabilities().prepare:
        return None
    return backend.prepare(call, LI.account_no, AMOUNT_FEN, key=key)


def send(backend: BillingBackend, call: MoneyCall, key: str) -> CreditReceipt | ExchangeReceipt:
    """Make the call of this kind."""
    account_no, ref = LI.account_no, prepared(backend, call, key)
    match call:
        case MoneyCall.CREDIT:
            return backend.credit(account_no, AMOUNT_FEN, key=key, ref=ref)
        case MoneyCall.REVERSAL:
            return backend.reverse(account_no, AMOUNT_FEN, key=key, credit_key=CREDIT_KEY, ref=ref)
        case MoneyCall.WITHDRAWAL:
            return backend.withdraw(account_no, AMOUNT_FEN, key=key, ref=ref)
        case MoneyCall.EXCHANGE:
            offer = min(backend.catalogue(), key=lambda offer: offer.price_fen)
            return backend.exchange(account_no, offer.code, key=key, price_fen=offer.price_fen, ref=ref)


def find(backend: BillingBackend, call: MoneyCall, key: str) -> CreditReceipt | ExchangeReceipt | None:
    """Query the call of this kind."""
    queries: dict[MoneyCall, Callable[..., CreditReceipt | ExchangeReceipt | None]] = {
        MoneyCall.CREDIT: backend.find_credit,
        MoneyCall.REVERSAL: backend.find_reversal,
        MoneyCall.WITHDRAWAL: backend.find_withdrawal,
        MoneyCall.EXCHANGE: backend.find_exchange,
    }
    return queries[call](LI.account_no, key, ref=prepared(backend, call, key))


def balance_fen(backend: BillingBackend) -> int:
    return backend.balance(LI.account_no).balance_fen


@pytest.mark.parametrize("call", ALL)
def test_what_a_call_did_is_found_by_account_and_key(backend: BillingBackend, call: MoneyCall) -> None:
    assert backend.capabilities().can_find(call)
    assert find(backend, call, "K1") is None
    sent = send(backend, call, "K1")
    found = find(backend, call, "K1")
    assert found is not None
    assert (found.key, found.account_no) == ("K1", LI.account_no)
    assert (sent.outcome, found.outcome) == (CreditOutcome.APPLIED, CreditOutcome.ALREADY_APPLIED)


@pytest.mark.parametrize("call", ALL)
def test_a_repeated_call_of_an_idempotent_backend_changes_nothing(
    backend: BillingBackend, call: MoneyCall
) -> None:
    assert backend.capabilities().credit_is_idempotent
    send(backend, call, "K1")
    before = balance_fen(backend)
    assert send(backend, call, "K1").outcome is CreditOutcome.ALREADY_APPLIED
    assert balance_fen(backend) == before


@pytest.mark.parametrize("call", ALL)
def test_a_doubt_can_be_ended_by_closing_the_key_or_by_waiting(
    backend: BillingBackend, call: MoneyCall
) -> None:
    able, before = backend.capabilities(), balance_fen(backend)
    if not able.close_key:
        assert able.confirmation_window_s is not None
        return
    assert backend.close_key(call, LI.account_no, "K1")
    assert backend.close_key(call, LI.account_no, "K1"), "closing again changes nothing"
    with pytest.raises(KeyClosed):
        send(backend, call, "K1")
    assert find(backend, call, "K1") is None
    assert balance_fen(backend) == before
    # The next key, and the same key of another kind of call, are open.
    send(backend, call, "K2")
    assert find(backend, call, "K2") is not None
    for other in set(ALL) - {call}:
        assert find(backend, other, "K1") is None
        assert backend.close_key(other, LI.account_no, "K1")


@pytest.mark.parametrize("call", ALL)
def test_the_key_of_a_call_that_took_effect_cannot_be_closed(
    backend: BillingBackend, call: MoneyCall
) -> None:
    send(backend, call, "K1")
    if backend.capabilities().close_key:
        assert not backend.close_key(call, LI.account_no, "K1")
    assert find(backend, call, "K1") is not None
    assert send(backend, call, "K1").outcome is CreditOutcome.ALREADY_APPLIED


@pytest.mark.parametrize("call", ALL)
def test_of_a_call_and_closing_its_key_at_once_one_wins(backend: BillingBackend, call: MoneyCall) -> None:
    before = balance_fen(backend)

    def sent() -> bool | None:
        try:
            send(backend, call, "K1")
        except Refused:
            return None
        return True

    def closed() -> bool | None:
        return backend.close_key(call, LI.account_no, "K1") if backend.capabilities().close_key else None

    at_once([sent, closed] * 4)
    if find(backend, call, "K1") is None:
        assert backend.capabilities().close_key
        assert (sent(), balance_fen(backend)) == (None, before)
    else:
        assert not closed()
        assert abs(balance_fen(backend) - before) == AMOUNT_FEN


@pytest.mark.parametrize("call", ALL)
def test_a_prepared_identifier_stays_the_same_for_its_key(backend: BillingBackend, call: MoneyCall) -> None:
    if not backend.capabilities().prepare:
        return
    first, before = prepared(backend, call, "K1"), balance_fen(backend)
    assert first
    assert prepared(backend, call, "K1") == first
    assert prepared(backend, call, "K2") != first
    assert (find(backend, call, "K1"), balance_fen(backend)) == (None, before), "nothing else happens"
