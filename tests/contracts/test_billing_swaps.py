"""What every billing back end that can swap balance for packages promises."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from billing.interface import BillingBackend, CreditOutcome, ExchangeReceipt, Offer, StatementKind
from models.errors import (
    BalanceTooLow,
    NoSuchAccount,
    PackageNotOffered,
    PackageStillRunning,
    PriceChanged,
    Refused,
)
from tests.contracts.subjects import LI, NOBODY, WANG, Subject, at_once


@pytest.fixture
def cheapest(backend: BillingBackend) -> Offer:
    """The cheapest package of a back end that can swap; LI can pay it twice."""
    if not backend.capabilities().exchange:
        pytest.skip("this back end cannot swap; pages lead to its own system")
    return min(backend.catalogue(), key=lambda offer: offer.price_fen)


def test_a_swap_takes_the_price_and_gives_the_traffic(backend: BillingBackend, cheapest: Offer) -> None:
    before = backend.balance(LI.account_no)
    seen = backend.preview_exchange(LI.account_no, cheapest.code)
    receipt = backend.exchange(LI.account_no, cheapest.code, key="X1", price_fen=cheapest.price_fen)
    after = backend.balance(LI.account_no)
    assert receipt.outcome is CreditOutcome.APPLIED
    assert (receipt.key, receipt.account_no, receipt.code) == ("X1", LI.account_no, cheapest.code)
    assert (receipt.package_name, receipt.price_fen) == (cheapest.name, cheapest.price_fen)
    assert receipt.quota_bytes == cheapest.quota_bytes
    assert receipt.balance_fen in (None, after.balance_fen)
    assert after.balance_fen == before.balance_fen - cheapest.price_fen
    assert after.left_bytes == before.left_bytes + cheapest.quota_bytes
    assert after.package is not None
    assert (after.package.starts_at, after.package.ends_at) == (receipt.starts_at, receipt.ends_at)
    assert (seen.offer.code, seen.balance_fen, seen.left_bytes) == (
        cheapest.code,
        before.balance_fen,
        before.left_bytes,
    )
    assert (seen.balance_after_fen, seen.left_after_bytes) == (after.balance_fen, after.left_bytes)
    assert (seen.starts_at, seen.ends_at) == (receipt.starts_at, receipt.ends_at)


def test_looking_at_a_swap_changes_nothing(backend: BillingBackend, cheapest: Offer) -> None:
    before = backend.balance(LI.account_no)
    backend.preview_exchange(LI.account_no, cheapest.code)
    assert backend.balance(LI.account_no) == before
    assert backend.exchange_log(LI.account_no) == []


def test_the_same_key_swaps_once_and_gets_the_first_receipt_again(subject: Subject, cheapest: Offer) -> None:
    backend = subject.backend
    first = backend.exchange(LI.account_no, cheapest.code, key="X1", price_fen=cheapest.price_fen)
    subject.clock.now += timedelta(hours=5)
    again = backend.exchange(LI.account_no, cheapest.code, key="X1", price_fen=cheapest.price_fen)
    assert again == replace(first, outcome=CreditOutcome.ALREADY_APPLIED)
    assert backend.find_exchange(LI.account_no, "X1") == again
    assert backend.find_exchange(LI.account_no, "X2") is None
    assert len(backend.exchange_log(LI.account_no)) == 1
    assert backend.balance(LI.account_no).balance_fen == LI.balance_fen - cheapest.price_fen


def test_a_known_swap_key_with_other_facts_is_refused(backend: BillingBackend, cheapest: Offer) -> None:
    backend.exchange(LI.account_no, cheapest.code, key="X1", price_fen=cheapest.price_fen)
    backend.credit(WANG.account_no, 10_000, key="C1")
    dear = max(backend.catalogue(), key=lambda offer: offer.price_fen)
    for account_no, offer in ((WANG.account_no, cheapest), (LI.account_no, dear)):
        with pytest.raises(Refused):
            backend.exchange(account_no, offer.code, key="X1", price_fen=offer.price_fen)
    assert backend.balance(WANG.account_no).balance_fen == 10_000
    assert len(backend.exchange_log(LI.account_no)) == 1


def test_the_next_package_waits_until_the_first_is_used_up(backend: BillingBackend, cheapest: Offer) -> None:
    backend.exchange(LI.account_no, cheapest.code, key="X1", price_fen=cheapest.price_fen)
    balance = backend.balance(LI.account_no)
    with pytest.raises(PackageStillRunning, match=r"还剩 8\.0 GB，有效期至 4月10日 12:00"):
        backend.preview_exchange(LI.account_no, cheapest.code)
    with pytest.raises(PackageStillRunning):
        backend.exchange(LI.account_no, cheapest.code, key="X2", price_fen=cheapest.price_fen)
    assert backend.find_exchange(LI.account_no, "X2") is None
    assert backend.balance(LI.account_no) == balance


def test_an_ended_package_makes_room_for_the_next(subject: Subject, cheapest: Offer) -> None:
    backend = subject.backend
    first = backend.exchange(LI.account_no, cheapest.code, key="X1", price_fen=cheapest.price_fen)
    subject.clock.now = first.ends_at
    backend.exchange(LI.account_no, cheapest.code, key="X2", price_fen=cheapest.price_fen)
    assert [record.at for record in backend.exchange_log(LI.account_no)] == [first.ends_at, first.starts_at]


def test_a_balance_that_is_too_low_says_how_much_is_missing(backend: BillingBackend, cheapest: Offer) -> None:
    backend.credit(WANG.account_no, cheapest.price_fen - 1, key="C1")
    for attempt in (
        lambda: backend.preview_exchange(WANG.account_no, cheapest.code),
        lambda: backend.exchange(WANG.account_no, cheapest.code, key="X1", price_fen=cheapest.price_fen),
    ):
        with pytest.raises(BalanceTooLow, match=r"还差 0\.01 元"):
            attempt()
    assert backend.balance(WANG.account_no).package is None


def test_a_price_that_is_not_the_price_now_is_refused(backend: BillingBackend, cheapest: Offer) -> None:
    for price_fen in (cheapest.price_fen - 1, cheapest.price_fen + 1, 0):
        with pytest.raises(PriceChanged, match=r"5\.00 元"):
            backend.exchange(LI.account_no, cheapest.code, key="X1", price_fen=price_fen)
    assert backend.balance(LI.account_no).balance_fen == LI.balance_fen


@pytest.mark.parametrize("code", ["", "P99", "p05", "\x00", "\ud800", "包", "P" * 5000, "P05' OR 1=1"])
def test_what_is_not_on_sale_cannot_be_swapped(backend: BillingBackend, cheapest: Offer, code: str) -> None:
    with pytest.raises(PackageNotOffered):
        backend.preview_exchange(LI.account_no, code)
    with pytest.raises(PackageNotOffered):
        backend.exchange(LI.account_no, code, key="X1", price_fen=cheapest.price_fen)


def test_nobody_can_swap_nothing(backend: BillingBackend, cheapest: Offer) -> None:
    with pytest.raises(NoSuchAccount):
        backend.preview_exchange(NOBODY, cheapest.code)
    with pytest.raises(NoSuchAccount):
        backend.exchange(NOBODY, cheapest.code, key="X1", price_fen=cheapest.price_fen)


def test_the_same_swap_from_eight_sides_at_once_is_done_once(
    backend: BillingBackend, cheapest: Offer
) -> None:
    receipts = at_once([_swap(backend, cheapest, "X1")] * 8)
    outcomes = [receipt.outcome for receipt in receipts if receipt is not None]
    assert outcomes.count(CreditOutcome.APPLIED) == 1
    assert outcomes.count(CreditOutcome.ALREADY_APPLIED) == 7
    assert backend.balance(LI.account_no).balance_fen == LI.balance_fen - cheapest.price_fen


def test_of_eight_swaps_at_once_one_is_done(backend: BillingBackend, cheapest: Offer) -> None:
    # Fails when the account's row is not held: two look at the same time, and both see no package.
    backend.credit(LI.account_no, 10_000, key="C1")
    receipts = at_once([_swap(backend, cheapest, f"X{number}") for number in range(8)])
    assert len([receipt for receipt in receipts if receipt is not None]) == 1
    assert len(backend.exchange_log(LI.account_no)) == 1
    assert backend.balance(LI.account_no).balance_fen == LI.balance_fen + 10_000 - cheapest.price_fen


def test_the_swap_log_is_read_page_by_page(subject: Subject, cheapest: Offer) -> None:
    backend, swaps = subject.backend, []
    backend.credit(LI.account_no, 10_000, key="C1")
    for number in range(5):
        swaps.append(
            backend.exchange(LI.account_no, cheapest.code, key=f"X{number}", price_fen=cheapest.price_fen)
        )
        subject.clock.now = swaps[-1].ends_at
    first = backend.exchange_log(LI.account_no, limit=3)
    rest = backend.exchange_log(LI.account_no, limit=3, before=first[-1].id)
    assert [(row.at, row.ends_at) for row in first + rest] == [
        (swap.starts_at, swap.ends_at) for swap in reversed(swaps)
    ]
    assert {(row.package_name, row.price_fen, row.quota_bytes) for row in first} == {
        (cheapest.name, cheapest.price_fen, cheapest.quota_bytes)
    }
    assert backend.exchange_log(WANG.account_no) == []


def test_the_statement_explains_the_balance_line_by_line(subject: Subject, cheapest: Offer) -> None:
    backend, order_no = subject.backend, "r20260310k3v9x0a1b2c"
    backend.credit(LI.account_no, 2000, key=f"c{order_no}")
    backend.exchange(LI.account_no, cheapest.code, key="X1", price_fen=cheapest.price_fen)
    backend.reverse(LI.account_no, 300, key="V1", credit_key=f"c{order_no}")
    first = backend.statement(LI.account_no, limit=2)
    rest = backend.statement(LI.account_no, limit=2, before=first[-1].id)
    assert [(line.kind, line.amount_fen, line.order_no) for line in first + rest] == [
        (StatementKind.REVERSAL, -300, None),
        (StatementKind.EXCHANGE, -500, None),
        (StatementKind.CREDIT, 2000, order_no),
        (StatementKind.OPENING, LI.balance_fen, None),
    ]
    assert [line.balance_after_fen for line in first + rest] == [2434, 2734, 3234, 1234]
    assert first[1].memo == "换购套餐：5元不限量套餐"
    assert backend.statement(LI.account_no, before=rest[-1].id) == []
    assert backend.statement(NOBODY) == []


def test_money_that_was_paid_out_stands_in_the_statement(subject: Subject) -> None:
    if not subject.backend.capabilities().withdraw:
        pytest.skip("this back end pays nothing out")
    subject.backend.withdraw(LI.account_no, 234, key="W1")
    line = subject.backend.statement(LI.account_no)[0]
    assert (line.kind, line.amount_fen, line.memo) == (StatementKind.WITHDRAWAL, -234, "退费")


def _swap(backend: BillingBackend, offer: Offer, key: str) -> Callable[[], ExchangeReceipt | None]:
    def run() -> ExchangeReceipt | None:
        try:
            return backend.exchange(LI.account_no, offer.code, key=key, price_fen=offer.price_fen)
        except PackageStillRunning:
            return None

    return run
