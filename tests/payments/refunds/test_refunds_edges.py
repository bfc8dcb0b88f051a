"""Refunds beside other things that happen: second payments, late workers, contradictions, lost memories."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from billing.interface import Capabilities, CreditReceipt
from models.errors import AmountInvalid, Unknown
from models.order import CreditStatus, Order, PaymentAttempt
from models.refund import RefundStatus, ReversalStatus
from models.review import ReviewKind
from payments import settle
from payments.refunds import delivery as refund_delivery
from payments.refunds.delivery import next_poll
from payments.refunds.facts import record_refund
from payments.refunds.steps import give_up, locked
from payments.wechatpay.client import RefundTrade
from sandbox.credentials import Credentials
from sandbox.pay import refunds_api
from tests.models_of_money.world import make_template
from tests.payments.refunds.refund_world import RefundWorld


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


def paid_again(world: RefundWorld, order_no: str) -> str:
    """The payer pays a second attempt of the same order. Returns: its number."""
    second = f"{order_no}02"
    with world.database.transaction() as session:
        order = session.scalars(select(Order).where(Order.order_no == order_no)).one()
        session.add(
            PaymentAttempt(order_id=order.id, seq=2, out_trade_no=second, created_at=world.clock.now())
        )
    world.services.pay.prepay(
        out_trade_no=second,
        description="网费",
        amount_fen=order.amount_fen,
        openid=order.payer_openid,
        expires_at=world.clock.now() + timedelta(minutes=30),
    )
    world.platform.pay(second, order.payer_openid)
    world.tell(world.platform.book.get(second))
    return second


def test_a_second_payment_goes_back_without_touching_the_credit(world: RefundWorld) -> None:
    order_no = world.paid(credited=True)
    second = paid_again(world, order_no)
    with pytest.raises(AmountInvalid):
        world.asked(order_no, 501, out_trade_no=second)
    number = world.approved(order_no, 500, out_trade_no=second)
    world.work()
    world.ends(number)
    assert (world.state(number), world.balance_fen()) == (RefundStatus.SUCCESS, 500)
    assert world.refund(number).reversal == ReversalStatus.NOT_NEEDED
    world.check_books()


def test_the_first_payment_of_two_takes_the_credit_with_it(world: RefundWorld) -> None:
    order_no = world.paid(credited=True)
    paid_again(world, order_no)
    number = world.approved(order_no, 500)
    world.work()
    assert world.at_wechat(number).request.out_trade_no == f"{order_no}01"
    assert world.balance_fen() == 0
    world.check_books()


def test_one_payment_never_gives_back_more_than_it_brought(world: RefundWorld) -> None:
    # The database watches the order as a whole, and the first payment's money still waits for its credit:
    # without the check of the payment it would go back in place of the second one's, which is gone.
    order_no = world.paid()
    second = paid_again(world, order_no)
    number = world.approved(order_no, 500, out_trade_no=second)
    refund = world.refund(number)
    gone = trade_of(world, refund.out_trade_no, number="console1", amount_fen=500)
    with world.database.transaction() as session:
        assert record_refund(session, gone, cause="bill", now=world.clock.now()) is not None
    refund_delivery.deliver(world.services, world.claim_refund())
    assert world.state(number) == RefundStatus.CLOSED
    world.work()
    assert (world.credit(order_no).status, world.balance_fen()) == (CreditStatus.CREDITED, 500)
    world.check_books()


def trade_of(world: RefundWorld, out_trade_no: str, **changes: Any) -> RefundTrade:
    trade = world.platform.book.get(out_trade_no)
    fact = RefundTrade(
        out_refund_no=str(changes.pop("number")),
        refund_id="50300000000001",
        out_trade_no=out_trade_no,
        transaction_id=trade.transaction_id,
        status="SUCCESS",
        amount_fen=500,
        total_fen=500,
        currency="CNY",
        mch_id="",
        success_at=None,
    )
    return replace(fact, **changes)


def test_a_refund_of_a_credit_that_waits_for_a_person_waits_too_and_says_so(
    world: RefundWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    able = world.services.billing.capabilities()
    unable = Capabilities(**{**vars(able), "find_credit": False})
    monkeypatch.setattr(world.billing._inner, "capabilities", lambda: unable)
    world.billing.faults = [("after", Unknown("timeout"))]
    order_no = world.paid()
    world.work()
    world.later()
    assert world.credit(order_no).status == CreditStatus.MANUAL
    number = world.approved(order_no)
    world.later()
    world.later()
    assert (world.state(number), world.sent()) == (RefundStatus.APPROVED, 0)
    assert ("REFUND_UNKNOWN", f"{number}:credit") in world.questions()


def during_reversal(world: RefundWorld, happens: Callable[[], object]) -> None:
    """While our call to billing is on its way (and done), something else happens, once."""
    inner = world.billing._inner
    reverse = inner.reverse
    waiting = [happens]

    def slow(*arguments: Any, **more: Any) -> CreditReceipt:
        receipt = reverse(*arguments, **more)
        if waiting:
            waiting.pop()()
        return receipt

    inner.reverse = slow  # type: ignore[method-assign]  # one object, for one test


def test_a_worker_that_comes_back_late_counts_nothing_twice(world: RefundWorld) -> None:
    number = world.approved(world.paid(credited=True), 200)

    def somebody_else_goes_on() -> None:
        world.clock.advance(60)
        successor = world._new_worker()
        while successor.run_once():
            pass
        assert world.state(number) == RefundStatus.PROCESSING

    during_reversal(world, somebody_else_goes_on)
    world.work()
    assert (world.state(number), world.sent(), world.balance_fen()) == (RefundStatus.PROCESSING, 1, 300)
    world.check_books()


def test_a_reversal_that_arrives_after_the_refund_was_given_up_is_counted_and_asked_about(
    world: RefundWorld,
) -> None:
    # Without it the student's money would have left the account and be nowhere.
    number = world.approved(world.paid(credited=True), 200)

    def given_up() -> None:
        with world.database.transaction() as session:
            order, refund = locked(session, number)
            give_up(
                session,
                order,
                refund,
                ReviewKind.REVERSAL_REFUSED,
                actor="other",
                now=world.clock.now(),
                reason="E-BALANCE",
            )

    during_reversal(world, given_up)
    world.work()
    assert (world.state(number), world.refund(number).reversal) == (RefundStatus.CLOSED, ReversalStatus.DONE)
    assert world.questions() == [("REVERSAL_REFUSED", number), ("LATE_REVERSAL", number)]
    assert world.sent() == 0
    world.check_books()


def test_a_reversal_of_another_amount_under_our_key_stops_the_refund(world: RefundWorld) -> None:
    number = world.approved(world.paid(credited=True), 200)
    world.billing.faults = [("after", Unknown("timeout"))]
    world.work()
    inner = world.billing._inner
    find = inner.find_reversal

    def lying(account_no: str, key: str, *, ref: str | None = None) -> CreditReceipt | None:
        found = find(account_no, key, ref=ref)
        return None if found is None else replace(found, amount_fen=199)

    inner.find_reversal = lying  # type: ignore[method-assign]  # one object, for one test
    world.later()
    assert (world.state(number), world.sent()) == (RefundStatus.APPROVED, 0)
    assert world.questions() == [("REFUND_UNKNOWN", f"{number}:reversal_amount")]


def test_an_accepted_refund_that_wechat_forgot_is_not_sent_again(world: RefundWorld) -> None:
    number = world.approved(world.paid(credited=True), 200)
    world.work()
    world.platform.refunds._refunds.clear()
    world.later()
    assert (world.state(number), world.sent()) == (RefundStatus.PROCESSING, 0)
    assert world.questions() == [("REFUND_UNKNOWN", f"{number}:refund_lost")]


def test_a_refund_under_way_for_a_week_is_shown_to_a_person(world: RefundWorld) -> None:
    number = world.approved(world.paid(credited=True), 200)
    world.work()
    for _ in range(7):
        world.later(86_400)
    assert world.questions() == []
    world.later(2 * 86_400)
    assert world.questions() == [("REFUND_UNKNOWN", number)]
    assert world.state(number) == RefundStatus.PROCESSING


def test_a_refund_that_we_believed_not_accepted_is_taken_from_wechat_s_word(world: RefundWorld) -> None:
    number = world.approved(world.paid(credited=True), 200)
    world.fault("not_enough")
    world.work()
    refund = world.refund(number)
    assert (refund.status, refund.held) == (RefundStatus.APPROVED, True)
    fact = trade_of(world, refund.out_trade_no, number=number, amount_fen=200)
    with world.database.transaction() as session:
        record_refund(session, fact, cause="notify", now=world.clock.now())
    assert world.state(number) == RefundStatus.SUCCESS
    world.later()
    assert world.sent() == 0, "nothing left to send"
    world.check_books()


def test_a_notice_whose_two_words_for_the_end_differ_goes_to_a_person(world: RefundWorld) -> None:
    number = world.approved(world.paid(credited=True), 200)
    world.work()
    world.ends(number, tell=False)
    event = replace(refunds_api.refund_event(world.at_wechat(number)), event_type="REFUND.CLOSED")
    assert world.platform.notifier.send(event) == 204
    assert world.state(number) == RefundStatus.PROCESSING
    assert [kind for kind, _ in world.questions()] == ["NOTIFY_MISMATCH"]


def test_our_own_refund_is_not_taken_for_one_made_elsewhere(world: RefundWorld) -> None:
    order_no = world.paid(credited=True)
    number = world.approved(order_no, 200)
    world.work()
    trade = world.services.pay.query(f"{order_no}01")
    assert trade.trade_state == "REFUND"
    settle.record_trade(world.services, trade, cause="bill")
    assert world.questions() == []
    assert world.state(number) == RefundStatus.PROCESSING


def test_questions_about_a_refund_under_way_become_rarer() -> None:
    start = datetime(2026, 3, 10, tzinfo=UTC)
    ages = []
    now = start
    for _ in range(8):
        now = next_poll(start, now)
        ages.append((now - start).total_seconds())
    day = 86_400
    assert ages == [60, 300, 900, 3600, 21_600, 21_600 + day, 21_600 + 2 * day, 21_600 + 3 * day]
