"""What a person decides goes through the machine's own steps, with two persons where money moves."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from models.allocation import Allocation
from models.db.engine import Database
from models.errors import IllegalTransition, Refused, Unknown
from models.journal import JournalRow
from models.order import CreditStatus
from models.review import ReviewItem, ReviewStatus
from models.swap import SwapIntent, SwapStatus
from models.values.actor import Actor
from payments import credit, swap
from payments.evidence import EvidenceNeeded
from payments.review import queue as reviews
from payments.views import OrderView
from tests.builders import World, refusal

ANNA, BERT, CARL = (Actor.from_name(name) for name in ("anna", "bert", "carl"))
EVIDENCE = "计费系统流水 20260310-17"


def deliver(world: World, view: OrderView) -> None:
    world.clock.forward(minutes=5)
    (held,) = [item for item in world.claim("credit") if item.key == view.order_no]
    credit.deliver(world.services, held)


def refused_order(world: World) -> tuple[OrderView, int]:
    view = world.paid()
    world.billing.troubles = [refusal()]
    deliver(world, view)
    return view, only_item(world).id


def doubtful_order(world: World) -> tuple[OrderView, int]:
    view = world.paid()
    world.billing.can_find = False
    world.billing.troubles = [Unknown("timeout")]
    with pytest.raises(Unknown):
        deliver(world, view)
    deliver(world, view)
    return view, only_item(world).id


def only_item(world: World) -> ReviewItem:
    with world.database.reading() as session:
        return session.scalars(select(ReviewItem)).one()


def test_money_moves_only_when_a_second_person_agrees(world: World) -> None:
    view, item_id = refused_order(world)
    proposed = reviews.propose(world.services, item_id, action="credit-again", actor=ANNA, evidence=EVIDENCE)
    assert proposed is False
    for same in ("anna", " Anna ", "an\u200bna", "anna（财务）", "ａｎｎａ"):
        with pytest.raises(reviews.SecondPersonNeeded):
            reviews.approve(world.services, item_id, actor=Actor.from_name(same))
    assert world.credit(view).status == CreditStatus.REJECTED
    reviews.approve(world.services, item_id, actor=BERT)
    deliver(world, view)
    assert world.credit(view).status == CreditStatus.CREDITED
    item = only_item(world)
    assert (item.status, item.proposed_by, item.approved_by) == (ReviewStatus.CLOSED, "anna", "bert")


def test_approving_again_changes_nothing(world: World) -> None:
    view, item_id = refused_order(world)
    reviews.propose(world.services, item_id, action="credit-again", actor=ANNA, evidence=EVIDENCE)
    reviews.approve(world.services, item_id, actor=BERT)
    deliver(world, view)
    reviews.approve(world.services, item_id, actor=CARL)
    assert only_item(world).approved_by == "bert"
    assert world.credit(view).status == CreditStatus.CREDITED
    assert len(world.billing.credits) == 1


def test_a_decision_without_evidence_is_none(world: World) -> None:
    _, item_id = refused_order(world)
    with pytest.raises(EvidenceNeeded):
        reviews.propose(world.services, item_id, action="credit-again", actor=ANNA, evidence=" ok ")


def test_only_fitting_actions_are_accepted(world: World) -> None:
    _, item_id = refused_order(world)
    for action in ("dismiss", "credit-arrived", "nonsense"):
        with pytest.raises(IllegalTransition):
            reviews.propose(world.services, item_id, action=action, actor=ANNA, evidence=EVIDENCE)


def test_nothing_can_be_approved_that_nobody_proposed(world: World) -> None:
    _, item_id = refused_order(world)
    with pytest.raises(IllegalTransition):
        reviews.approve(world.services, item_id, actor=BERT)


def test_a_rejected_proposal_leaves_the_item_open(world: World) -> None:
    view, item_id = refused_order(world)
    reviews.propose(world.services, item_id, action="credit-again", actor=ANNA, evidence=EVIDENCE)
    reviews.reject(world.services, item_id, actor=BERT)
    assert only_item(world).status == ReviewStatus.OPEN
    assert world.credit(view).status == CreditStatus.REJECTED


def test_a_credit_seen_in_billing_is_recorded_and_not_sent(world: World) -> None:
    view, item_id = doubtful_order(world)
    sent = len(world.billing.calls)
    reviews.propose(world.services, item_id, action="credit-arrived", actor=ANNA, evidence=EVIDENCE)
    reviews.approve(world.services, item_id, actor=BERT)
    assert world.credit(view).status == CreditStatus.CREDITED
    assert len(world.billing.calls) == sent


def test_a_doubtful_credit_sent_again_speaks_for_its_money_once(world: World) -> None:
    view, item_id = doubtful_order(world)
    reviews.propose(world.services, item_id, action="credit-again", actor=ANNA, evidence=EVIDENCE)
    reviews.approve(world.services, item_id, actor=BERT)
    deliver(world, view)
    assert world.credit(view).status == CreditStatus.CREDITED
    with world.database.reading() as session:
        assert session.get_one(Allocation, view.id).credit_fen == 500


def test_the_journal_tells_who_decided_what(world: World) -> None:
    _, item_id = refused_order(world)
    reviews.take(world.services, item_id, actor=ANNA)
    reviews.propose(world.services, item_id, action="credit-again", actor=ANNA, evidence=EVIDENCE)
    reviews.approve(world.services, item_id, actor=BERT)
    with world.database.reading() as session:
        told = session.execute(
            select(JournalRow.what, JournalRow.actor).where(JournalRow.what.like("review%"))
        ).all()
    assert [tuple(row) for row in told] == [
        ("review-taken", "anna"),
        ("review-proposed", "anna"),
        ("review-closed", "bert"),
    ]


def decide(world: World, item_id: int, action: str) -> None:
    reviews.propose(world.services, item_id, action=action, actor=ANNA, evidence=EVIDENCE)
    reviews.approve(world.services, item_id, actor=BERT)


def test_a_credit_that_a_person_saw_is_told_and_its_swap_is_due(world: World) -> None:
    view, item_id = doubtful_order(world)
    wished = SwapIntent(
        order_id=view.id,
        package_code="P05",
        package_name="5元套餐",
        price_fen=500,
        status=SwapStatus.WAITING,
        changed_at=world.clock(),
    )
    with world.database.transaction() as session:
        session.add(wished)
    decide(world, item_id, "credit-arrived")
    assert world.item("message", f"credited:{view.order_no}") is not None
    assert world.item(swap.KIND, view.order_no) is not None


def test_a_credit_that_is_refused_again_is_asked_about_again(world: World) -> None:
    view, item_id = refused_order(world)
    decide(world, item_id, "credit-again")
    world.billing.troubles = [refusal("还是不行")]
    deliver(world, view)
    item = only_item(world)
    assert (item.id, item.status, item.proposal, item.outcome) == (item_id, ReviewStatus.OPEN, None, None)
    decide(world, item_id, "credit-again")
    deliver(world, view)
    assert world.credit(view).status == CreditStatus.CREDITED
    assert only_item(world).status == ReviewStatus.CLOSED


def test_what_was_to_be_tried_again_is_asked_again_on_both_databases(any_database: Database) -> None:
    world = World(any_database)
    test_a_credit_that_is_refused_again_is_asked_about_again(world)


def test_nobody_decides_without_a_name(world: World) -> None:
    _, item_id = refused_order(world)
    with pytest.raises(Refused, match="姓名"):
        reviews.take(world.services, item_id, actor=Actor.from_name(" "))
    with pytest.raises(Refused, match="姓名"):
        reviews.propose(
            world.services,
            item_id,
            action="credit-again",
            actor=Actor.from_name(""),
            evidence=EVIDENCE,
        )
    reviews.propose(world.services, item_id, action="credit-again", actor=ANNA, evidence=EVIDENCE)
    for nobody in ("", "  ", "x" * 65):
        with pytest.raises(Refused, match="姓名"):
            reviews.approve(world.services, item_id, actor=Actor.from_name(nobody))
    with pytest.raises(Refused, match="姓名"):
        reviews.reject(world.services, item_id, actor=Actor.from_name(" "))
