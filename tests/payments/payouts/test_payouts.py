"""Money out at graduation: the formula, two persons, WeChat first, the rest by bank list."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from models.errors import IllegalTransition, Refused, Unavailable, Unknown
from models.ledger import Posting
from models.outbox import OutboxItem
from models.payout import PartStatus, PayoutStatus
from models.person import unbind
from models.values.actor import Actor
from payments import sweep
from payments.audit.invariants import check, conservation
from payments.counter.steps import NameMismatch
from payments.payouts import approval as payouts
from payments.payouts import plan as payout_plan
from payments.payouts import transfer_list as payout_list
from payments.payouts.plan import Back, Formula
from payments.refunds import approval as refunds
from payments.refunds.approval import SamePerson
from sandbox.credentials import Credentials
from tests.crashes.points import Crash
from tests.models_of_money.world import PEOPLE, make_template
from tests.payments.payouts.payout_world import ACCOUNT, NAME, PayoutWorld
from tests.payments.refunds.refund_world import ANNA, BERT

YEAR_S = 365 * 86_400.0


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def world(
    template: Path, tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PayoutWorld]:
    built = PayoutWorld(template, tmp_path / "world.db", credentials, monkeypatch)
    yield built
    built.close()


def plan(world: PayoutWorld, **options: Any) -> payout_plan.Plan:
    return payout_plan.preview(world.services, ACCOUNT, **options)


def spend(world: PayoutWorld, fen: int) -> None:
    """Buy something, roughly."""
    world.spend()
    if left := world.balance_fen():
        pytest.fail(f"{left} fen are left")
    world.cash(fen, receipt_no="REST")


def test_the_formula_is_balance_less_the_running_cycle_less_what_is_on_its_way_out(
    world: PayoutWorld,
) -> None:
    first, second = world.paid(500, credited=True), world.paid(700, credited=True)
    world.cash(2000)
    assert plan(world).formula == Formula(balance_fen=3200, cycle_fen=0, pending_fen=0)
    assert plan(world, cycle_fee_fen=1000).formula.refundable_fen == 2200
    assert plan(world, cycle_fee_fen=9999).formula.refundable_fen == 0
    world.asked(first, 200)
    found = plan(world)
    assert (found.formula.pending_fen, found.formula.refundable_fen) == (200, 3000)
    assert found.by_wechat == (Back(second, 700), Back(first, 300))
    assert found.by_bank_fen == 2000


def test_the_newest_payments_go_back_first_and_no_more_than_the_balance(world: PayoutWorld) -> None:
    world.paid(500, credited=True)
    world.clock.advance(60)
    newest = world.paid(700, credited=True)
    spend(world, 500)
    assert plan(world).by_wechat == (Back(newest, 500),)


def test_what_others_paid_and_what_is_a_year_old_goes_by_bank(world: PayoutWorld) -> None:
    own = world.paid(500, credited=True)
    gift = world.start(1, 0, 700)
    assert gift is not None
    world.prepare(gift)
    world.pay(gift)
    world.tell(world.platform.book.get(f"{gift}01"))
    world.work()
    found = plan(world)
    assert (found.by_wechat, found.by_bank_fen) == ((Back(own, 500),), 700)
    world.clock.advance(YEAR_S)
    assert (plan(world).by_wechat, plan(world).by_bank_fen) == ((), 1200)


def test_after_unbinding_nothing_goes_to_that_wechat(world: PayoutWorld) -> None:
    world.paid(500, credited=True)
    with world.database.transaction() as session:
        unbind(session, PEOPLE[0], world.clock.now())
    assert plan(world).by_wechat == ()


def test_both_ways_to_the_end(world: PayoutWorld) -> None:
    order_no = world.paid(500, credited=True)
    world.cash(2000)
    view = world.agreed()
    assert (view.status, view.amount_fen, view.bank_account) == (PayoutStatus.APPROVED, 2500, "…5678")
    world.work()
    assert world.balance_fen() == 0
    assert world.states(view) == ["PROCESSING", PartStatus.WITHDRAWN]
    world.check_books()
    list_no = payout_list.make_list(world.services, actor=BERT)
    assert list_no is not None
    (row,) = payout_list.rows_of(world.services, list_no)
    assert (row.payee, row.bank_account, row.amount_fen) == (NAME, "6222000012345678", 2000)
    world.end_refunds()
    assert payout_list.mark_paid(world.services, part_no=row.part_no, actor=BERT)
    assert world.states(view) == ["SUCCESS", PartStatus.PAID]
    world.check_books()
    (sent,) = world.platform.refunds.all()
    assert (sent.request.amount_fen, sent.request.out_trade_no) == (500, f"{order_no}01")
    with world.database.reading() as session:
        sums = conservation(session)
        assert (sums.refunded_fen, sums.credited_fen, sums.missing_fen) == (500, 2000, 0)
        owed = select(func.sum(Posting.amount_fen)).where(Posting.book == "clearing:payouts")
        assert session.scalar(owed) == 2000
        assert session.scalar(select(func.sum(Posting.amount_fen))) == 0


def test_nobody_approves_their_own_request_and_nothing_moves_before(world: PayoutWorld) -> None:
    world.cash(2000)
    view = world.requested()
    world.later()
    with pytest.raises(SamePerson):
        payouts.approve(world.services, payout_no=view.payout_no, actor=Actor.from_name(" ANNA "))
    world.later()
    assert (world.balance_fen(), world.states(view)) == (2000, [PartStatus.PLANNED])


def test_one_request_at_a_time_and_a_rejected_one_makes_room(world: PayoutWorld) -> None:
    world.cash(2000)
    view = world.requested()
    with pytest.raises(IllegalTransition):
        world.requested()
    payouts.reject(world.services, payout_no=view.payout_no, actor=BERT)
    with pytest.raises(IllegalTransition):
        payouts.approve(world.services, payout_no=view.payout_no, actor=BERT)
    world.later()
    assert world.balance_fen() == 2000
    assert world.requested().status == PayoutStatus.REQUESTED


def test_approved_once(world: PayoutWorld) -> None:
    world.cash(2000)
    view = world.agreed()
    with pytest.raises(IllegalTransition):
        payouts.approve(world.services, payout_no=view.payout_no, actor=BERT)
    world.later()
    assert world.balance_fen() == 0
    world.check_books()


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"payee": "别人"}, NameMismatch),
        ({"account_no": "2499999999"}, NameMismatch),
        ({"bank_name": ""}, Refused),
        ({"bank_account": "abc"}, Refused),
    ],
)
def test_money_goes_to_the_owner_s_own_card_only(
    world: PayoutWorld, changes: dict[str, Any], error: type[Exception]
) -> None:
    world.cash(2000)
    with pytest.raises(error):
        world.requested(**changes)
    assert payouts.newest(world.services) == []


def test_no_card_is_needed_or_kept_when_wechat_gives_all_back(world: PayoutWorld) -> None:
    world.paid(500, credited=True)
    assert world.requested().bank_account == ""


def test_an_empty_account_has_nothing_to_pay_out(world: PayoutWorld) -> None:
    with pytest.raises(Refused):
        world.requested()


def test_money_spent_since_the_request_stops_the_approval(world: PayoutWorld) -> None:
    world.cash(2000)
    view = world.requested()
    world.spend()
    with pytest.raises(IllegalTransition):
        payouts.approve(world.services, payout_no=view.payout_no, actor=BERT)
    world.later()
    assert world.states(view) == [PartStatus.PLANNED]


def test_money_spent_since_the_approval_is_refused_by_billing_and_told(world: PayoutWorld) -> None:
    world.cash(2000)
    view = world.agreed()
    world.spend()
    world.work()
    assert world.states(view) == [PartStatus.REFUSED]
    assert ("REVERSAL_REFUSED", view.parts[0].part_no) in world.questions()
    assert payout_list.make_list(world.services, actor=BERT) is None
    world.check_books()


def test_a_payment_refunded_meanwhile_stops_the_whole_approval(world: PayoutWorld) -> None:
    order_no = world.paid(500, credited=True)
    world.cash(2000)
    view = world.requested()
    world.approved(order_no, 500)
    world.work()
    world.cash(500, receipt_no="A0002")
    with pytest.raises(Refused):
        payouts.approve(world.services, payout_no=view.payout_no, actor=BERT)
    assert world.look(view).status == PayoutStatus.REQUESTED
    world.later()
    assert world.balance_fen() == 2500
    world.check_books()


@pytest.mark.parametrize(
    ("when", "error"),
    [("before", Unknown("timeout")), ("after", Unknown("timeout")), ("before", Unavailable("away"))],
)
def test_a_withdrawal_without_an_answer_happens_once(world: PayoutWorld, when: str, error: Exception) -> None:
    world.cash(2000)
    view = world.agreed()
    world.billing.faults = [(when, error)]
    world.work()
    assert world.states(view) == [PartStatus.UNKNOWN if isinstance(error, Unknown) else PartStatus.WAITING]
    world.check_books()
    world.later(1000)
    assert (world.states(view), world.balance_fen()) == ([PartStatus.WITHDRAWN], 0)
    world.check_books()


def test_a_withdrawal_of_another_amount_under_our_key_is_left_to_a_person(world: PayoutWorld) -> None:
    world.cash(2000)
    view = world.agreed()
    world.services.billing.withdraw(ACCOUNT, 100, key=view.parts[0].part_no)
    world.work()
    assert world.states(view) == [PartStatus.REFUSED]
    with world.database.reading() as session:
        assert check(session) != []


def test_a_part_whose_job_is_gone_is_swept_up(world: PayoutWorld) -> None:
    world.cash(2000)
    view = world.agreed()
    with world.database.transaction() as session:
        session.delete(session.scalars(select(OutboxItem).where(OutboxItem.kind == "payout")).one())
    world.later(1000)
    assert world.states(view) == [PartStatus.WAITING]
    sweep.sweep(world.services)
    world.work()
    assert world.states(view) == [PartStatus.WITHDRAWN]


def test_a_late_worker_does_not_undo_what_its_successor_did(world: PayoutWorld) -> None:
    """The successor has withdrawn and dies; the late answer "away" must not make the part wait again."""
    world.cash(2000)
    view = world.agreed()
    ours, inner = world.services, world.services.billing
    seen: list[str] = []

    class Slow:
        def __getattr__(self, name: str) -> Any:
            return getattr(inner, name)

        def withdraw(self, *_: Any, **__: Any) -> Any:
            world.clock.advance(60)
            # Its twelfth place is behind the withdrawal.
            world.points.arm(11)
            with suppress(Crash):
                successor.run_once()
            seen.extend(world.points.passed)
            world.points.arm(None)
            raise Unavailable("so late")

    successor = world._new_worker()
    world.services = replace(ours, billing=Slow())
    slow = world._new_worker()
    world.services = ours
    slow.run_once()
    assert seen[-1] == "after withdraw"
    assert world.states(view) == [PartStatus.SENDING]
    world.check_books()
    world.later(1000)
    assert (world.states(view), world.balance_fen()) == ([PartStatus.WITHDRAWN], 0)
    assert world.questions() == []
    world.check_books()


def test_the_next_request_leaves_out_what_is_on_its_way(world: PayoutWorld) -> None:
    world.cash(2000)
    world.agreed()
    world.cash(1000, receipt_no="A0002")
    with world.database.reading() as session:
        pending = payout_plan.pending_fen(session, ACCOUNT)
    # Working off the second top-up also worked off the first withdrawal.
    assert (pending, world.balance_fen()) == (0, 1000)
    assert world.requested().amount_fen == 1000


def test_conservation_tells_of_a_withdrawal_without_a_part_and_the_reverse(world: PayoutWorld) -> None:
    world.cash(2000)
    world.services.billing.withdraw(ACCOUNT, 100, key="nobody")
    with world.database.reading() as session:
        (found,) = check(session)
    assert "withdrawal:nobody" in found
    assert world.balance_fen() == 1900


def test_a_refund_that_was_asked_for_is_not_promised_twice(world: PayoutWorld) -> None:
    order_no = world.paid(500, credited=True)
    refunds.request(world.services, order_no=order_no, amount_fen=500, reason="x", actor=ANNA)
    with pytest.raises(Refused):
        world.requested()
