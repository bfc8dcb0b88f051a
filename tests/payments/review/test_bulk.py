"""Given-up jobs run again in bulk: two operators for each, two commands for all."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from app.worker import Worker
from models.db.engine import Database
from models.journal import JournalRow
from models.order import Credit, CreditStatus
from models.review import ReviewItem, ReviewKind, ReviewStatus, ask_person
from models.values.actor import Actor
from payments import credit, outbox
from payments.evidence import EvidenceNeeded
from payments.outcome import Outcome
from payments.review import bulk, queue
from payments.services import Services
from tests.builders import World

ANNA, BERT = Actor.from_name("anna"), Actor.from_name("bert")
EVIDENCE = "计费接口已修复，见变更单 20260310-17"


@pytest.fixture
def world(sqlite_database: Database) -> World:
    """Twelve credits that a bug of ours has given up, and one question about another job."""
    made = World(sqlite_database)
    for number in range(12):
        made.paid(100 * (number + 1))

    def broken(_services: Services, _held: outbox.Claim) -> Outcome:
        raise ZeroDivisionError

    worker = Worker(made.services, {"credit": broken}, wait=lambda _: None)
    for _ in range(outbox.FAILURES_MAX):
        made.clock.forward(seconds=90)
        while worker.run_once():
            pass
    with made.database.transaction() as session:
        kind, now = ReviewKind.JOB_FAILED, made.clock()
        ask_person(
            session, kind, "refund:1", order_id=None, amount_fen=None, now=now, job="refund", number="1"
        )
    return made


def statuses(world: World, job: str = "credit") -> list[str]:
    with world.database.reading() as session:
        return [str(item.status) for item in session.scalars(select(ReviewItem)) if item.facts["job"] == job]


def test_all_are_proposed_by_one_and_approved_by_another_operator(world: World) -> None:
    assert statuses(world) == ["OPEN"] * 12
    done = bulk.propose_run_again(world.services, job="credit", actor=ANNA, evidence=EVIDENCE)
    assert (done.items, done.left) == (12, {})
    assert statuses(world) == ["PROPOSED"] * 12
    own = bulk.approve_run_again(world.services, job="credit", actor=Actor.from_name(" Anna "))
    assert (own.items, own.left) == (0, {"E-TWO": 12})
    assert bulk.approve_run_again(world.services, job="credit", actor=BERT).items == 12
    assert statuses(world) == ["CLOSED"] * 12
    assert statuses(world, "refund") == ["OPEN"]
    worker = Worker(world.services, {"credit": credit.deliver}, wait=lambda _: None)
    while worker.run_once():
        pass
    with world.database.reading() as session:
        assert set(session.scalars(select(Credit.status))) == {CreditStatus.CREDITED}
        closed = select(JournalRow).where(JournalRow.what == "review-closed")
        assert len(session.scalars(closed).all()) == 12


def test_other_decisions_stay_and_a_second_run_finds_nothing(world: World) -> None:
    with world.database.reading() as session:
        first = session.scalars(select(ReviewItem.id).order_by(ReviewItem.id)).first()
    assert first is not None
    queue.propose(world.services, first, action="owe", actor=ANNA, evidence=EVIDENCE)
    assert bulk.propose_run_again(world.services, job="credit", actor=ANNA, evidence=EVIDENCE).items == 11
    assert bulk.approve_run_again(world.services, job="credit", actor=BERT).items == 11
    assert bulk.approve_run_again(world.services, job="credit", actor=BERT).items == 0
    assert sorted(statuses(world)) == [ReviewStatus.CLOSED] * 11 + [ReviewStatus.PROPOSED]


def test_a_limit_and_evidence(world: World) -> None:
    with pytest.raises(EvidenceNeeded):
        bulk.propose_run_again(world.services, job="credit", actor=ANNA, evidence="  好  ")
    done = bulk.propose_run_again(world.services, job="credit", actor=ANNA, evidence=EVIDENCE, limit=5)
    assert done.items == 5
    assert sorted(statuses(world)) == ["OPEN"] * 7 + ["PROPOSED"] * 5
