"""Money that a refund could not return: two operators decide, and every book agrees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, select

from models.adjustment import Adjustment, AdjustmentStatus
from models.errors import AmountInvalid, IllegalTransition, Refused, ServiceError, Unavailable, Unknown
from models.outbox import OutboxItem, OutboxStatus
from models.payout import PartStatus, Payout, PayoutPart
from models.refund import RefundStatus
from models.review import ReviewItem, ReviewKind, ReviewStatus, ask_person
from models.statement import ReconRun, ReconStatus
from models.write_off import WriteOff, WriteOffKind
from payments.adjustments import approval as adjustments
from payments.audit.manual_metrics import manual_figures
from payments.payouts import approval as payouts
from payments.payouts import transfer_list
from payments.refunds.approval import SamePerson
from payments.review import queue as reviews
from sandbox.credentials import Credentials
from tests.models_of_money.world import ACCOUNTS, make_template
from tests.payments.payouts.payout_world import PayoutWorld
from tests.payments.refunds.refund_world import ANNA, BERT
from tests.payments.review.stuck import CARL, EVIDENCE, decide, findings, open_items, sums


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("stuck"))


@pytest.fixture
def world(
    template: Path, tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PayoutWorld]:
    built = PayoutWorld(template, tmp_path / "world.db", credentials, monkeypatch)
    yield built
    built.check_books()
    built.close()


def refused_for_good(world: PayoutWorld, amount_fen: int = 500) -> tuple[str, ReviewItem]:
    """A refund of a credited order that WeChat refuses: off the account, and with nobody."""
    order_no = world.paid(amount_fen, credited=True)
    world.fault("account_abnormal")
    number = world.approved(order_no, amount_fen)
    world.work()
    assert (world.state(number), world.balance_fen()) == (RefundStatus.CLOSED, 0)
    assert sums(world).review_fen == amount_fen
    (item,) = open_items(world)
    assert (item.kind, item.amount_fen) == (ReviewKind.REFUND_CLOSED, amount_fen)
    return order_no, item


def entry_of(world: PayoutWorld) -> Adjustment:
    with world.database.reading() as session:
        return session.scalars(select(Adjustment)).one()


def part_of(world: PayoutWorld) -> tuple[Payout, PayoutPart]:
    with world.database.reading() as session:
        row = session.execute(
            select(Payout, PayoutPart).join(PayoutPart, PayoutPart.payout_id == Payout.id)
        ).one()
    return row[0], row[1]


def test_a_refund_that_wechat_refuses_for_good_is_put_back_on_the_account(world: PayoutWorld) -> None:
    order_no, item = refused_for_good(world)
    decide(world, item, "put-back")
    assert (sums(world).in_flight_fen, sums(world).review_fen, findings(world)) == (500, 0, [])
    world.work()
    assert world.balance_fen() == 500
    assert (sums(world).credited_fen, sums(world).review_fen, open_items(world)) == (500, 0, [])
    assert entry_of(world).adjustment_no == f"b{order_no}0101"
    # WeChat refuses this payment for good: what is on the account again goes by the bank.
    world.clock.advance(120)
    with pytest.raises(AmountInvalid):
        world.asked(order_no)
    plan = world.requested()
    assert [part.way for part in plan.parts] == ["bank"]


def test_approving_twice_puts_it_back_once(world: PayoutWorld) -> None:
    _, item = refused_for_good(world)
    decide(world, item, "put-back")
    reviews.approve(world.services, item.id, actor=CARL)
    world.later()
    assert world.balance_fen() == 500
    assert len(open_items(world)) == 0


def test_it_can_be_paid_by_bank_list_to_a_payee_that_an_operator_enters(world: PayoutWorld) -> None:
    _, item = refused_for_good(world)
    decide(world, item, "pay-by-bank")
    assert (sums(world).in_flight_fen, sums(world).review_fen, findings(world)) == (500, 0, [])
    _, part = part_of(world)
    assert part.status == PartStatus.WITHDRAWN
    with pytest.raises(Refused, match="收款人"):
        transfer_list.make_list(world.services, actor=CARL)
    entered = {"part_no": part.part_no, "bank_name": "某某银行", "bank_account": "62220001"}
    with pytest.raises(Refused, match="收款人"):
        transfer_list.correct_bank(world.services, **entered, actor=ANNA)
    transfer_list.correct_bank(world.services, **entered, actor=ANNA, payee="李付款")
    with pytest.raises(SamePerson):
        transfer_list.make_list(world.services, actor=ANNA)
    list_no = transfer_list.make_list(world.services, actor=BERT)
    assert list_no is not None
    (row,) = transfer_list.rows_of(world.services, list_no)
    assert (row.payee, row.amount_fen) == ("李付款", 500)
    transfer_list.mark_paid(world.services, part_no=part.part_no, actor=BERT)
    assert (sums(world).refunded_fen, sums(world).in_flight_fen, world.balance_fen()) == (500, 0, 0)


def test_money_goes_one_way_only(world: PayoutWorld) -> None:
    """Put back, then paid by bank, then refunded again: the second way finds nothing."""
    order_no, item = refused_for_good(world)
    decide(world, item, "put-back")
    world.clock.advance(120)
    with pytest.raises(ServiceError):
        world.asked(order_no)
    other, second = refused_for_good_beside(world)
    decide(world, second, "pay-by-bank")
    world.clock.advance(120)
    with pytest.raises(ServiceError):
        world.asked(other)
    world.work()
    assert sums(world).missing_fen == 0


def refused_for_good_beside(world: PayoutWorld) -> tuple[str, ReviewItem]:
    order_no = world.paid(700, credited=True)
    world.fault("account_abnormal")
    world.approved(order_no, 700)
    world.work()
    (item,) = open_items(world)
    return order_no, item


def test_an_abnormal_refund_is_given_up_first_and_a_later_success_asks(world: PayoutWorld) -> None:
    order_no = world.paid(credited=True)
    number = world.approved(order_no)
    world.work()
    world.ends(number, "ABNORMAL")
    (item,) = open_items(world)
    assert item.kind == ReviewKind.REFUND_ABNORMAL
    decide(world, item, "put-back")
    world.work()
    assert (world.state(number), world.balance_fen()) == (RefundStatus.CLOSED, 500)
    at_wechat = world.at_wechat(number)
    at_wechat.status = "SUCCESS"
    assert world.tell_refund(number) == 204
    (asked,) = open_items(world)
    assert asked.kind == ReviewKind.NOTIFY_MISMATCH


def test_a_refused_entry_leaves_the_money_with_an_open_item(world: PayoutWorld) -> None:
    _, item = refused_for_good(world)
    decide(world, item, "put-back")
    world.services.billing.close_account(ACCOUNTS[0])
    world.work()
    assert entry_of(world).status == AdjustmentStatus.REFUSED
    (asked,) = open_items(world)
    assert (asked.kind, asked.amount_fen) == (ReviewKind.ADJUSTMENT_REFUSED, 500)
    assert (sums(world).review_fen, findings(world)) == (500, [])
    decide(world, asked, "pay-by-bank")
    assert (sums(world).review_fen, sums(world).in_flight_fen) == (0, 500)


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_entry_without_an_answer_is_done_once(world: PayoutWorld, when: str) -> None:
    _, item = refused_for_good(world)
    decide(world, item, "put-back")
    world.billing.faults_of = {"credit": [(when, Unknown("no answer"))]}
    world.work()
    world.later()
    assert (world.balance_fen(), entry_of(world).status) == (500, AdjustmentStatus.DONE)


def test_a_doubtful_entry_is_never_taken_for_refused(world: PayoutWorld) -> None:
    """No answer, then "not found", then a refusal: the first call may still arrive."""
    _, item = refused_for_good(world)
    decide(world, item, "put-back")
    world.billing.faults_of = {"credit": [("before", Unknown("no answer")), ("before", Unavailable("away"))]}
    world.work()
    world.later()
    assert entry_of(world).status == AdjustmentStatus.UNKNOWN
    world.billing.faults_of = {"credit": [("before", Refused("no"))]}
    world.later(3600)
    assert entry_of(world).status == AdjustmentStatus.UNKNOWN
    (asked,) = open_items(world)
    assert asked.kind == ReviewKind.ADJUSTMENT_UNKNOWN
    assert (sums(world).in_flight_fen, findings(world)) == (500, [])
    decide(world, asked, "adjust-again")
    world.work()
    assert (world.balance_fen(), entry_of(world).status) == (500, AdjustmentStatus.DONE)


def test_one_operator_cannot_dismiss_an_item_that_holds_money(world: PayoutWorld) -> None:
    order_no, item = refused_for_good(world)
    proposed = reviews.propose(world.services, item.id, action="dismiss", actor=ANNA, evidence=EVIDENCE)
    assert proposed is False
    (still,) = open_items(world)
    assert still.status == ReviewStatus.PROPOSED
    reviews.approve(world.services, item.id, actor=BERT)
    with world.database.reading() as session:
        (row,) = session.scalars(select(WriteOff))
    assert (row.kind, row.amount_fen, row.proposed_by, row.approved_by) == (
        WriteOffKind.WRITTEN_OFF,
        500,
        "anna",
        "bert",
    )
    assert (sums(world).review_fen, open_items(world), findings(world)) == (500, [], [])
    with world.database.transaction() as session:
        session.execute(delete(WriteOff))
    (found,) = findings(world)
    assert order_no in found
    reviews.reopen(world.services, item.id, actor=CARL)


def test_money_that_is_owed_is_asked_about_again_before_it_moves(world: PayoutWorld) -> None:
    order_no, item = refused_for_good(world)
    decide(world, item, "owe")
    world.clock.advance(120)
    with pytest.raises(IllegalTransition, match="挂账"):
        world.asked(order_no)
    reviews.reopen(world.services, item.id, actor=CARL)
    (again,) = open_items(world)
    with world.database.reading() as session:
        assert session.scalars(select(WriteOff.ended_at)).one() is not None
    decide(world, again, "put-back")
    world.work()
    assert (world.balance_fen(), sums(world).review_fen) == (500, 0)


def test_a_console_refund_of_a_part_and_a_refused_refund_are_never_dropped(world: PayoutWorld) -> None:
    """Attack c1: after the dismissal by two the money is listed, and nothing in review is unasked."""
    order_no = world.paid(credited=True)
    world.console(order_no, 100)
    number = world.approved(order_no, 500)
    world.work()
    world.later()
    assert world.state(number) == RefundStatus.CLOSED
    for item in open_items(world):
        if not reviews.propose(world.services, item.id, action="dismiss", actor=ANNA, evidence=EVIDENCE):
            reviews.approve(world.services, item.id, actor=BERT)
    for _ in range(4):
        world.calm()
        world.keep_house()
    with world.database.reading() as session:
        kept = sum(session.scalars(select(WriteOff.amount_fen)))
    assert (sums(world).review_fen, kept, findings(world)) == (500, 500, [])


def test_a_console_refund_of_a_credited_order_is_charged_to_the_account_by_two(world: PayoutWorld) -> None:
    """Attack a4: the account is charged by an adjusting entry or a refund of ours; no book disagrees."""
    order_no = world.paid(credited=True)
    number = world.console(order_no, ended=True)
    world.tell_refund(number)
    world.calm()
    (item,) = open_items(world)
    assert (item.kind, item.order_id is not None) == (ReviewKind.EXTERNAL_REFUND, True)
    assert (sums(world).credited_fen, findings(world)) == (500, [])
    wanted = adjustments.Wanted(ACCOUNTS[0], -500, "商户平台已退款", EVIDENCE)
    entry = adjustments.request(world.services, wanted, actor=ANNA)
    adjustments.approve(world.services, adjustment_no=entry.adjustment_no, actor=BERT)
    world.work()
    decide(world, item, "dismiss")
    assert (world.balance_fen(), open_items(world), findings(world)) == (0, [], [])


def test_a_closed_account_is_paid_out_and_takes_no_money(world: PayoutWorld) -> None:
    """Attack b6."""
    world.cash(2000)
    world.services.billing.close_account(ACCOUNTS[0])
    view = payouts.approve(world.services, payout_no=world.requested().payout_no, actor=BERT)
    world.work()
    assert (world.states(view), world.balance_fen()) == ([PartStatus.WITHDRAWN], 0)
    with pytest.raises(ServiceError):
        world.take(500, "A0002")


def test_the_rest_of_a_refund_that_was_guessed_too_high_is_asked_about(world: PayoutWorld) -> None:
    """The guess was dismissed; when the real amount is known, the rest is in review and has an item."""
    order_no = world.start(0, 0, 500)
    assert order_no is not None
    world.prepare(order_no)
    world.pay(order_no)
    number = world.console(order_no, 300)
    world.later()
    world.later()
    (guess,) = open_items(world)
    reviews.propose(world.services, guess.id, action="dismiss", actor=ANNA, evidence=EVIDENCE)
    reviews.approve(world.services, guess.id, actor=BERT)
    assert sums(world).review_fen == 0
    world.tell_refund(number)
    (rest,) = open_items(world)
    assert (rest.kind, rest.amount_fen, findings(world)) == (ReviewKind.EXTERNAL_REFUND, 200, [])
    decide(world, rest, "put-back")
    world.work()
    assert (world.balance_fen(), sums(world).review_fen) == (200, 0)


def test_a_job_that_was_given_up_is_dismissed_by_two_and_listed(world: PayoutWorld) -> None:
    order_no = world.paid()
    with world.database.transaction() as session:
        job = session.scalars(select(OutboxItem).where(OutboxItem.kind == "credit")).one()
        job.status = OutboxStatus.PARKED
        ask_person(
            session,
            ReviewKind.JOB_FAILED,
            f"credit:{order_no}",
            order_id=None,
            amount_fen=None,
            now=world.clock.now(),
            job="credit",
            number=order_no,
        )
    (item,) = open_items(world)
    decide(world, item, "owe")
    with world.database.reading() as session:
        row = session.scalars(select(WriteOff)).one()
    assert (row.amount_fen, row.subject, row.kind) == (500, order_no, WriteOffKind.OWED)
    reviews.reopen(world.services, item.id, actor=CARL)
    (again,) = open_items(world)
    decide(world, again, "run-again")
    world.work()
    assert world.balance_fen() == 500


def test_owed_money_and_payments_of_other_systems_are_figures(world: PayoutWorld) -> None:
    _, item = refused_for_good(world)
    decide(world, item, "owe")
    with world.database.transaction() as session:
        session.add(
            ReconRun(
                kind="trade",
                bill_on=world.clock.now().date(),
                status=ReconStatus.DONE,
                started_at=world.clock.now(),
                totals={"known_foreign": {"rows": 2, "fen": 900}, "foreign": {"rows": 1, "fen": 100}},
            )
        )
    with world.database.reading() as session:
        found = manual_figures(session)
    assert found.kept_fen == {WriteOffKind.WRITTEN_OFF: 0, WriteOffKind.OWED: 500}
    assert (found.foreign_rows, found.foreign_fen) == (3, 1000)
