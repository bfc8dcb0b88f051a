"""Money back: what may be asked for, who agrees, and how the money is freed before it goes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from billing.embedded import ledger
from billing.interface import Capabilities
from models.errors import AmountInvalid, IllegalTransition, LimitReached, NoSuchOrder, Refused, Unknown
from models.order import CreditStatus
from models.recovery import UnderMaintenance
from models.refund import RefundStatus, ReversalStatus
from models.values.actor import Actor
from payments.recovery.opening import open_recovery
from payments.refunds import approval as refunds
from payments.refunds import delivery as refund_delivery
from payments.refunds.steps import NoSuchRefund
from sandbox.credentials import Credentials
from tests.models_of_money.world import ACCOUNTS, make_template
from tests.payments.refunds.refund_world import ANNA, BERT, RefundWorld


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def world(
    template: Path, tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RefundWorld]:
    built = RefundWorld(template, tmp_path / "world.db", credentials, monkeypatch)
    yield built
    built.close()


def spend(world: RefundWorld, amount_fen: int) -> None:
    """The student buys something with the balance."""
    with world.database.transaction() as session:
        legs = (
            ledger.Leg(ledger.book_of(ACCOUNTS[0]), -amount_fen),
            ledger.Leg("income:packages", amount_fen),
        )
        ledger.post(session, key="spent:1", kind=ledger.EXCHANGE, legs=legs, at=world.clock.now())


def watched(world: RefundWorld) -> list[str]:
    """Do all that is due now. Returns: the places passed meanwhile."""
    world.points.arm(None)
    while world.worker.run_once():
        pass
    return world.points.passed


# Asking and agreeing


def test_nothing_moves_before_a_second_person_agrees(world: RefundWorld) -> None:
    number = world.asked(world.paid(credited=True))
    world.later()
    assert world.state(number) == RefundStatus.REQUESTED
    assert (world.sent(), world.balance_fen()) == (0, 500)
    for same in (ANNA, Actor.from_name(f" {ANNA.name.upper()} ")):
        with pytest.raises(refunds.SamePerson):
            refunds.approve(world.services, out_refund_no=number, actor=same)
    refunds.approve(world.services, out_refund_no=number, actor=BERT)
    world.work()
    assert world.sent() == 1


def test_a_rejected_refund_is_over_and_its_money_can_be_asked_for_again(world: RefundWorld) -> None:
    order_no = world.paid(credited=True)
    number = world.asked(order_no)
    refunds.reject(world.services, out_refund_no=number, actor=BERT)
    with pytest.raises(IllegalTransition):
        refunds.approve(world.services, out_refund_no=number, actor=BERT)
    with pytest.raises(IllegalTransition):
        refunds.reject(world.services, out_refund_no=number, actor=BERT)
    assert world.asked(order_no) != number
    world.later()
    assert world.sent() == 0


def test_nothing_is_approved_while_a_restored_database_is_recovered(world: RefundWorld) -> None:
    number = world.asked(world.paid(credited=True))
    with world.services.transaction() as session:
        open_recovery(
            session, since=world.services.clock(), backup_no="b1", actor="anna", now=world.services.clock()
        )
    with pytest.raises(UnderMaintenance):
        refunds.approve(world.services, out_refund_no=number, actor=BERT)
    assert world.state(number) == RefundStatus.REQUESTED


def test_approving_twice_sends_once(world: RefundWorld) -> None:
    number = world.approved(world.paid(credited=True))
    with pytest.raises(IllegalTransition):
        refunds.approve(world.services, out_refund_no=number, actor=BERT)
    world.work()
    assert world.sent() == 1


def test_no_more_than_was_paid_can_be_asked_for_in_sum(world: RefundWorld) -> None:
    order_no = world.paid(credited=True)
    world.asked(order_no, 300)
    world.clock.advance(61)
    with pytest.raises(AmountInvalid, match=r"2\.00"):
        world.asked(order_no, 201)
    world.asked(order_no, 200)
    world.clock.advance(61)
    with pytest.raises(AmountInvalid):
        world.asked(order_no, 1)


@pytest.mark.parametrize("amount_fen", [0, -1, 501])
def test_an_amount_that_was_never_paid_is_refused(world: RefundWorld, amount_fen: int) -> None:
    order_no = world.paid(credited=True)
    with pytest.raises(AmountInvalid):
        world.asked(order_no, amount_fen)


def test_refunds_of_one_payment_are_a_minute_apart(world: RefundWorld) -> None:
    order_no = world.paid(credited=True)
    first = world.asked(order_no, 1)
    world.clock.advance(59)
    assert world.asked(order_no, 1) == first  # the same request again is no new refund
    with pytest.raises(LimitReached):
        world.asked(order_no, 1, reason="多充")
    world.clock.advance(1)
    assert world.asked(order_no, 1, reason="多充") != first


def test_there_are_at_most_fifty_refunds_of_one_payment(world: RefundWorld) -> None:
    order_no = world.paid(credited=True)
    for number in range(50):
        world.asked(order_no, 1, reason=f"充错 {number}")
        world.clock.advance(60)
    with pytest.raises(LimitReached):
        world.asked(order_no, 1, reason="又充错")


def test_a_payment_of_more_than_a_year_ago_is_refused(world: RefundWorld) -> None:
    order_no = world.paid(credited=True)
    world.clock.advance(366 * 86_400)
    with pytest.raises(IllegalTransition):
        world.asked(order_no)


def test_only_paid_orders_and_named_people_and_reasons(world: RefundWorld) -> None:
    unpaid = world.start(0, 0, 500)
    assert unpaid is not None
    with pytest.raises(IllegalTransition):
        world.asked(unpaid)
    with pytest.raises(NoSuchOrder):
        world.asked("r20260101nothing0000")
    order_no = world.paid(700, credited=True)
    for unnamed in (" ", "a" * 65):
        with pytest.raises(Refused):
            Actor.from_name(unnamed)
    wrongs: tuple[dict[str, Any], ...] = (
        {"reason": " "},
        {"reason": "a" * 81},
    )
    for wrong in wrongs:
        with pytest.raises(Refused):
            world.asked(order_no, **wrong)
    with pytest.raises(IllegalTransition):
        world.asked(order_no, out_trade_no="elsewhere")
    with pytest.raises(NoSuchRefund):
        refunds.approve(world.services, out_refund_no="f1", actor=BERT)


def test_part_of_an_order_that_is_not_credited_cannot_go_back(world: RefundWorld) -> None:
    # Without this check the rest would be neither credited nor refunded.
    with pytest.raises(IllegalTransition, match="全额"):
        world.asked(world.paid(), 499)


# Freeing the money


def test_a_credited_order_is_reversed_before_the_money_goes_back(world: RefundWorld) -> None:
    order_no = world.paid(credited=True)
    number = world.approved(order_no, 200)
    steps = [place for place in watched(world) if place in {"after reverse", "before POST"}]
    assert steps[:2] == ["after reverse", "before POST"]
    refund = world.refund(number)
    assert (world.balance_fen(), refund.reversal, refund.held) == (300, ReversalStatus.DONE, True)
    assert world.credit(order_no).status == CreditStatus.CREDITED
    world.ends(number)
    assert world.state(number) == RefundStatus.SUCCESS
    world.check_books()


def test_an_order_that_waits_for_its_credit_is_never_credited_afterwards(world: RefundWorld) -> None:
    order_no = world.paid()
    # The credit cannot start before the refund does: both are due now, billing is away once.
    number = world.approved(order_no)
    refund_delivery.deliver(world.services, world.claim_refund())
    assert world.credit(order_no).status == CreditStatus.VOIDED
    world.later()
    assert (world.balance_fen(), world.sent()) == (0, 1)
    world.ends(number)
    world.check_books()


def test_a_rejected_credit_is_voided_and_the_money_goes_back(world: RefundWorld) -> None:
    world.billing.faults = [("before", Refused("暂停入账"))]
    order_no = world.paid()
    world.work()
    assert world.credit(order_no).status == CreditStatus.REJECTED
    number = world.approved(order_no)
    world.work()
    assert world.credit(order_no).status == CreditStatus.VOIDED
    world.ends(number)
    assert (world.balance_fen(), world.state(number)) == (0, RefundStatus.SUCCESS)
    world.check_books()


def test_a_refund_waits_until_a_doubtful_credit_is_decided(world: RefundWorld) -> None:
    world.billing.faults = [("after", Unknown("timeout"))]
    order_no = world.paid()
    world.turn()
    assert world.credit(order_no).status == CreditStatus.UNKNOWN
    number = world.approved(order_no)
    refund_delivery.deliver(world.services, world.claim_refund())
    assert (world.state(number), world.sent()) == (RefundStatus.APPROVED, 0)
    world.later()
    world.later()
    assert world.credit(order_no).status == CreditStatus.CREDITED
    assert (world.balance_fen(), world.sent()) == (0, 1)
    world.check_books()


def test_money_that_was_spent_does_not_go_back_and_a_person_is_asked(world: RefundWorld) -> None:
    order_no = world.paid(credited=True)
    spend(world, 400)
    number = world.approved(order_no)
    world.work()
    assert (world.state(number), world.sent(), world.balance_fen()) == (RefundStatus.CLOSED, 0, 100)
    assert world.questions() == [("REVERSAL_REFUSED", number)]
    world.check_books()


@pytest.mark.parametrize(("when", "calls"), [("before", 2), ("after", 1)])
def test_a_doubtful_reversal_is_asked_about_first(world: RefundWorld, when: str, calls: int) -> None:
    # Without the question the second call would be blind; a back end without keys would reverse twice.
    order_no = world.paid(credited=True)
    number = world.approved(order_no, 200)
    world.billing.faults = [(when, Unknown("timeout"))]
    places = watched(world)
    assert world.refund(number).reversal == ReversalStatus.UNKNOWN
    world.clock.advance(60)
    places += watched(world)
    places = [place for place in places if place in {"before reverse", "before find_reversal"}]
    assert places == ["before reverse", "before find_reversal", "before reverse"][: calls + 1]
    assert (world.balance_fen(), world.sent()) == (300, 1)
    world.check_books()


def test_a_back_end_that_cannot_reverse_leaves_it_to_a_person(
    world: RefundWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_no = world.paid(credited=True)
    able = world.services.billing.capabilities()
    unable = Capabilities(**{**vars(able), "reverse": False})
    monkeypatch.setattr(world.billing._inner, "capabilities", lambda: unable)
    number = world.approved(order_no)
    world.work()
    assert (world.state(number), world.sent(), world.balance_fen()) == (RefundStatus.CLOSED, 0, 500)
    assert world.questions() == [("REVERSAL_REFUSED", number)]
    world.check_books()


def test_a_reversed_refund_that_wechat_closed_can_be_asked_for_again_without_a_second_reversal(
    world: RefundWorld,
) -> None:
    order_no = world.paid(credited=True)
    first = world.approved(order_no, 200)
    world.work()
    world.ends(first, "CLOSED")
    assert world.questions() == [("REFUND_CLOSED", first)]
    world.clock.advance(61)
    second = world.approved(order_no, 200)
    world.work()
    world.ends(second)
    assert (world.balance_fen(), world.state(second)) == (300, RefundStatus.SUCCESS)
    assert world.refund(second).reversal == ReversalStatus.NOT_NEEDED
