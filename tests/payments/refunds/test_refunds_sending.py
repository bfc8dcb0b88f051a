"""A refund is sent once, whatever the line does, and followed to its end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from models.journal import JournalRow
from models.outbox import OutboxItem
from models.refund import RefundStatus
from payments import sweep
from sandbox.credentials import Credentials
from sandbox.pay.errors import PayError
from tests.models_of_money.world import make_template
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


@pytest.mark.parametrize(
    "name",
    ["effect_then_timeout", "error_500_after", "rate_429_after", "unsigned", "wrong_key", "stale_timestamp"],
)
def test_an_answer_that_is_lost_after_the_effect_is_found_by_asking(world: RefundWorld, name: str) -> None:
    number = world.approved(world.paid(credited=True))
    world.fault(name)
    world.work()
    world.later()
    assert (world.state(number), world.sent()) == (RefundStatus.PROCESSING, 1)
    assert posts(world, number) == 1, "asked, not sent again"


@pytest.mark.parametrize("name", ["timeout", "reset", "error_500", "rate_429", "answer_202", "not_enough"])
def test_what_wechat_never_accepted_is_sent_again_under_the_same_number(
    world: RefundWorld, name: str
) -> None:
    number = world.approved(world.paid(credited=True))
    world.fault(name)
    world.work()
    assert world.state(number) in {RefundStatus.UNKNOWN, RefundStatus.APPROVED}
    world.later()
    assert (world.state(number), world.sent()) == (RefundStatus.PROCESSING, 1)
    assert posts(world, number) == 2
    world.check_books()


def test_without_an_answer_to_the_question_nothing_is_sent_again(world: RefundWorld) -> None:
    # Fails when a doubtful refund is sent before WeChat was asked.
    number = world.approved(world.paid(credited=True))
    world.fault("timeout")
    world.work()
    for name in ("error_500", "rate_429"):
        world.fault(name, "pay.refund_query")
        world.later(700)
    assert (posts(world, number), world.sent()) == (1, 0)
    world.later(700)
    assert world.sent() == 1


def test_a_full_purse_is_missing_and_a_person_hears_of_it_once(world: RefundWorld) -> None:
    number = world.approved(world.paid(credited=True))
    for _ in range(3):
        world.fault("not_enough")
    world.work()
    for _ in range(3):
        world.later()
    assert world.questions() == [("JOB_FAILED", f"{number}:NOTENOUGH")]
    assert (world.state(number), world.sent()) == (RefundStatus.PROCESSING, 1)


def test_a_final_refusal_ends_the_refund_and_frees_its_money(world: RefundWorld) -> None:
    order_no = world.paid(credited=True)
    number = world.approved(order_no, 200)
    world.fault("account_abnormal")
    world.work()
    assert (world.state(number), world.sent()) == (RefundStatus.CLOSED, 0)
    closed = world.refund(number)
    assert (closed.last_error, closed.held) == ("USERACCOUNTABNORMAL", False)
    assert world.questions() == [("REFUND_CLOSED", number)]
    world.check_books()


def test_after_an_hour_without_a_clear_answer_a_person_is_told_and_the_job_goes_on(
    world: RefundWorld,
) -> None:
    number = world.approved(world.paid(credited=True))
    world.fault("timeout")
    world.work()
    for _ in range(14):
        world.fault("error_500", "pay.refund_query")
        world.later(800)
    assert world.questions() == [("REFUND_UNKNOWN", number)]
    world.later(800)
    assert world.state(number) == RefundStatus.PROCESSING


# What becomes of it


def test_a_lost_notice_is_found_by_asking(world: RefundWorld) -> None:
    number = world.approved(world.paid(credited=True))
    world.work()
    world.ends(number, tell=False)
    world.later(59)
    assert world.state(number) == RefundStatus.PROCESSING
    world.later(2)
    assert world.state(number) == RefundStatus.SUCCESS
    assert world.refund(number).success_at == world.at_wechat(number).success_at


def test_the_payer_hears_when_it_is_submitted_and_when_it_arrived(world: RefundWorld) -> None:
    number = world.approved(world.paid(credited=True))
    world.work()
    world.ends(number)
    world.tell_refund(number)
    world.work()
    assert world.told[-2:] == [f"refund-processing:{number}", f"refund-success:{number}"]


def test_an_abnormal_refund_waits_for_a_person_and_is_followed_to_its_end(world: RefundWorld) -> None:
    number = world.approved(world.paid(credited=True))
    world.work()
    world.ends(number, "ABNORMAL")
    assert world.questions() == [("REFUND_ABNORMAL", number)]
    world.check_books()
    world.ends(number, tell=False)
    world.later(2 * 86_400)
    assert world.state(number) == RefundStatus.SUCCESS
    world.check_books()


def test_every_state_is_in_the_journal(world: RefundWorld) -> None:
    order_no = world.paid(credited=True)
    number = world.approved(order_no, 200)
    world.work()
    world.ends(number)
    with world.database.reading() as session:
        rows = session.scalars(
            select(JournalRow).where(JournalRow.order_no == order_no).order_by(JournalRow.id)
        ).all()
    story = [(row.what, row.actor) for row in rows if row.facts.get("out_refund_no") == number]
    assert story == [
        ("refund-requested", ANNA.name),
        ("refund-approved", BERT.name),
        ("credit-reversed", "worker"),
        ("refund-sending", "worker"),
        ("refund-processing", "answer"),
        ("refund-success", "notify"),
    ]


def test_the_job_ends_with_the_refund(world: RefundWorld) -> None:
    number = world.approved(world.paid(credited=True))
    world.work()
    world.ends(number)
    world.later(3600)
    with world.database.reading() as session:
        job = session.scalars(select(OutboxItem).where(OutboxItem.kind == "refund")).one()
    assert (job.key, job.status) == (number, "DONE")


def test_a_refund_whose_job_is_gone_is_swept_up(world: RefundWorld) -> None:
    number = world.approved(world.paid(credited=True))
    with world.database.transaction() as session:
        session.delete(session.scalars(select(OutboxItem).where(OutboxItem.kind == "refund")).one())
    world.later(1000)
    assert world.state(number) == RefundStatus.APPROVED
    sweep.sweep(world.services)
    world.work()
    assert world.state(number) == RefundStatus.PROCESSING


def posts(world: RefundWorld, number: str) -> int:
    """How many times this refund was sent, whether it arrived or not."""
    return sum(
        1
        for exchange in world.counterpart.engine.wire.since(0)
        if exchange.method == "POST" and exchange.kind == "pay.refund" and number in exchange.request_body
    )


def test_wechat_itself_refuses_what_we_would_have_done_twice(world: RefundWorld) -> None:
    # The last wall, on the other side: another number for the same money is refused there.
    number = world.approved(world.paid(credited=True))
    world.work()
    taken = world.at_wechat(number)
    with pytest.raises(PayError):
        world.platform.refunds.accept(
            taken.order, type(taken.request)(**{**vars(taken.request), "out_refund_no": "another"})
        )
