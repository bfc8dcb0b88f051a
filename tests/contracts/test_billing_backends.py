"""What every billing back end promises; a new one joins by adding one factory to `subjects.SUBJECTS`."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from billing.interface import BillingBackend, CreditOutcome, CreditReceipt
from models.errors import NoSuchAccount, Refused
from tests.contracts.subjects import LI, NOBODY, WANG, Subject, at_once


def test_a_stranger_sees_the_masked_name_only(backend: BillingBackend) -> None:
    found = backend.find_account(LI.account_no)
    assert (found.account_no, found.masked_name) == (LI.account_no, "*小明")


@pytest.mark.parametrize(
    "account_no", [NOBODY, "", "a' OR 1=1", "2400101001\x00", "\ud800", "明" * 8, "9" * 5000]
)
def test_what_is_no_account_is_refused_everywhere(backend: BillingBackend, account_no: str) -> None:
    with pytest.raises(NoSuchAccount):
        backend.find_account(account_no)
    with pytest.raises(NoSuchAccount):
        backend.balance(account_no)
    with pytest.raises(NoSuchAccount):
        backend.credit(account_no, 500, key="C1")
    assert backend.find_credit(LI.account_no, "C1") is None


def test_the_owner_sees_money_and_traffic_at_the_clock_s_time(subject: Subject) -> None:
    balance = subject.backend.balance(LI.account_no)
    assert (balance.account_no, balance.masked_name) == (LI.account_no, "*小明")
    assert balance.balance_fen == LI.balance_fen
    assert balance.as_of == subject.clock.now
    for lot in balance.lots:
        assert lot.starts_at <= balance.as_of < lot.ends_at
        assert 0 <= lot.used_bytes <= lot.total_bytes


def test_a_credit_raises_the_balance_by_its_amount(backend: BillingBackend) -> None:
    receipt = backend.credit(LI.account_no, 500, key="C1")
    assert receipt.outcome is CreditOutcome.APPLIED
    assert (receipt.key, receipt.account_no, receipt.amount_fen) == ("C1", LI.account_no, 500)
    assert receipt.balance_fen in (None, LI.balance_fen + 500)
    assert backend.balance(LI.account_no).balance_fen == LI.balance_fen + 500
    assert backend.balance(WANG.account_no).balance_fen == 0


def test_the_same_key_credits_once_and_gets_the_first_receipt_again(subject: Subject) -> None:
    backend = subject.backend
    first = backend.credit(LI.account_no, 500, key="C1")
    backend.credit(LI.account_no, 700, key="C2")
    subject.clock.now += timedelta(hours=5)
    again = backend.credit(LI.account_no, 500, key="C1")
    assert again.outcome is CreditOutcome.ALREADY_APPLIED
    assert (again.balance_fen, again.at) == (first.balance_fen, first.at)
    assert backend.balance(LI.account_no).balance_fen == LI.balance_fen + 1200


@pytest.mark.parametrize(("account_no", "amount_fen"), [(LI.account_no, 501), (WANG.account_no, 500)])
def test_a_known_key_with_other_facts_is_refused_and_changes_nothing(
    backend: BillingBackend, account_no: str, amount_fen: int
) -> None:
    backend.credit(LI.account_no, 500, key="C1")
    with pytest.raises(Refused):
        backend.credit(account_no, amount_fen, key="C1")
    assert backend.balance(LI.account_no).balance_fen == LI.balance_fen + 500
    assert backend.balance(WANG.account_no).balance_fen == 0


@pytest.mark.parametrize("amount_fen", [0, -1, -500, 10**30])
def test_an_amount_that_is_no_recharge_is_refused(backend: BillingBackend, amount_fen: int) -> None:
    with pytest.raises(Refused):
        backend.credit(LI.account_no, amount_fen, key="C1")
    assert backend.find_credit(LI.account_no, "C1") is None
    assert backend.balance(LI.account_no).balance_fen == LI.balance_fen


def test_a_credit_can_be_asked_about_by_its_key(backend: BillingBackend) -> None:
    if not backend.capabilities().find_credit:
        pytest.skip("this back end cannot be asked; unknown credits wait for a person")
    assert backend.find_credit(LI.account_no, "C1") is None
    given = backend.credit(LI.account_no, 500, key="C1")
    found = backend.find_credit(LI.account_no, "C1")
    assert found is not None
    assert (found.account_no, found.amount_fen, found.at) == (LI.account_no, 500, given.at)
    assert found.outcome is CreditOutcome.ALREADY_APPLIED


def test_the_same_credit_from_eight_sides_at_once_is_applied_once(backend: BillingBackend) -> None:
    receipts = at_once([lambda: backend.credit(LI.account_no, 500, key="C1")] * 8)
    outcomes = [receipt.outcome for receipt in receipts]
    assert outcomes.count(CreditOutcome.APPLIED) == 1
    assert outcomes.count(CreditOutcome.ALREADY_APPLIED) == 7
    assert backend.balance(LI.account_no).balance_fen == LI.balance_fen + 500


def test_different_credits_at_once_all_count(backend: BillingBackend) -> None:
    keys = [f"C{number}" for number in range(8)]
    receipts = at_once([_credit(backend, key) for key in keys])
    assert [receipt.outcome for receipt in receipts] == [CreditOutcome.APPLIED] * 8
    assert backend.balance(LI.account_no).balance_fen == LI.balance_fen + 8 * 500


@pytest.fixture
def reversing(backend: BillingBackend) -> BillingBackend:
    """A back end that can reverse, with a credit C1 of 500 fen on LI's account."""
    if not backend.capabilities().reverse:
        pytest.skip("this back end cannot reverse; refunds of credited orders wait for a person")
    backend.credit(LI.account_no, 500, key="C1")
    return backend


