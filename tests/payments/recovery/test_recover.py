"""A restored backup: what WeChat has is rebuilt once, what the bank may have done is asked about."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest
from sqlalchemy.orm import Session

from models.db.engine import Database
from models.errors import IllegalTransition, Unavailable
from models.order import CreditStatus
from models.payout import PartStatus
from models.recovery import RecoveryStatus, UnderMaintenance
from models.refund import RefundStatus
from models.values.actor import Actor
from payments import orders
from payments.payouts import transfer_list
from payments.recovery import opening
from payments.recovery.run import watch
from payments.refunds import approval
from payments.review import queue
from tests.models_of_money.world import ACCOUNTS, PEOPLE
from tests.payments.recovery.recovery_world import OPERATOR, RecoveryWorld
from tests.payments.refunds.refund_world import ANNA, BERT


def end_refund(world: RecoveryWorld, number: str) -> None:
    world.ends(number)
    world.work()


def test_payments_after_the_backup_are_credited_once(world: RecoveryWorld) -> None:
    """Two payments are lost with the database: one was credited, the callback of the other comes later."""
    world.paid(credited=True)
    world.backup()
    credited = world.paid(600, credited=True)
    late = world.start(1, 1, 700)
    assert late is not None
    world.prepare(late)
    world.pay(late)
    world.destroy_and_restore()
    world.tell(world.platform.book.get(f"{late}01"))
    world.bills_come()
    report = world.recovered()
    assert (report.rows["payment_rebuilt"], report.fen["payment_rebuilt"]) == (2, 1300)
    assert report.unexplained == []
    assert (world.balance_of(ACCOUNTS[0]), world.balance_of(ACCOUNTS[1])) == (1100, 700)
    assert world.credit(credited).status == CreditStatus.CREDITED
    assert world.kept_by_us() == world.kept_at_wechat() == 1800
    assert world.status() == RecoveryStatus.DONE
    again = world.recovered()
    assert (again.changed, again.unexplained) == (0, [])
    assert (world.balance_of(ACCOUNTS[0]), world.balance_of(ACCOUNTS[1])) == (1100, 700)


def test_a_callback_that_comes_after_the_restore_rebuilds_its_order_before_any_bill(
    world: RecoveryWorld,
) -> None:
    world.backup()
    order_no = world.start(0, 0, 700)
    assert order_no is not None
    world.prepare(order_no)
    world.pay(order_no)
    world.destroy_and_restore()
    world.tell(world.platform.book.get(f"{order_no}01"))
    assert [kind for kind, _ in world.open_items()] == ["NOTIFY_MISMATCH"]
    report = world.recovered()
    assert (report.rows["payment_rebuilt"], report.unexplained) == (1, [])
    assert world.open_items() == [], "the question is answered"
    assert world.balance_of(ACCOUNTS[0]) == 700
    world.bills_come()
    assert world.recovered().changed == 0
    assert world.balance_of(ACCOUNTS[0]) == world.kept_by_us() == world.kept_at_wechat() == 700


def test_an_order_of_the_backup_that_was_paid_after_it_is_found(world: RecoveryWorld) -> None:
    order_no = world.start(0, 0, 500)
    assert order_no is not None
    world.prepare(order_no)
    world.backup()
    world.pay(order_no)
    world.tell(world.platform.book.get(f"{order_no}01"))
    world.work()
    world.destroy_and_restore()
    report = world.recovered()
    # No bill yet: it was found by its number.
    assert report.rows["payment_recorded"] == 1
    assert world.balance_of(ACCOUNTS[0]) == 500
    assert world.status() == RecoveryStatus.WATCHING


@pytest.mark.parametrize("amount_fen", [500, 200])
@pytest.mark.parametrize("in_backup", [True, False])
def test_money_that_went_back_after_the_backup_is_not_on_the_account(
    world: RecoveryWorld, amount_fen: int, *, in_backup: bool
) -> None:
    order_no = world.paid(credited=True) if in_backup else ""
    world.backup()
    order_no = order_no or world.paid(credited=True)
    world.minutes(5)
    number = world.approved(order_no, amount_fen)
    world.work()
    end_refund(world, number)
    world.destroy_and_restore()
    world.bills_come()
    report = world.recovered()
    assert (report.rows["refund_rebuilt"], report.fen["refund_rebuilt"]) == (1, amount_fen)
    assert world.refund(number).status == RefundStatus.SUCCESS
    assert world.balance_of(ACCOUNTS[0]) == 500 - amount_fen
    assert world.sent() == 1, "the refund was sent once more"
    assert world.kept_by_us() == world.kept_at_wechat() == 500 - amount_fen
    assert world.recovered().changed == 0
    assert world.status() == RecoveryStatus.DONE


def test_a_refund_of_today_is_found_by_its_number(world: RecoveryWorld) -> None:
    order_no = world.start(0, 0, 500)
    assert order_no is not None
    world.prepare(order_no)
    world.backup()
    world.pay(order_no)
    world.tell(world.platform.book.get(f"{order_no}01"))
    world.work()
    world.minutes(5)
    number = world.approved(order_no, 200)
    world.work()
    end_refund(world, number)
    world.destroy_and_restore()
    assert world.recovered().rows["refund_rebuilt"] == 1
    assert world.balance_of(ACCOUNTS[0]) == 300
    assert world.kept_by_us() == world.kept_at_wechat()


def test_a_refund_that_waited_for_approval_in_the_backup_and_was_made_since(world: RecoveryWorld) -> None:
    order_no = world.paid(credited=True)
    number = world.asked(order_no)
    world.backup()
    world.minutes(5)
    from_backup = world.refund(number).status
    assert from_backup == RefundStatus.REQUESTED
    approve_and_send(world, number)
    end_refund(world, number)
    world.destroy_and_restore()
    world.recovered()
    assert world.refund(number).status == RefundStatus.SUCCESS
    assert (world.balance_of(ACCOUNTS[0]), world.sent()) == (0, 1)


def approve_and_send(world: RecoveryWorld, number: str) -> None:

    approval.approve(world.services, out_refund_no=number, actor=BERT)
    world.work()


def test_nothing_works_until_the_database_was_recovered(world: RecoveryWorld) -> None:
    world.backup()
    order_no = world.start(0, 0, 500)
    world.destroy_and_restore()
    with pytest.raises(UnderMaintenance):
        orders.start_recharge(world.services, openid=PEOPLE[0], account_no=ACCOUNTS[0], amount_fen=500)
    with pytest.raises(UnderMaintenance):
        orders.pay_params(world.services, order_no=order_no or "", openid=PEOPLE[0])
    with pytest.raises(UnderMaintenance):
        transfer_list.make_list(world.services, actor=ANNA)
    world.take(2000, "A0009")
    assert world.turn() == 0
    world.recovered()
    assert world.start(0, 0, 500) is not None
    world.work()
    assert world.balance_of(ACCOUNTS[0]) == 2000
    # The bill of today is still missing: nothing is paid out.
    with pytest.raises(UnderMaintenance):
        transfer_list.make_list(world.services, actor=ANNA)
    with pytest.raises(Unavailable):
        watch(world.services)
    world.bills_come()
    watch(world.services)
    assert world.status() == RecoveryStatus.DONE
    assert transfer_list.make_list(world.services, actor=ANNA) is None


def test_what_a_later_bill_shows_is_rebuilt_by_the_workers(world: RecoveryWorld) -> None:
    world.backup()
    world.paid(credited=True)
    refunded = world.paid(600, credited=True)
    world.minutes(5)
    number = world.approved(refunded, 600)
    world.work()
    end_refund(world, number)
    world.destroy_and_restore()
    assert world.recovered().changed == 0
    world.bills_come()
    # A round for the payments, one for the refund, which waits for the credit, one to see that all is done.
    for _ in range(2):
        with pytest.raises(Unavailable):
            watch(world.services)
        world.work()
    watch(world.services)
    assert world.balance_of(ACCOUNTS[0]) == 500
    assert world.kept_by_us() == world.kept_at_wechat() == 500
    assert world.status() == RecoveryStatus.DONE


def test_a_payout_that_may_have_been_paid_stands_on_no_list(world: RecoveryWorld) -> None:
    world.cash(2000)
    view = world.agreed()
    world.work()
    world.backup()
    list_no = transfer_list.make_list(world.services, actor=OPERATOR)
    assert list_no is not None
    part_no = transfer_list.rows_of(world.services, list_no)[0].part_no
    transfer_list.mark_paid(world.services, part_no=part_no, actor=OPERATOR)
    world.destroy_and_restore()
    world.bills_come()
    report = world.recovered()
    assert report.payouts_held == 1
    assert transfer_list.make_list(world.services, actor=OPERATOR) is None
    assert ("PAYOUT_FATE", part_no) in world.open_items()
    item_id = _item(world, "PAYOUT_FATE")
    evidence = "银行流水 2026-11-28 第 3 行"
    assert not queue.propose(world.services, item_id, action="payout-paid", actor=ANNA, evidence=evidence)
    with pytest.raises(queue.SecondPersonNeeded):
        queue.approve(world.services, item_id, actor=ANNA)
    queue.approve(world.services, item_id, actor=BERT)
    assert world.states(view) == [PartStatus.PAID]
    assert transfer_list.make_list(world.services, actor=OPERATOR) is None
    # Answered is answered: another run asks nothing.
    world.recovered()
    assert world.part(part_no).fate_unknown is False
    world.check_books()


@pytest.mark.parametrize("listed", [True, False])
def test_a_payout_that_was_not_paid_stands_on_the_next_list(world: RecoveryWorld, *, listed: bool) -> None:
    world.cash(2000)
    view = world.agreed()
    world.work()
    if listed:
        transfer_list.make_list(world.services, actor=OPERATOR)
    world.backup()
    world.destroy_and_restore()
    world.bills_come()
    world.recovered()
    part_no = world.look(view).parts[0].part_no
    if listed:
        with pytest.raises(IllegalTransition):
            transfer_list.mark_failed(world.services, part_no=part_no, actor=OPERATOR, reason="退票")
    item_id = _item(world, "PAYOUT_FATE")
    queue.propose(
        world.services, item_id, action="payout-not-paid", actor=ANNA, evidence="银行流水中没有这笔"
    )
    queue.approve(world.services, item_id, actor=BERT)
    list_no = transfer_list.make_list(world.services, actor=OPERATOR)
    assert list_no is not None
    assert [row.part_no for row in transfer_list.rows_of(world.services, list_no)] == [part_no]
    world.check_books()


def test_a_payout_that_was_not_taken_off_the_account_yet_is_taken_off_and_held(world: RecoveryWorld) -> None:
    world.cash(2000)
    view = world.agreed()
    world.backup()
    world.destroy_and_restore()
    world.bills_come()
    world.recovered()
    world.work()
    assert world.states(view) == [PartStatus.WITHDRAWN]
    assert transfer_list.make_list(world.services, actor=OPERATOR) is None


def test_a_payment_of_another_system_is_counted_and_left_alone(world: RecoveryWorld) -> None:
    world.backup()
    _foreign_payment(world, "MEALCARD00000001", 900)
    _foreign_payment(world, "r20261128zzzzzzzzzzz01", 800, attach="c1:2400000001:r:AAAAAAAAAAAAAAAAAAAAAA")
    world.destroy_and_restore()
    world.bills_come()
    report = world.recovered()
    assert (report.rows["foreign"], report.fen["foreign"]) == (1, 900)
    assert [(one.number, one.amount_fen) for one in report.unexplained] == [("r20261128zzzzzzzzzzz01", 800)]
    assert world.open_items() == [("BILL_DIFFERENCE", "FOREIGN:r20261128zzzzzzzzzzz01")]
    assert world.balance_of(ACCOUNTS[0]) == 0


class Killed(BaseException):
    """The process is gone."""


@pytest.mark.parametrize("commits", range(1, 26, 3))
def test_a_run_that_was_killed_goes_on_where_it_ended(
    world: RecoveryWorld, monkeypatch: pytest.MonkeyPatch, commits: int
) -> None:
    world.backup()
    world.paid(credited=True)
    refunded = world.paid(600, credited=True)
    world.minutes(5)
    number = world.approved(refunded, 200)
    world.work()
    end_refund(world, number)
    world.destroy_and_restore()
    world.bills_come()
    left = [commits]
    transaction = Database.transaction

    @contextmanager
    def counted(database: Database) -> Iterator[Session]:
        with transaction(database) as session:
            yield session
        left[0] -= 1
        if left[0] == 0:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(Database, "transaction", counted)
        with suppress(Killed):
            world.recovered()
    # A lease that the killed process held runs out.
    world.clock.advance(60)
    world.recovered()
    assert world.balance_of(ACCOUNTS[0]) == world.kept_by_us() == world.kept_at_wechat() == 900
    assert world.status() == RecoveryStatus.DONE
    assert world.recovered().changed == 0
    assert world.sent() == 1


def test_two_operators_may_go_on_without_recovering(world: RecoveryWorld) -> None:
    world.backup()
    world.destroy_and_restore()
    anna, bert = Actor.from_name("anna"), Actor.from_name("bert")
    assert not opening.skip(world.services, actor=anna, reason="演练环境，没有真实付款")
    assert not opening.skip(world.services, actor=Actor.from_name("An na"), reason="演练环境，没有真实付款")
    assert world.status() == RecoveryStatus.OPEN
    assert opening.skip(world.services, actor=bert, reason="")
    assert world.status() == RecoveryStatus.SKIPPED
    assert world.start(0, 0, 500) is not None
    with pytest.raises(IllegalTransition):
        world.recovered()


def _item(world: RecoveryWorld, kind: str) -> int:
    with world.database.reading() as session:
        return next(item.id for item in queue.list_items(session) if item.kind == kind)


def _foreign_payment(world: RecoveryWorld, number: str, amount_fen: int, attach: str = "meal") -> None:
    world.services.pay.prepay(
        out_trade_no=number,
        description="一卡通",
        amount_fen=amount_fen,
        openid=PEOPLE[1],
        expires_at=world.clock.now().replace(year=world.clock.now().year + 1),
        attach=attach,
    )
    world.platform.pay(number, PEOPLE[1])
