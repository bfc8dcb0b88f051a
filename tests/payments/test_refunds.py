"""Money back: what is asked, who agrees, how it is freed; then sent once, whatever the line does."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from billing.embedded import ledger
from billing.interface import Capabilities
from models.errors import AmountInvalid, IllegalTransition, LimitReached, NoSuchOrder, Refused, Unknown
from models.journal import JournalRow
from models.order import CreditStatus
from models.outbox import OutboxItem
from models.refund import RefundStatus, ReversalStatus
from payments import refund_delivery, refunds
from payments.refund_steps import NoSuchRefund
from sandbox.credentials import Credentials
from sandbox.pay.errors import PayError
from tests.models_of_money.world import ACCOUNTS, make_template
from tests.payments.refund_world import ANNA, BERT, RefundWorld


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


def spend(world: RefundWorld, amount_fen: int) -> None:
    """The student buys something with the balance."""
    with world.database.transaction() as session:
        legs = (
            ledger.Leg(ledger.book_of(ACCOUNTS[0]), -amount_fen),
            ledger.Leg("income:packages", amount_fen),
        )
        ledger.post(session, key="bought", kind=ledger.EXCHANGE, legs=legs, at=world.clock.now())


def watched(world: RefundWorld) -> list[str]:
    """Do all that is due now. Returns: the places passed meanwhile."""
    world.points.arm(None)
    while world.worker.run_once():
        pass
    return world.points.passed


# Asking and agreeing


def test_nothing_moves_before_a_second_person_agrees(world: RefundWorld) -> None:
    number = world.asked(world.paid(credited=True))
    world.later()
    assert world.state(number) == RefundStatus.REQUESTED
    assert (world.sent(), world.balance_fen()) == (0, 500)
    for same in (ANNA, f" {ANNA.upper()} "):
        with pytest.raises(refunds.SamePerson):
            refunds.approve(world.services, out_refund_no=number, actor=same)
    refunds.approve(world.services, out_refund_no=number, actor=BERT)
    world.work()
    assert world.sent() == 1


def test_a_rejected_refund_is_over_and_its_money_can_be_asked_for_again(world: RefundWorld) -> None:
    order_no = world.paid(credited=True)
    number = world.asked(order_no)
    refunds.reject(world.services, out_refund_no=number, actor=BERT)
    with pytest.raises(IllegalTransition):
        refunds.approve(world.services, out_refund_no=number, actor=BERT)
    with pytest.raises(IllegalTransition):
        refunds.reject(world.services, out_refund_no=number, actor=BERT)
    assert world.asked(order_no) != number
    world.later()
    assert world.sent() == 0


def test_approving_twice_sends_once(world: RefundWorld) -> None:
    number = world.approved(world.paid(credited=True))
    with pytest.raises(IllegalTransition):
        refunds.approve(world.services, out_refund_no=number, actor=BERT)
    world.work()
    assert world.sent() == 1


def test_no_more_than_was_paid_can_be_asked_for_in_sum(world: RefundWorld) -> None:
    order_no = world.paid(credited=True)
    world.asked(order_no, 300)
    world.clock.advance(61)
    with pytest.raises(AmountInvalid, match=r"2\.00"):
        world.asked(order_no, 201)
    world.asked(order_no, 200)
    world.clock.advance(61)
    with pytest.raises(AmountInvalid):
        world.asked(order_no, 1)


@pytest.mark.parametrize("amount_fen", [0, -1, 501])
def test_an_amount_that_was_never_paid_is_refused(world: RefundWorld, amount_fen: int) -> None:
    order_no = world.paid(credited=True)
    with pytest.raises(AmountInvalid):
        world.asked(order_no, amount_fen)


def test_refunds_of_one_payment_are_a_minute_apart(world: RefundWorld) -> None:
    order_no = world.paid(credited=True)
    world.asked(order_no, 1)
    world.clock.advance(59)
    with pytest.raises(LimitReached):
        world.asked(order_no, 1)
    world.clock.advance(1)
    world.asked(order_no, 1)


def test_there_are_at_most_fifty_refunds_of_one_payment(world: RefundWorld) -> None:
    order_no = world.paid(credited=True)
    for _ in range(50):
        world.asked(order_no, 1)
        world.clock.advance(60)
    with pytest.raises(LimitReached):
        world.asked(order_no, 1)


def test_a_payment_of_more_than_a_year_ago_is_refused(world: RefundWorld) -> None:
    order_no = world.paid(credited=True)
    world.clock.advance(366 * 86_400)
    with pytest.raises(IllegalTransition):
        world.asked(order_no)


def test_only_paid_orders_and_named_people_and_reasons(world: RefundWorld) -> None:
    unpaid = world.start(0, 0, 500)
    assert unpaid is not None
    with pytest.raises(IllegalTransition):
        world.asked(unpaid)
    with pytest.raises(NoSuchOrder):
        world.asked("r20260101nothing0000")
    order_no = world.paid(700, credited=True)
    wrongs: tuple[dict[str, Any], ...] = (
        {"actor": " "},
        {"actor": "a" * 65},
        {"reason": " "},
        {"reason": "a" * 81},
    )
    for wrong in wrongs:
        with pytest.raises(Refused):
            world.asked(order_no, **wrong)
    with pytest.raises(IllegalTransition):
        world.asked(order_no, out_trade_no="elsewhere")
    with pytest.raises(NoSuchRefund):
        refunds.approve(world.services, out_refund_no="f1", actor=BERT)


def test_part_of_an_order_that_is_not_credited_cannot_go_back(world: RefundWorld) -> None:
    # Without this check the rest would be neither credited nor refunded.
    with pytest.raises(IllegalTransition, match="全额"):
        world.asked(world.paid(), 499)


# Freeing the money


def test_a_credited_order_is_reversed_before_the_money_goes_back(world: RefundWorld) -> None:
    order_no = world.paid(credited=True)
    number = world.approved(order_no, 200)
    steps = [place for place in watched(world) if place in {"after reverse", "before POST"}]
    assert steps[:2] == ["after reverse", "before POST"]
    assert (world.balance_fen(), world.refund(number).reversal) == (300, ReversalStatus.DONE)
    assert world.credit(order_no).status == CreditStatus.CREDITED
    world.ends(number)
    assert world.state(number) == RefundStatus.SUCCESS
    world.check_books()


def test_an_order_that_waits_for_its_credit_is_never_credited_afterwards(world: RefundWorld) -> None:
    order_no = world.paid()
    # The credit cannot start before the refund does: both are due now, billing is away once.
    number = world.approved(order_no)
    refund_delivery.deliver(world.services, world.claim_refund())
    assert world.credit(order_no).status == CreditStatus.VOIDED
    world.later()
    assert (world.balance_fen(), world.sent()) == (0, 1)
    world.ends(number)
    world.check_books()


def test_a_rejected_credit_is_voided_and_the_money_goes_back(world: RefundWorld) -> None:
    world.billing.faults = [("before", Refused("暂停入账"))]
    order_no = world.paid()
    world.work()
    assert world.credit(order_no).status == CreditStatus.REJECTED
    number = world.approved(order_no)
    world.work()
    assert world.credit(order_no).status == CreditStatus.VOIDED
    world.ends(number)
    assert (world.balance_fen(), world.state(number)) == (0, RefundStatus.SUCCESS)
    world.check_books()


def test_a_refund_waits_until_a_doubtful_credit_is_decided(world: RefundWorld) -> None:
    world.billing.faults = [("after", Unknown("timeout"))]
    order_no = world.paid()
    world.turn()
    assert world.credit(order_no).status == CreditStatus.UNKNOWN
    number = world.approved(order_no)
    refund_delivery.deliver(world.services, world.claim_refund())
    assert (world.state(number), world.sent()) == (RefundStatus.APPROVED, 0)
    world.later()
    world.later()
    assert world.credit(order_no).status == CreditStatus.CREDITED
    assert (world.balance_fen(), world.sent()) == (0, 1)
    world.check_books()


def test_money_that_was_spent_does_not_go_back_and_a_person_is_asked(world: RefundWorld) -> None:
    order_no = world.paid(credited=True)
    spend(world, 400)
    number = world.approved(order_no)
    world.work()
    assert (world.state(number), world.sent(), world.balance_fen()) == (RefundStatus.CLOSED, 0, 100)
    assert world.questions() == [("REVERSAL_REFUSED", number)]
    world.check_books()


@pytest.mark.parametrize(("when", "calls"), [("before", 2), ("after", 1)])
def test_a_doubtful_reversal_is_asked_about_first(world: RefundWorld, when: str, calls: int) -> None:
    # Without the question the second call would be blind; a back end without keys would reverse twice.
    order_no = world.paid(credited=True)
    number = world.approved(order_no, 200)
    world.billing.faults = [(when, Unknown("timeout"))]
    places = watched(world)
    assert world.refund(number).reversal == ReversalStatus.UNKNOWN
    world.clock.advance(60)
    places += watched(world)
    places = [place for place in places if place in {"before reverse", "before find_reversal"}]
    assert places == ["before reverse", "before find_reversal", "before reverse"][: calls + 1]
    assert (world.balance_fen(), world.sent()) == (300, 1)
    world.check_books()


def test_a_back_end_that_cannot_reverse_leaves_it_to_a_person(
    world: RefundWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_no = world.paid(credited=True)
    able = world.services.billing.capabilities()
    unable = Capabilities(**{**vars(able), "reverse": False})
    monkeypatch.setattr(world.billing._inner, "capabilities", lambda: unable)
    number = world.approved(order_no)
    world.work()
    assert (world.state(number), world.sent(), world.balance_fen()) == (RefundStatus.CLOSED, 0, 500)
    assert world.questions() == [("REVERSAL_REFUSED", number)]
    world.check_books()


def test_a_reversed_refund_that_wechat_closed_can_be_asked_for_again_without_a_second_reversal(
    world: RefundWorld,
) -> None:
    order_no = world.paid(credited=True)
    first = world.approved(order_no, 200)
    world.work()
    world.ends(first, "CLOSED")
    assert world.questions() == [("REFUND_CLOSED", first)]
    world.clock.advance(61)
    second = world.approved(order_no, 200)
    world.work()
    world.ends(second)
    assert (world.balance_fen(), world.state(second)) == (300, RefundStatus.SUCCESS)
    assert world.refund(second).reversal == ReversalStatus.NOT_NEEDED


# Sending it


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
    assert world.refund(number).last_error == "USERACCOUNTABNORMAL"
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
        ("refund-requested", ANNA),
        ("refund-approved", BERT),
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
