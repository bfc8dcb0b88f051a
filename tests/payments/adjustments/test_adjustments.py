"""Adjusting entries (调账): two operators, a ledger book of their own, three outcomes of the call."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import delete, func, select, update

from billing.interface import StatementKind
from models.adjustment import Adjustment, AdjustmentStatus, NoSuchAdjustment
from models.errors import (
    AmountInvalid,
    AmountOutOfRange,
    Conflict,
    IllegalTransition,
    NoSuchAccount,
    Refused,
    Unavailable,
    Unknown,
)
from models.ledger import Posting
from models.outbox import OutboxItem
from models.review import ReviewItem, ReviewKind
from payments import account_closing, outbox, sweep
from payments.adjustments import approval as adjustments
from payments.adjustments import delivery
from payments.audit.invariants import check
from payments.review import queue as reviews
from sandbox.credentials import Credentials
from tests.models_of_money.world import make_template
from tests.payments.payouts.payout_world import ACCOUNT, PayoutWorld
from tests.payments.refunds.refund_world import ANNA, BERT

EVIDENCE = "工单 20260310-17 及截图"


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("adjustments"))


@pytest.fixture
def world(
    template: Path, tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PayoutWorld]:
    built = PayoutWorld(template, tmp_path / "world.db", credentials, monkeypatch)
    yield built
    built.check_books()
    built.close()


def requested(world: PayoutWorld, amount_fen: int = 300) -> str:
    wanted = adjustments.Wanted(ACCOUNT, amount_fen, "断网补偿", EVIDENCE)
    return adjustments.request(world.services, wanted, actor=ANNA).adjustment_no


def agreed(world: PayoutWorld, amount_fen: int = 300) -> str:
    number = requested(world, amount_fen)
    adjustments.approve(world.services, adjustment_no=number, actor=BERT)
    return number


def state(world: PayoutWorld, number: str) -> AdjustmentStatus:
    return AdjustmentStatus(adjustments.look(world.services, number).status)


def only_item(world: PayoutWorld) -> ReviewItem:
    with world.database.reading() as session:
        return session.scalars(select(ReviewItem)).one()


def test_an_entry_stands_in_its_own_book_and_in_the_statement(world: PayoutWorld) -> None:
    number = agreed(world)
    agreed(world, -100)
    world.work()
    assert (world.balance_fen(), state(world, number)) == (200, AdjustmentStatus.DONE)
    with world.database.reading() as session:
        book = select(func.sum(Posting.amount_fen)).where(Posting.book == "adjustments")
        assert session.scalar(book) == -200
    newest, oldest = world.services.billing.statement(ACCOUNT)
    assert (oldest.kind, oldest.amount_fen, oldest.memo) == (StatementKind.ADJUSTMENT, 300, "调账：断网补偿")
    assert (newest.amount_fen, newest.balance_after_fen) == (-100, 200)


def test_nothing_moves_before_the_approval_and_a_rejection_ends_it(world: PayoutWorld) -> None:
    number = requested(world)
    world.later()
    assert (world.balance_fen(), state(world, number)) == (0, AdjustmentStatus.REQUESTED)
    adjustments.reject(world.services, adjustment_no=number, actor=ANNA)
    for decide in (adjustments.approve, adjustments.reject):
        with pytest.raises(IllegalTransition):
            decide(world.services, adjustment_no=number, actor=BERT)
    with pytest.raises(NoSuchAdjustment):
        adjustments.approve(world.services, adjustment_no="j0", actor=BERT)


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        (adjustments.Wanted(ACCOUNT, 0, "x", EVIDENCE), AmountInvalid),
        (adjustments.Wanted(ACCOUNT, 1_000_001, "x", EVIDENCE), AmountOutOfRange),
        (adjustments.Wanted(ACCOUNT, -1_000_001, "x", EVIDENCE), AmountOutOfRange),
        (adjustments.Wanted(ACCOUNT, 100, " ", EVIDENCE), Refused),
        (adjustments.Wanted(ACCOUNT, 100, "a\nb", EVIDENCE), Refused),
        (adjustments.Wanted(ACCOUNT, 100, "x" * 81, EVIDENCE), Refused),
        (adjustments.Wanted(ACCOUNT, 100, "x", "ok"), Refused),
        (adjustments.Wanted("2499999999", 100, "x", EVIDENCE), NoSuchAccount),
    ],
)
def test_what_is_incomplete_is_refused(
    world: PayoutWorld, wanted: adjustments.Wanted, error: type[Exception]
) -> None:
    with pytest.raises(error):
        adjustments.request(world.services, wanted, actor=ANNA)
    assert adjustments.newest(world.services) == []


def test_more_than_the_account_holds_is_refused_and_asked_about(world: PayoutWorld) -> None:
    number = agreed(world, -100)
    world.work()
    assert (state(world, number), world.balance_fen()) == (AdjustmentStatus.REFUSED, 0)
    item = only_item(world)
    assert (item.kind, item.amount_fen) == (ReviewKind.ADJUSTMENT_REFUSED, 100)
    world.cash(500)
    reviews.propose(world.services, item.id, action="adjust-again", actor=ANNA, evidence=EVIDENCE)
    reviews.approve(world.services, item.id, actor=BERT)
    world.work()
    assert (state(world, number), world.balance_fen()) == (AdjustmentStatus.DONE, 400)


FAULTS = [("before", Unavailable("a")), ("before", Unknown("a")), ("after", Unknown("a"))]


@pytest.mark.parametrize("fault", FAULTS)
def test_an_answer_that_is_missing_changes_nothing_in_the_end(
    world: PayoutWorld, fault: tuple[str, Exception]
) -> None:
    number = agreed(world)
    world.billing.faults_of = {"adjust": [fault]}
    world.work()
    world.later()
    assert (state(world, number), world.balance_fen()) == (AdjustmentStatus.DONE, 300)


def test_a_paused_worker_s_entry_that_others_took_for_undone_counts(world: PayoutWorld) -> None:
    """Worker A stops before its call; B asks, finds nothing and meets a refusal; then A goes on."""
    number = agreed(world)
    with world.database.transaction() as session:
        (a,) = outbox.claim(session, "A", now=world.clock.now(), limit=5, kinds=["adjustment"])
    entry, doubtful = delivery._begin(world.services, a)
    assert not doubtful
    world.clock.advance(31)
    world.billing.faults_of = {"adjust": [("before", Refused("no"))]}
    world.work()
    assert state(world, number) == AdjustmentStatus.UNKNOWN
    with pytest.raises(Conflict):
        delivery._send(world.services, a, entry, doubtful=False)
    assert world.balance_fen() == 0, "its lease is over"
    # Stopped between its last look at the lease and the call, it makes the call all the same.
    receipt = world.services.billing.adjust(entry.account_no, 300, key=number, memo="断网补偿")
    delivery._finish(world.services, a, receipt)
    assert (state(world, number), world.balance_fen()) == (AdjustmentStatus.DONE, 300)


def test_a_receipt_after_a_refusal_opens_a_question_with_a_repair(world: PayoutWorld) -> None:
    number = agreed(world)
    with world.database.transaction() as session:
        (held,) = outbox.claim(session, "A", now=world.clock.now(), limit=5, kinds=["adjustment"])
    entry, _ = delivery._begin(world.services, held)
    delivery._refused(world.services, held, "E-X", doubtful=False)
    receipt = world.services.billing.adjust(entry.account_no, 300, key=number, memo="断网补偿")
    delivery._finish(world.services, held, receipt)
    with world.database.reading() as session:
        item = session.scalars(
            select(ReviewItem).where(ReviewItem.kind == ReviewKind.ADJUSTMENT_UNKNOWN)
        ).one()
        assert any(number in finding for finding in check(session))
    reviews.propose(world.services, item.id, action="adjustment-arrived", actor=ANNA, evidence=EVIDENCE)
    reviews.approve(world.services, item.id, actor=BERT)
    assert (state(world, number), world.balance_fen()) == (AdjustmentStatus.DONE, 300)


def test_a_lost_job_is_promised_again(world: PayoutWorld) -> None:
    number = agreed(world)
    with world.database.transaction() as session:
        session.execute(delete(OutboxItem).where(OutboxItem.kind == "adjustment"))
    world.clock.advance(3600)
    sweep.sweep(world.services)
    world.work()
    assert state(world, number) == AdjustmentStatus.DONE


def test_the_check_finds_an_entry_that_one_side_has_alone(world: PayoutWorld) -> None:
    number = agreed(world)
    world.work()
    with world.database.transaction() as session:
        session.execute(update(Adjustment).values(status=AdjustmentStatus.REJECTED))
    with world.database.reading() as session:
        assert any(number in finding for finding in check(session))
    with world.database.transaction() as session:
        session.execute(update(Adjustment).values(status=AdjustmentStatus.DONE, amount_fen=299))
    with world.database.reading() as session:
        assert any(number in finding for finding in check(session))
    with world.database.transaction() as session:
        session.execute(update(Adjustment).values(amount_fen=300))


def test_an_account_is_closed_by_two_and_takes_no_more_money(world: PayoutWorld) -> None:
    world.cash(500)
    account_closing.request(world.services, account_no=ACCOUNT, actor=ANNA)
    with pytest.raises(IllegalTransition):
        account_closing.request(world.services, account_no=ACCOUNT, actor=BERT)
    assert [one.account_no for one in account_closing.waiting(world.services)] == [ACCOUNT]
    world.services.billing.find_account(ACCOUNT)
    account_closing.approve(world.services, account_no=ACCOUNT, actor=BERT)
    for attempt in (
        lambda: world.services.billing.find_account(ACCOUNT),
        lambda: world.services.billing.credit(ACCOUNT, 100, key="k"),
        lambda: world.services.billing.adjust(ACCOUNT, 100, key="k", memo="x"),
        lambda: account_closing.request(world.services, account_no=ACCOUNT, actor=ANNA),
    ):
        with pytest.raises(NoSuchAccount):
            attempt()
    agreed(world, -200)
    world.work()
    assert world.balance_fen() == 300
    with pytest.raises(account_closing.NoSuchClosing):
        account_closing.approve(world.services, account_no=ACCOUNT, actor=BERT)
    assert account_closing.waiting(world.services) == []


def test_a_rejected_closing_leaves_the_account_open(world: PayoutWorld) -> None:
    account_closing.request(world.services, account_no=ACCOUNT, actor=ANNA)
    account_closing.reject(world.services, account_no=ACCOUNT, actor=ANNA)
    world.cash(500)
    assert world.balance_fen() == 500
