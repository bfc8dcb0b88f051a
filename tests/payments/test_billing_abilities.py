"""Backends that can do less: the window decides, or two operators."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from billing.interface import MoneyCall
from models.order import CreditStatus
from models.payout import PartStatus
from models.refund import RefundStatus, ReversalStatus
from models.swap import SwapStatus
from payments import outbox
from sandbox.credentials import Credentials
from tests.models_of_money.world import make_template
from tests.payments.late_world import AWAY, UNANSWERED, LateWorld, voided_and_applied
from tests.vendor_billing import WINDOW_S


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("late"))


@pytest.fixture
def world(
    template: Path, tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LateWorld]:
    built = LateWorld(template, tmp_path / "late.db", credentials, monkeypatch)
    yield built
    built.close()


def test_repeated_calls_that_were_answered_do_not_extend_the_window(world: LateWorld) -> None:
    vendor = world.use_vendor()
    order_no = world.paid()
    vendor.hold(MoneyCall.CREDIT, UNANSWERED)
    world.work()
    world.billing.faults_of = {"credit": [("before", AWAY)] * 20}
    for _ in range(9):
        assert world.credit(order_no).status == CreditStatus.UNKNOWN
        world.later(10)
    # Tried about every ten seconds: the last answer is far younger than the window.
    world.later(15)
    assert world.credit(order_no).status == CreditStatus.PENDING
    world.check_all()


def test_a_call_that_is_not_idempotent_is_repeated_only_after_its_window(world: LateWorld) -> None:
    vendor = world.use_vendor(credit_is_idempotent=False)
    order_no = world.paid()
    vendor.hold(MoneyCall.CREDIT, UNANSWERED)
    world.work()
    world.later(10)
    assert world.credit(order_no).status == CreditStatus.UNKNOWN
    vendor.arrive()
    world.calm()
    assert (world.credit(order_no).status, world.balance_fen()) == (CreditStatus.CREDITED, 500)
    second = world.paid()
    vendor.hold(MoneyCall.CREDIT, UNANSWERED)
    world.work()
    vendor.end_what_is_on_the_way(applied=False)
    world.later(WINDOW_S + outbox.LEASE_S)
    assert (world.credit(second).status, world.balance_fen()) == (CreditStatus.CREDITED, 1000)
    world.check_all()


@pytest.mark.parametrize(
    ("abilities", "applied"),
    [
        ({"find_credit": False}, False),
        ({"find_credit": False}, True),
        ({"credit_is_idempotent": False, "confirmation_window_s": None}, False),
    ],
    ids=["no-query", "no-query-applied", "no-window"],
)
def test_a_credit_that_cannot_be_found_out_goes_to_two_operators(
    world: LateWorld,
    abilities: dict[str, object],
    applied: bool,  # noqa: FBT001 - drawn
) -> None:
    vendor = world.use_vendor(**abilities)
    order_no = world.paid()
    vendor.hold(MoneyCall.CREDIT, UNANSWERED)
    world.work()
    vendor.end_what_is_on_the_way(applied=applied)
    world.later(1000)
    assert world.credit(order_no).status == CreditStatus.MANUAL
    world.check_all()
    world.decide("CREDIT_UNKNOWN", "credit-arrived" if applied else "credit-again")
    assert (world.credit(order_no).status, world.balance_fen()) == (CreditStatus.CREDITED, 500)
    world.check_all()


@pytest.mark.parametrize("applied", [False, True])
def test_a_reversal_that_cannot_be_queried_goes_to_two_operators(
    world: LateWorld,
    applied: bool,  # noqa: FBT001 - drawn
) -> None:
    vendor = world.use_vendor(find_reversal=False)
    order_no = world.paid(credited=True)
    vendor.hold(MoneyCall.REVERSAL, UNANSWERED)
    number = world.approved(order_no)
    world.work()
    vendor.end_what_is_on_the_way(applied=applied)
    world.later(1000)
    assert world.refund(number).reversal == ReversalStatus.UNKNOWN
    world.check_all()
    world.decide("REVERSAL_UNKNOWN", "call-arrived" if applied else "call-absent")
    world.ends(number)
    assert (world.state(number), world.balance_fen()) == (RefundStatus.SUCCESS, 0)
    world.check_all()


def test_a_reversal_that_had_no_effect_may_be_given_up(world: LateWorld) -> None:
    vendor = world.use_vendor(find_reversal=False)
    vendor.hold(MoneyCall.REVERSAL, UNANSWERED)
    number = world.approved(world.paid(credited=True))
    world.work()
    vendor.end_what_is_on_the_way(applied=False)
    world.later(1000)
    world.decide("REVERSAL_UNKNOWN", "give-up")
    assert (world.state(number), world.balance_fen()) == (RefundStatus.CLOSED, 500)
    world.check_all()


@pytest.mark.parametrize("applied", [False, True])
def test_a_withdrawal_that_cannot_be_queried_goes_to_two_operators(
    world: LateWorld,
    applied: bool,  # noqa: FBT001 - drawn
) -> None:
    vendor = world.use_vendor(find_withdrawal=False)
    world.cash(2000)
    world.agreed()
    vendor.hold(MoneyCall.WITHDRAWAL, UNANSWERED)
    world.work()
    vendor.end_what_is_on_the_way(applied=applied)
    world.later(1000)
    assert world.only_part().status == PartStatus.UNKNOWN
    world.check_all()
    world.decide("WITHDRAWAL_UNKNOWN", "call-arrived" if applied else "call-absent")
    assert (world.only_part().status, world.balance_fen()) == (PartStatus.WITHDRAWN, 0)
    world.check_all()


@pytest.mark.parametrize("applied", [False, True])
def test_a_purchase_that_cannot_be_queried_goes_to_two_operators(
    world: LateWorld,
    applied: bool,  # noqa: FBT001 - drawn
) -> None:
    vendor = world.use_vendor(find_exchange=False)
    world.paid_with_package()
    vendor.hold(MoneyCall.EXCHANGE, UNANSWERED)
    world.work()
    vendor.end_what_is_on_the_way(applied=applied)
    world.later(1000)
    assert world.swap().status == SwapStatus.WAITING
    world.decide("PURCHASE_UNKNOWN", "call-arrived" if applied else "call-absent")
    assert (world.swap().status, world.balance_fen()) == (SwapStatus.DONE, 0)
    world.check_all()


@pytest.mark.parametrize("applied", [False, True])
def test_a_repair_that_cannot_be_queried_goes_to_two_operators(
    world: LateWorld,
    applied: bool,  # noqa: FBT001 - drawn
) -> None:
    order_no = voided_and_applied(world)
    vendor = world.use_vendor(find_reversal=False)
    vendor.hold(MoneyCall.REVERSAL, UNANSWERED)
    world.decide("LATE_CREDIT", "take-back")
    vendor.end_what_is_on_the_way(applied=applied)
    world.later(1000)
    assert world.credit(order_no).status == CreditStatus.TAKING_BACK
    world.decide("REPAIR_UNKNOWN", "call-arrived" if applied else "call-absent")
    assert (world.credit(order_no).status, world.balance_fen()) == (CreditStatus.TAKEN_BACK, 0)
    world.check_all()


def test_an_identifier_that_billing_issues_is_stored_before_the_call(world: LateWorld) -> None:
    vendor = world.use_vendor(prepare=True)
    stored: list[str | None] = []

    def lose_the_answer(name: str) -> None:
        world.billing.faults_of = {name: [("after", UNANSWERED)]}
        world.work()
        world.later()

    world.cash(2500)
    view = world.agreed()
    vendor.meanwhile[MoneyCall.WITHDRAWAL] = lambda: stored.append(world.only_part().prepared_ref)
    lose_the_answer("withdraw")
    assert world.states(view) == [PartStatus.WITHDRAWN]
    order_no = world.paid_with_package()
    vendor.meanwhile[MoneyCall.CREDIT] = lambda: stored.append(world.credit(order_no).prepared_ref)
    vendor.meanwhile[MoneyCall.EXCHANGE] = lambda: stored.append(world.swap().prepared_ref)
    lose_the_answer("credit")
    lose_the_answer("exchange")
    assert world.swap().status == SwapStatus.DONE
    number = world.approved(world.paid(credited=True))
    vendor.meanwhile[MoneyCall.REVERSAL] = lambda: stored.append(world.refund(number).prepared_ref)
    lose_the_answer("reverse")
    assert world.refund(number).reversal == ReversalStatus.DONE
    assert len(stored) == len(set(stored)) == 4
    assert None not in stored
    assert set(stored) <= set(vendor.prepared.values())
    world.check_all()
