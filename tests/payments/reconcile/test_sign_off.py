"""A day with open questions is signed by two operators or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from models.db.engine import Database
from models.db.state import StateEvent
from models.errors import Refused
from models.journal import JournalRow
from models.review import ReviewItem, ReviewStatus
from models.statement import ReconStatus
from models.values.actor import Actor
from payments.reconcile import runs, sign_off
from payments.reconcile.runs import DaySigned, Summary
from payments.reconcile.sign_off import SecondSignatureNeeded, Signature
from tests.payments.reconcile.bill_maker import ON, BillWorld, Paid, row_of
from tests.payments.reconcile.test_reconcile import run


@pytest.fixture
def world(any_database: Database, tmp_path: Path) -> BillWorld:
    return BillWorld(any_database, tmp_path)


def sign(world: BillWorld, name: str) -> Signature:
    return sign_off.sign(world.services, on=ON, actor=Actor.from_name(name))


def result(world: BillWorld) -> Summary:
    with world.database.reading() as session:
        found = runs.summary_of(session, ON)
    assert found is not None
    return found


def items(world: BillWorld) -> list[ReviewItem]:
    with world.database.reading() as session:
        return list(session.scalars(select(ReviewItem).order_by(ReviewItem.id)))


def test_a_day_without_open_questions_takes_one_operator(world: BillWorld) -> None:
    run(world, row_of(world.credited()))
    assert sign(world, "会计王") == Signature(signed=True, first=None, open_questions=[])


def test_a_day_with_open_questions_takes_a_second_operator(world: BillWorld) -> None:
    run(world, row_of(world.credited(), fen=501))
    first = sign(world, "会计王")
    assert (first.signed, [question.item_id for question in first.open_questions]) == (False, [1])
    assert result(world).status == ReconStatus.HALF_SIGNED
    for same in ("会计王", "会计 王", "会计\u200b王", "会计王（夜班）"):
        with pytest.raises(SecondSignatureNeeded):
            sign(world, same)
    second = sign(world, "出纳李")
    assert (second.signed, second.first) == (True, "会计王")
    assert (result(world).status, result(world).signers) == (ReconStatus.SIGNED, ("会计王", "出纳李"))
    with pytest.raises(DaySigned):
        run(world)
    with world.database.reading() as session:
        events = session.scalars(select(StateEvent).where(StateEvent.subject == "recon_run"))
        moves = [(event.old, event.new) for event in events]
        notes = session.scalars(select(JournalRow).where(JournalRow.what.like("recon-%signed")))
        assert [(note.what, note.actor, note.facts["open_items"]) for note in notes] == [
            ("recon-half-signed", "会计王", [1]),
            ("recon-signed", "出纳李", [1]),
        ]
    assert moves == [("RUNNING", "DONE"), ("DONE", "HALF_SIGNED"), ("HALF_SIGNED", "SIGNED")]


def test_when_the_questions_are_closed_one_operator_may_finish(world: BillWorld) -> None:
    run(world, row_of(world.credited(), fen=501))
    assert not sign(world, "会计王").signed
    with world.database.transaction() as session:
        for item in session.scalars(select(ReviewItem)):
            item.status = ReviewStatus.CLOSED
    assert sign(world, "会计王").signed


def test_running_a_half_signed_day_again_drops_the_signature(world: BillWorld) -> None:
    view = world.credited()
    run(world, row_of(view, fen=501))
    sign(world, "会计王")
    run(world, row_of(view, fen=501))
    assert (result(world).status, result(world).signers) == (ReconStatus.DONE, ())
    assert not sign(world, "出纳李").signed
    assert sign(world, "会计王").signed


def test_each_kind_of_question_counts_as_open(world: BillWorld) -> None:
    """A difference of a row, the one question about foreign rows."""
    run(world, row_of(world.credited(), fen=501), Paid("MEAL01", "t1", 300))
    found = sign(world, "会计王").open_questions
    assert {question.key.split(":")[0] for question in found} == {"AMOUNT_DIFFERS", "FOREIGN"}
    assert len(found) == len(items(world)) == 2


def test_a_question_of_another_day_does_not_count(world: BillWorld) -> None:
    view = world.credited()
    run(world, row_of(view), Paid("MEAL01", "t1", 300))
    # The other system is known now, and its rows are only counted.
    run(world, row_of(view), Paid("MEAL01", "t1", 300), foreign_prefixes=["MEAL"])
    assert sign(world, "会计王").signed


def test_a_proposal_is_still_open(world: BillWorld) -> None:
    run(world, row_of(world.credited(), fen=501))
    with world.database.transaction() as session:
        for item in session.scalars(select(ReviewItem)):
            item.status = ReviewStatus.PROPOSED
    assert len(sign(world, "会计王").open_questions) == 1


def test_automatic_work_never_signs(world: BillWorld) -> None:
    run(world, row_of(world.credited()))
    with pytest.raises(Refused):
        sign_off.sign(world.services, on=ON, actor=Actor.system("worker"))
