"""Every action of the review queue: two persons where money moves, evidence, replays without effect."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from models.errors import IllegalTransition
from models.order import CreditStatus, Order
from models.outbox import OutboxItem, OutboxStatus
from models.refund import RefundStatus
from models.review import ReviewItem, ReviewKind, ReviewStatus, ask_person
from models.values.actor import Actor
from payments.evidence import EvidenceNeeded
from payments.review import queue as reviews
from payments.review.actions import ACTIONS, bank_lists, billing_differences, late
from sandbox.credentials import Credentials
from tests.builders import refusal
from tests.models_of_money.world import ACCOUNTS, PEOPLE, make_template
from tests.payments.refunds.refund_world import ANNA, BERT, RefundWorld

CARL = Actor.from_name("carl")
EVIDENCE = "微信商户平台截图 20260310-17"
Prepare = Callable[[RefundWorld], ReviewKind]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("reviews"))


@pytest.fixture
def world(
    template: Path, tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RefundWorld]:
    built = RefundWorld(template, tmp_path / "world.db", credentials, monkeypatch)
    yield built
    built.check_books()
    built.close()


def paid_twice(world: RefundWorld) -> ReviewKind:
    order_no = world.paid_twice()
    for trade in world.paid_trades():
        world.tell(trade)
    world.work()
    assert [o.order_no for o in orders(world)] == [order_no]
    return ReviewKind.SECOND_PAYMENT


def refused_credit(world: RefundWorld) -> ReviewKind:
    world.paid()
    world.billing.faults = [("before", refusal())]
    world.work()
    return ReviewKind.CREDIT_REFUSED


def no_balance(world: RefundWorld) -> ReviewKind:
    order_no = world.paid(credited=True)
    world.fault("not_enough")
    world.approved(order_no)
    world.work()
    return ReviewKind.JOB_FAILED


def strange_notice(world: RefundWorld) -> ReviewKind:
    with world.database.transaction() as session:
        kind = ReviewKind.NOTIFY_MISMATCH
        ask_person(session, kind, "amount:1", order_id=None, amount_fen=1, now=world.clock.now())
    return ReviewKind.NOTIFY_MISMATCH


def unconfirmed_transfer(world: RefundWorld) -> ReviewKind:
    with world.database.transaction() as session:
        kind = ReviewKind.TRANSFER_UNCONFIRMED
        ask_person(session, kind, "A0001", order_id=None, amount_fen=2000, now=world.clock.now())
    return ReviewKind.TRANSFER_UNCONFIRMED


CASES: dict[str, Prepare] = {
    "credit": paid_twice,
    "refund": paid_twice,
    "credit-again": refused_credit,
    "run-again": no_balance,
    "dismiss": strange_notice,
    "transfer-checked": unconfirmed_transfer,
}
MOVING = [name for name in CASES if ACTIONS[name].moves_money]


def orders(world: RefundWorld) -> list[Order]:
    with world.database.reading() as session:
        return list(session.scalars(select(Order).order_by(Order.id)))


def item_of(world: RefundWorld, kind: ReviewKind) -> ReviewItem:
    with world.database.reading() as session:
        return session.scalars(select(ReviewItem).where(ReviewItem.kind == kind)).one()


def at_rest(world: RefundWorld) -> tuple[int, int, int]:
    """Orders, refunds WeChat took, balance: what a replay must not change."""
    return len(orders(world)), world.sent(), world.balance_fen()


def decide(world: RefundWorld, kind: ReviewKind, action: str) -> None:
    item_id = item_of(world, kind).id
    assert reviews.propose(world.services, item_id, action=action, actor=ANNA, evidence=EVIDENCE) is False
    reviews.approve(world.services, item_id, actor=BERT)


# Each has a file of its own beside this one.
ELSEWHERE = {
    "credit-arrived",
    "owe",
    "put-back",
    "pay-by-bank",
    "adjust-again",
    "adjustment-arrived",
    "accept-result",
    "assign",
    "send-back",
    "payout-paid",
    "payout-not-paid",
}


def test_every_action_has_a_case_here_or_of_its_own() -> None:
    # Those about late calls: tests/payments/test_late_calls.py and test_billing_abilities.py; about
    # differences with billing: tests/payments/reconcile/test_movements.py; about bank lists:
    # tests/payments/counter/test_transfers.py and test_confirmation.py.
    apart = {*late.ACTIONS, *billing_differences.ACTIONS, *bank_lists.ACTIONS}
    # release-hold needs wrong books: tests/payments/audit/test_book_check.py.
    assert {*CASES, *ELSEWHERE, *apart, "release-hold"} == set(ACTIONS)


@pytest.mark.parametrize("action", MOVING)
def test_one_person_alone_moves_no_money(world: RefundWorld, action: str) -> None:
    item_id = item_of(world, CASES[action](world)).id
    before = at_rest(world)
    reviews.propose(world.services, item_id, action=action, actor=ANNA, evidence=EVIDENCE)
    for same in (ANNA, Actor.from_name(f" {ANNA.name.upper()} ")):
        with pytest.raises(reviews.SecondPersonNeeded):
            reviews.approve(world.services, item_id, actor=same)
    world.work()
    assert at_rest(world) == before


@pytest.mark.parametrize("action", CASES)
def test_nothing_is_decided_without_evidence(world: RefundWorld, action: str) -> None:
    kind = CASES[action](world)
    item_id = item_of(world, kind).id
    with pytest.raises(EvidenceNeeded):
        reviews.propose(world.services, item_id, action=action, actor=ANNA, evidence="  好的  ")
    assert item_of(world, kind).status == ReviewStatus.OPEN


@pytest.mark.parametrize("action", CASES)
def test_deciding_again_changes_nothing(world: RefundWorld, action: str) -> None:
    kind = CASES[action](world)
    item_id = item_of(world, kind).id
    if not reviews.propose(world.services, item_id, action=action, actor=ANNA, evidence=EVIDENCE):
        reviews.approve(world.services, item_id, actor=BERT)
    world.later()
    before = at_rest(world)
    reviews.approve(world.services, item_id, actor=CARL)
    assert reviews.propose(world.services, item_id, action=action, actor=CARL, evidence=EVIDENCE) is True
    world.later()
    item = item_of(world, kind)
    assert at_rest(world) == before
    assert (item.status, item.outcome, item.proposed_by) == (ReviewStatus.CLOSED, action, ANNA.name)


def test_a_second_payment_is_credited_as_an_order_of_its_own(world: RefundWorld) -> None:
    decide(world, paid_twice(world), "credit")
    world.work()
    first, second = orders(world)
    assert (second.account_no, second.amount_fen, second.payer_openid) == (ACCOUNTS[0], 500, PEOPLE[0])
    assert {str(world.credit(one.order_no).status) for one in (first, second)} == {CreditStatus.CREDITED}
    assert world.balance_fen() == 1000


def test_a_second_payment_that_was_credited_can_be_refunded_like_any_other(world: RefundWorld) -> None:
    decide(world, paid_twice(world), "credit")
    world.work()
    number = world.approved(orders(world)[1].order_no)
    world.later()
    world.ends(number)
    assert (world.state(number), world.balance_fen()) == (RefundStatus.SUCCESS, 500)


def test_a_second_payment_goes_back_and_the_first_stays(world: RefundWorld) -> None:
    decide(world, paid_twice(world), "refund")
    world.later()
    (refund,) = world.platform.refunds.all()
    world.ends(refund.request.out_refund_no)
    assert refund.order.transaction_id != orders(world)[0].transaction_id
    assert world.state(refund.request.out_refund_no) == RefundStatus.SUCCESS
    assert (len(orders(world)), world.balance_fen()) == (1, 500)


def test_the_rest_of_a_second_payment_goes_back(world: RefundWorld) -> None:
    kind = paid_twice(world)
    (order,) = orders(world)
    second = next(t for t in world.paid_trades() if t.transaction_id != order.transaction_id)
    number = world.approved(order.order_no, 200, out_trade_no=second.request.out_trade_no)
    world.later()
    decide(world, kind, "refund")
    world.later()
    back = {one.request.out_refund_no: one.request.amount_fen for one in world.platform.refunds.all()}
    assert (back.pop(number), list(back.values())) == (200, [300])


def test_a_second_payment_on_its_way_back_is_not_credited_too(world: RefundWorld) -> None:
    kind = paid_twice(world)
    order_no = orders(world)[0].order_no
    main = orders(world)[0].transaction_id
    second = next(t for t in world.paid_trades() if t.transaction_id != main)
    world.asked(order_no, out_trade_no=second.request.out_trade_no)
    item_id = item_of(world, kind).id
    reviews.propose(world.services, item_id, action="credit", actor=ANNA, evidence=EVIDENCE)
    with pytest.raises(IllegalTransition):
        reviews.approve(world.services, item_id, actor=BERT)
    assert item_of(world, kind).status == ReviewStatus.PROPOSED
    world.work()
    assert world.balance_fen() == 500


@pytest.mark.parametrize(("policy", "balance_fen", "sent"), [("credit", 1000, 0), ("refund", 500, 1)])
def test_the_policy_deals_with_second_payments_by_itself(
    world: RefundWorld, policy: str, balance_fen: int, sent: int
) -> None:
    world.services = replace(
        world.services,
        rules=replace(world.services.rules, second_payment=policy),  # type: ignore[arg-type]
    )
    kind = paid_twice(world)
    for _ in range(2):
        reviews.by_policy(world.services)
        world.later()
    item = item_of(world, kind)
    assert (item.status, item.outcome, item.proposed_by) == (ReviewStatus.CLOSED, policy, reviews.POLICY.name)
    assert (world.balance_fen(), world.sent()) == (balance_fen, sent)


def test_without_a_policy_a_person_is_asked(world: RefundWorld) -> None:
    kind = paid_twice(world)
    reviews.by_policy(world.services)
    assert item_of(world, kind).status == ReviewStatus.OPEN


def test_a_refund_without_balance_runs_again_after_a_top_up(world: RefundWorld) -> None:
    kind = no_balance(world)
    item = item_of(world, kind)
    number = str(item.facts["number"])
    with world.database.transaction() as session:
        job = session.scalars(select(OutboxItem).where(OutboxItem.key == number)).one()
        job.status = OutboxStatus.PARKED
    decide(world, kind, "run-again")
    world.work()
    assert (world.state(number), world.sent()) == (RefundStatus.PROCESSING, 1)
