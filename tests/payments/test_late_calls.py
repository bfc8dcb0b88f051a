"""A call in doubt stays in doubt until billing answers for it; what arrives late is shown and repaired."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from billing.interface import MoneyCall
from models.errors import Conflict, KeyClosed
from models.order import Credit, CreditStatus
from models.payout import PartStatus
from models.refund import RefundStatus, ReversalStatus
from models.review import ReviewItem
from models.swap import SwapStatus
from payments import credit, outbox, repairs
from payments.audit.invariants import check
from payments.payouts import delivery as payouts
from sandbox.credentials import Credentials
from tests.models_of_money.money_world import PACKAGE
from tests.models_of_money.world import ACCOUNTS, make_template
from tests.payments.late_world import AWAY, PAUSE_S, UNANSWERED, LateWorld, voided_and_applied
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


# The embedded engine: the key is closed before the money moves elsewhere.


def test_a_paused_worker_cannot_withdraw_for_a_part_that_was_refused(world: LateWorld) -> None:
    world.cash(2000)
    view = world.agreed()
    held = world.claim("payout")
    part, account_no, earlier = payouts._begin(world.services, held, None)
    call = payouts._call(world.services, held, part, account_no, earlier)
    world.clock.advance(PAUSE_S)
    world.spend()
    world.work()
    assert world.states(view) == [PartStatus.REFUSED]
    world.clock.advance(60)
    world.cash(3000, "A0002")
    with pytest.raises(KeyClosed):
        call.send(None)
    world.calm()
    assert (world.states(view), world.balance_fen()) == ([PartStatus.REFUSED], 3000)
    assert [item.kind for item in world.open_items()] == ["REVERSAL_REFUSED"]
    world.check_all()


def test_a_worker_that_was_paused_before_its_call_does_not_make_it(world: LateWorld) -> None:
    """The last look at the lease stands right before the call."""
    world.paid()
    held = world.claim("credit")
    plain = credit._begin

    def begin_and_pause(*arguments: object) -> object:
        begun = plain(*arguments)  # type: ignore[arg-type]  # whatever it takes
        world.clock.advance(PAUSE_S)
        return begun

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(credit, "_begin", begin_and_pause)
        with pytest.raises(Conflict):
            credit.deliver(world.services, held)
    assert world.balance_fen() == 0
    world.work()
    assert world.balance_fen() == 500
    world.check_all()


def test_a_refused_credit_in_doubt_is_closed_and_sent_again_under_the_next_number(world: LateWorld) -> None:
    order_no = world.paid()
    held = world.claim("credit")
    begun, earlier = credit._begin(world.services, held, order_no, None)
    late_call = credit._call(world.services, held, begun, order_no, earlier)
    world.clock.advance(PAUSE_S)
    world.set_account(active=False)
    world.work()
    assert world.credit(order_no).status == CreditStatus.REJECTED
    world.set_account(active=True)
    with pytest.raises(KeyClosed):
        late_call.send(None)
    assert world.balance_fen() == 0
    world.decide("CREDIT_REFUSED", "credit-again")
    with world.database.reading() as session:
        again = session.scalars(select(Credit)).one()
    assert (again.status, again.credit_no) == (CreditStatus.CREDITED, f"c{order_no}-2")
    assert world.balance_fen() == 500
    world.check_all()


def test_a_credit_in_doubt_is_never_refunded_meanwhile(world: LateWorld) -> None:
    """No answer; not there; not reachable: that ends the doubt of the last call alone."""
    order_no = world.paid()
    world.billing.faults = [("before", UNANSWERED)]
    world.work()
    world.billing.faults_of = {"credit": [("before", AWAY)] * 5}
    world.later(20)
    assert world.credit(order_no).status == CreditStatus.UNKNOWN
    number = world.approved(order_no)
    world.work()
    assert (world.state(number), world.sent()) == (RefundStatus.APPROVED, 0)
    # The request that was under way arrives.
    found = world.credit(order_no)
    world.billing._inner.credit(found.account_no, found.amount_fen, key=found.credit_no)
    world.later(700)
    world.later(700)
    world.ends(number)
    world.calm()
    assert world.credit(order_no).status == CreditStatus.CREDITED
    assert world.refund(number).reversal == ReversalStatus.DONE
    assert world.balance_fen() == 0
    assert world.open_items() == []
    world.check_all()


def test_a_reversal_in_doubt_that_is_refused_never_takes_effect_afterwards(world: LateWorld) -> None:
    order_no = world.paid(credited=True)
    world.billing.faults_of = {"reverse": [("before", UNANSWERED)]}
    number = world.approved(order_no)
    world.work()
    world.spend()
    world.later(20)
    assert (world.state(number), world.refund(number).reversal) == (
        RefundStatus.CLOSED,
        ReversalStatus.PENDING,
    )
    world.paid(credited=True)
    found = world.credit(order_no)
    with pytest.raises(KeyClosed):
        world.billing._inner.reverse(found.account_no, 500, key=f"v{number}", credit_key=found.credit_no)
    world.calm()
    assert world.balance_fen() == 500
    assert [item.kind for item in world.open_items()] == ["REVERSAL_REFUSED"]
    world.check_all()


def test_a_purchase_in_doubt_that_is_refused_is_never_made_afterwards(world: LateWorld) -> None:
    order_no = world.paid_with_package()
    world.billing.faults_of = {"exchange": [("before", UNANSWERED)]}
    world.work()
    world.spend()
    world.later(20)
    assert world.swap().status == SwapStatus.REFUSED
    world.cash(3000)
    with pytest.raises(KeyClosed):
        world.billing._inner.exchange(ACCOUNTS[0], PACKAGE, key=f"x{order_no}", price_fen=500)
    assert world.balance_fen() == 3000
    world.check_all()


# A vendor's system without closed keys: the window, then an item whose action repairs the books.


def test_within_the_window_a_refusal_does_not_end_an_earlier_doubt(world: LateWorld) -> None:
    vendor = world.use_vendor()
    order_no = world.paid()
    vendor.hold(MoneyCall.CREDIT, UNANSWERED)
    world.work()
    world.set_account(active=False)
    world.later(10)
    assert world.credit(order_no).status == CreditStatus.UNKNOWN
    world.later(WINDOW_S + outbox.LEASE_S)
    assert world.credit(order_no).status == CreditStatus.REJECTED
    assert [item.kind for item in world.open_items()] == ["CREDIT_REFUSED"]
    world.check_all()


def test_a_receipt_for_a_credit_that_was_believed_refused_counts(world: LateWorld) -> None:
    vendor = world.use_vendor()
    order_no = world.paid()

    def refused() -> None:
        world.clock.advance(PAUSE_S + WINDOW_S)
        world.set_account(active=False)
        world.work()
        assert world.credit(order_no).status == CreditStatus.REJECTED
        world.set_account(active=True)

    vendor.meanwhile[MoneyCall.CREDIT] = refused
    world.work()
    assert (world.credit(order_no).status, world.balance_fen()) == (CreditStatus.CREDITED, 500)
    world.check_all()


def test_a_credit_that_was_voided_and_applied_is_taken_back(world: LateWorld) -> None:
    order_no = voided_and_applied(world)
    assert (world.credit(order_no).status, world.balance_fen()) == (CreditStatus.LATE, 500)
    item = world.item("LATE_CREDIT")
    assert (item.amount_fen, item.facts["order_no"]) == (500, order_no)
    world.check_all()
    world.decide("LATE_CREDIT", "take-back")
    assert world.credit(order_no).status == CreditStatus.TAKEN_BACK
    assert (world.balance_fen(), world.open_items()) == (0, [])
    world.check_all()


def test_a_late_credit_that_was_spent_is_asked_about_again_and_owed(world: LateWorld) -> None:
    order_no = voided_and_applied(world)
    world.spend()
    world.decide("LATE_CREDIT", "take-back")
    assert world.credit(order_no).status == CreditStatus.LATE
    world.check_all()
    world.decide("LATE_CREDIT", "record-owed")
    assert (world.credit(order_no).status, world.open_items()) == (CreditStatus.OWED, [])
    world.check_all()


def test_a_late_credit_without_its_open_item_is_found(world: LateWorld) -> None:
    order_no = voided_and_applied(world)
    with world.database.transaction() as session:
        session.delete(session.scalars(select(ReviewItem).where(ReviewItem.kind == "LATE_CREDIT")).one())
    with world.database.reading() as session:
        assert check(session) == [f"credit c{order_no} was applied too late, and no open item asks about it"]


def test_a_repair_that_the_ledger_does_not_have_is_found(world: LateWorld) -> None:
    order_no = voided_and_applied(world)
    with world.database.transaction() as session:
        found = repairs.LateCredit(session, f"c{order_no}")
        repairs.take_back(session, found.row, now=world.clock.now())
        found.done(world.clock.now())
    with world.database.reading() as session:
        assert check(session) == [f"credit c{order_no} is taken back, the ledger does not have its reversal"]


def test_taking_back_is_queried_after_a_doubt_and_done_once(world: LateWorld) -> None:
    order_no = voided_and_applied(world)
    world.billing.faults_of = {"reverse": [("after", UNANSWERED)]}
    world.decide("LATE_CREDIT", "take-back")
    assert world.credit(order_no).status == CreditStatus.TAKING_BACK
    world.check_all()
    world.calm()
    assert (world.credit(order_no).status, world.balance_fen()) == (CreditStatus.TAKEN_BACK, 0)
    world.check_all()


def test_taking_back_again_uses_another_key(world: LateWorld) -> None:
    """The first one was refused; should it arrive after all, it must not count for the second."""
    order_no = voided_and_applied(world)
    world.spend()
    world.decide("LATE_CREDIT", "take-back")
    world.cash(2000)
    world.decide("LATE_CREDIT", "take-back")
    taken = world.credit(order_no)
    assert (taken.status, taken.undo_key) == (CreditStatus.TAKEN_BACK, f"uc{order_no}.2")
    assert world.balance_fen() == 1500
    world.check_all()


def test_a_repair_whose_job_is_gone_is_swept_up(world: LateWorld) -> None:
    order_no = voided_and_applied(world)
    with world.database.transaction() as session:
        found = repairs.LateCredit(session, f"c{order_no}")
        repairs.take_back(session, found.row, now=world.clock.now())
    world.later(1000)
    assert world.credit(order_no).status == CreditStatus.TAKING_BACK
    world.keep_house()
    world.work()
    assert world.credit(order_no).status == CreditStatus.TAKEN_BACK


def reversed_too_late(world: LateWorld) -> str:
    """The reversal takes effect after its refund was given up. Returns: the refund."""
    vendor = world.use_vendor()
    order_no = world.paid(credited=True)
    number = world.approved(order_no)

    def given_up() -> None:
        world.spend()
        world.clock.advance(PAUSE_S + WINDOW_S)
        world.work()
        assert world.state(number) == RefundStatus.CLOSED
        world.cash(2000)

    vendor.meanwhile[MoneyCall.REVERSAL] = given_up
    world.work()
    assert world.refund(number).reversal == ReversalStatus.DONE
    item = world.item("LATE_REVERSAL")
    assert (item.amount_fen, item.facts["order_no"]) == (500, order_no)
    assert world.balance_fen() == 1500
    world.check_all()
    return number


def test_a_reversal_of_a_refund_that_was_given_up_is_refunded_after_all(world: LateWorld) -> None:
    reversed_too_late(world)
    world.decide("LATE_REVERSAL", "refund-after-all")
    (sent,) = world.platform.refunds.all()
    world.ends(sent.request.out_refund_no)
    assert sent.request.amount_fen == 500
    world.calm()
    assert world.balance_fen() == 1500
    world.check_all()


def test_a_reversal_of_a_refund_that_was_given_up_is_credited_again(world: LateWorld) -> None:
    reversed_too_late(world)
    world.decide("LATE_REVERSAL", "put-back")
    assert (world.balance_fen(), world.sent()) == (2000, 0)
    world.check_all()


def withdrawn_too_late(world: LateWorld) -> None:
    """The withdrawal takes effect after the part was refused."""
    vendor = world.use_vendor()
    world.cash(2000)
    world.agreed()

    def refused() -> None:
        world.spend()
        world.clock.advance(PAUSE_S + WINDOW_S)
        world.work()
        assert world.only_part().status == PartStatus.REFUSED
        world.cash(3000, "A0002")

    vendor.meanwhile[MoneyCall.WITHDRAWAL] = refused
    world.work()
    assert (world.only_part().status, world.balance_fen()) == (PartStatus.LATE, 1000)
    assert world.item("LATE_WITHDRAWAL").amount_fen == 2000
    world.check_all()


def test_a_withdrawal_for_a_refused_part_is_put_back(world: LateWorld) -> None:
    withdrawn_too_late(world)
    world.decide("LATE_WITHDRAWAL", "return-withdrawal")
    assert (world.only_part().status, world.balance_fen()) == (PartStatus.RETURNED, 3000)
    world.check_all()


def test_a_withdrawal_for_a_refused_part_is_paid_out(world: LateWorld) -> None:
    withdrawn_too_late(world)
    world.decide("LATE_WITHDRAWAL", "continue-payout")
    assert (world.only_part().status, world.balance_fen()) == (PartStatus.WITHDRAWN, 1000)
    world.check_all()


def test_a_return_that_the_ledger_does_not_have_is_found(world: LateWorld) -> None:
    withdrawn_too_late(world)
    part_no = world.only_part().part_no
    with world.database.transaction() as session:
        found = repairs.LateWithdrawal(session, part_no)
        repairs.put_back(session, found.row, now=world.clock.now())
        found.done(world.clock.now())
    with world.database.reading() as session:
        assert check(session) == [f"payout part {part_no} is returned, the ledger does not have its credit"]


def test_a_withdrawal_that_cannot_be_put_back_is_asked_about_again(world: LateWorld) -> None:
    withdrawn_too_late(world)
    world.set_account(active=False)
    world.decide("LATE_WITHDRAWAL", "return-withdrawal")
    assert world.only_part().status == PartStatus.LATE
    world.check_all()
    world.decide("LATE_WITHDRAWAL", "continue-payout")
    assert (world.only_part().status, world.balance_fen()) == (PartStatus.WITHDRAWN, 1000)
    world.check_all()


def test_a_purchase_made_after_its_refusal_is_shown_and_accepted(world: LateWorld) -> None:
    vendor = world.use_vendor()
    order_no = world.paid_with_package()

    def refused() -> None:
        world.spend()
        world.clock.advance(PAUSE_S + WINDOW_S)
        world.work()
        assert world.swap().status == SwapStatus.REFUSED
        world.cash(3000)

    vendor.meanwhile[MoneyCall.EXCHANGE] = refused
    world.work()
    assert (world.swap().status, world.balance_fen()) == (SwapStatus.LATE, 2500)
    item = world.item("LATE_PURCHASE")
    assert (item.amount_fen, item.facts["order_no"]) == (500, order_no)
    world.decide("LATE_PURCHASE", "accept-purchase")
    assert (world.swap().status, world.open_items()) == (SwapStatus.DONE, [])
    world.check_all()