def test_a_reversal_takes_the_credit_off_the_account(reversing: BillingBackend) -> None:
    receipt = reversing.reverse(LI.account_no, 200, key="V1", credit_key="C1")
    assert receipt.outcome is CreditOutcome.APPLIED
    assert (receipt.key, receipt.account_no, receipt.amount_fen) == ("V1", LI.account_no, 200)
    assert receipt.balance_fen in (None, LI.balance_fen + 300)
    assert reversing.balance(LI.account_no).balance_fen == LI.balance_fen + 300


def test_the_same_reversal_key_reverses_once(reversing: BillingBackend) -> None:
    first = reversing.reverse(LI.account_no, 200, key="V1", credit_key="C1")
    again = reversing.reverse(LI.account_no, 200, key="V1", credit_key="C1")
    assert again.outcome is CreditOutcome.ALREADY_APPLIED
    assert (again.amount_fen, again.balance_fen, again.at) == (200, first.balance_fen, first.at)
    assert reversing.balance(LI.account_no).balance_fen == LI.balance_fen + 300


def test_a_reversal_can_be_asked_about_by_its_key(reversing: BillingBackend) -> None:
    assert reversing.find_reversal(LI.account_no, "V1") is None
    assert reversing.find_reversal(LI.account_no, "C1") is None, "a credit is no reversal"
    given = reversing.reverse(LI.account_no, 200, key="V1", credit_key="C1")
    found = reversing.find_reversal(LI.account_no, "V1")
    assert found is not None
    assert (found.account_no, found.amount_fen, found.at) == (LI.account_no, 200, given.at)
    assert reversing.find_credit(LI.account_no, "V1") is None, "a reversal is no credit"


@pytest.mark.parametrize(
    ("account_no", "amount_fen", "key", "credit_key"),
    [
        (LI.account_no, 200, "V2", "C9"),
        (WANG.account_no, 200, "V2", "C1"),
        (NOBODY, 200, "V2", "C1"),
        (LI.account_no, 501, "V2", "C1"),
        (LI.account_no, 301, "V2", "C1"),
        (LI.account_no, 0, "V2", "C1"),
        (LI.account_no, -1, "V2", "C1"),
        (LI.account_no, 201, "V1", "C1"),
        (WANG.account_no, 200, "V1", "C1"),
        (LI.account_no, 200, "V1", "C2"),
    ],
)
def test_a_reversal_that_fits_no_credit_is_refused_and_changes_nothing(
    reversing: BillingBackend, account_no: str, amount_fen: int, key: str, credit_key: str
) -> None:
    # 301 fen: together with V1 more than C1 ever gave, though the account holds enough.
    reversing.credit(LI.account_no, 700, key="C2")
    reversing.reverse(LI.account_no, 200, key="V1", credit_key="C1")
    with pytest.raises(Refused):
        reversing.reverse(account_no, amount_fen, key=key, credit_key=credit_key)
    assert reversing.find_reversal(LI.account_no, "V2") is None
    assert reversing.balance(LI.account_no).balance_fen == LI.balance_fen + 1000
    assert reversing.balance(WANG.account_no).balance_fen == 0


def test_money_that_was_spent_cannot_be_reversed(subject: Subject) -> None:
    backend = subject.backend
    if not backend.capabilities().reverse:
        pytest.skip("this back end cannot reverse")
    backend.credit(WANG.account_no, 500, key="C1")
    backend.credit(WANG.account_no, 300, key="C2")
    # The account is emptied by what a test can do everywhere: reversing the other credit first.
    backend.reverse(WANG.account_no, 300, key="V2", credit_key="C2")
    backend.reverse(WANG.account_no, 400, key="V1", credit_key="C1")
    with pytest.raises(Refused):
        backend.reverse(WANG.account_no, 101, key="V3", credit_key="C1")
    assert backend.balance(WANG.account_no).balance_fen == 100


def test_the_same_reversal_from_eight_sides_at_once_is_applied_once(reversing: BillingBackend) -> None:
    receipts = at_once([_reversal(reversing, "V1", 200)] * 8)
    outcomes = [receipt.outcome for receipt in receipts]
    assert outcomes.count(CreditOutcome.APPLIED) == 1
    assert outcomes.count(CreditOutcome.ALREADY_APPLIED) == 7
    assert reversing.balance(LI.account_no).balance_fen == LI.balance_fen + 300


def test_reversals_at_once_never_exceed_the_credit(reversing: BillingBackend) -> None:
    # Fails when the sum is checked before the account's row is locked.
    reversing.credit(LI.account_no, 5000, key="C2")
    refused: list[Refused] = []

    def attempt(key: str) -> Callable[[], CreditReceipt | None]:
        def run() -> CreditReceipt | None:
            try:
                return reversing.reverse(LI.account_no, 200, key=key, credit_key="C1")
            except Refused as refusal:
                refused.append(refusal)
                return None

        return run

    at_once([attempt(f"V{number}") for number in range(8)])
    assert len(refused) == 6
    assert reversing.balance(LI.account_no).balance_fen == LI.balance_fen + 5100


def test_packages_on_sale_come_specials_first_then_by_price(backend: BillingBackend) -> None:
    offers = backend.catalogue()
    assert [(offer.price_fen, offer.quota_bytes, offer.validity_months) for offer in offers] == [
        (500, 8 * 10**9, 1),
        (1000, 20 * 10**9, 1),
        (2000, 60 * 10**9, 1),
        (3000, 120 * 10**9, 1),
    ]
    assert len({offer.code for offer in offers}) == 4


def test_an_account_that_never_swapped_has_an_empty_log(backend: BillingBackend) -> None:
    assert backend.exchange_log(LI.account_no) == []


def test_usage_lists_days_with_traffic_oldest_first(subject: Subject) -> None:
    if not subject.backend.capabilities().usage:
        pytest.skip("this back end knows no usage")
    days = subject.backend.usage(LI.account_no)
    assert [(day.on.day, day.used_bytes) for day in days] == [(8, 2 * 10**9), (10, 10**9)]
    assert subject.backend.usage(WANG.account_no) == []
    assert [day.on.day for day in subject.backend.usage(LI.account_no, days=2)] == [10]


def test_capabilities_never_change(backend: BillingBackend) -> None:
    assert backend.capabilities() == backend.capabilities()


def _credit(backend: BillingBackend, key: str) -> Callable[[], CreditReceipt]:
    return lambda: backend.credit(LI.account_no, 500, key=key)


def _reversal(backend: BillingBackend, key: str, amount_fen: int) -> Callable[[], CreditReceipt]:
    return lambda: backend.reverse(LI.account_no, amount_fen, key=key, credit_key="C1")


@pytest.mark.parametrize("typed", ["李小明", " 李 小明 ", "李小明\u3000"])
def test_the_right_name_matches_however_it_is_spaced(backend: BillingBackend, typed: str) -> None:
    assert backend.name_matches(LI.account_no, typed)


@pytest.mark.parametrize("typed", ["", " ", "*小明", "小明", "李小", "王芳", "李小明明", "\ud800"])
def test_another_name_does_not_match(backend: BillingBackend, typed: str) -> None:
    assert not backend.name_matches(LI.account_no, typed)


@pytest.mark.parametrize("account_no", [NOBODY, "", "2400101001\x00", "9" * 5000])
def test_an_account_that_does_not_exist_has_no_name(backend: BillingBackend, account_no: str) -> None:
    assert not backend.name_matches(account_no, "")
    assert not backend.name_matches(account_no, LI.name)


@pytest.fixture
def paying_out(backend: BillingBackend) -> BillingBackend:
    """A back end from which money may be withdrawn."""
    if not backend.capabilities().withdraw:
        pytest.skip("this back end cannot withdraw; nothing is paid out by bank list")
    return backend


def test_a_withdrawal_takes_money_off_once_per_key(paying_out: BillingBackend) -> None:
    assert paying_out.find_withdrawal(LI.account_no, "W1") is None
    first = paying_out.withdraw(LI.account_no, 1000, key="W1")
    again = paying_out.withdraw(LI.account_no, 1000, key="W1")
    assert (first.outcome, again.outcome) == (CreditOutcome.APPLIED, CreditOutcome.ALREADY_APPLIED)
    assert (again.amount_fen, again.balance_fen, again.at) == (1000, first.balance_fen, first.at)
    found = paying_out.find_withdrawal(LI.account_no, "W1")
    assert found is not None
    assert (found.account_no, found.amount_fen) == (LI.account_no, 1000)
    assert paying_out.balance(LI.account_no).balance_fen == LI.balance_fen - 1000


def test_no_more_is_withdrawn_than_there_is_and_nothing_under_a_key_of_something_else(
    paying_out: BillingBackend,
) -> None:
    paying_out.withdraw(LI.account_no, 1000, key="W1")
    refused: list[tuple[str, int, str]] = [
        (LI.account_no, LI.balance_fen - 999, "W2"),
        (LI.account_no, 900, "W1"),
        (WANG.account_no, 1000, "W1"),
        (NOBODY, 100, "W3"),
        (LI.account_no, 0, "W4"),
        (LI.account_no, -100, "W5"),
    ]
    for account_no, amount_fen, key in refused:
        with pytest.raises(Refused):
            paying_out.withdraw(account_no, amount_fen, key=key)
    assert paying_out.balance(LI.account_no).balance_fen == LI.balance_fen - 1000


def test_the_same_withdrawal_from_eight_sides_at_once_is_done_once(paying_out: BillingBackend) -> None:
    receipts = at_once([lambda: paying_out.withdraw(LI.account_no, 500, key="W1")] * 8)
    assert [receipt.outcome for receipt in receipts].count(CreditOutcome.APPLIED) == 1
    assert paying_out.balance(LI.account_no).balance_fen == LI.balance_fen - 500
