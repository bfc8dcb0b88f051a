"""What WeChat says about refunds: recorded once, matched field by field, found even when made elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from models.allocation import Allocation
from models.errors import Mismatch
from models.journal import JournalRow
from models.order import CreditStatus, NotifyInbox
from models.refund import Refund, RefundStatus, ReversalStatus
from payments import settle, sweep
from payments.refunds.external import note_external_refund
from payments.refunds.facts import record_refund
from payments.wechatpay.client import RefundTrade
from sandbox.credentials import Credentials
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


def on_its_way(world: RefundWorld, amount_fen: int = 200) -> str:
    number = world.approved(world.paid(credited=True), amount_fen)
    world.work()
    assert world.state(number) == RefundStatus.PROCESSING
    return number


def fact_of(world: RefundWorld, number: str, **changes: Any) -> RefundTrade:
    return replace(world.services.pay.query_refund(number), **changes)


def record(world: RefundWorld, fact: RefundTrade) -> Refund | None:
    with world.database.transaction() as session:
        return record_refund(session, fact, cause="test", now=world.clock.now())


def snapshot(world: RefundWorld) -> list[tuple[Any, ...]]:
    """Everything that a repeated fact must not change."""
    with world.database.reading() as session:
        refunds = [
            (r.out_refund_no, r.refund_id, r.status, r.held, r.success_at, r.changed_at)
            for r in session.scalars(select(Refund))
        ]
        held = [
            (a.order_id, a.credit_fen, a.reversed_fen, a.refund_fen)
            for a in session.scalars(select(Allocation))
        ]
        notes = [(row.id, row.what) for row in session.scalars(select(JournalRow))]
    return [*refunds, *held, *notes, *world.questions()]


def verdicts(world: RefundWorld) -> list[str | None]:
    with world.database.reading() as session:
        return list(session.scalars(select(NotifyInbox.verdict).order_by(NotifyInbox.id)))


@pytest.mark.parametrize("status", ["SUCCESS", "ABNORMAL", "CLOSED"])
def test_a_notice_is_recorded_once_however_often_it_comes(world: RefundWorld, status: str) -> None:
    number = on_its_way(world)
    world.ends(number, status)
    assert world.state(number) == status
    before = snapshot(world)
    for _ in range(3):
        assert world.tell_refund(number) == 204
    assert snapshot(world) == before
    world.check_books()


@pytest.mark.parametrize("late", ["PROCESSING", "ABNORMAL"])
@pytest.mark.parametrize("end", ["SUCCESS", "CLOSED"])
def test_older_news_change_nothing(world: RefundWorld, end: str, late: str) -> None:
    number = on_its_way(world)
    world.ends(number, end)
    before = snapshot(world)
    record(world, fact_of(world, number, status=late))
    assert snapshot(world) == before


@pytest.mark.parametrize(("known", "said"), [("SUCCESS", "CLOSED"), ("CLOSED", "SUCCESS")])
def test_two_ends_of_one_refund_are_a_contradiction(world: RefundWorld, known: str, said: str) -> None:
    number = on_its_way(world)
    world.ends(number, known)
    with pytest.raises(Mismatch, match="refund_status"):
        record(world, fact_of(world, number, status=said))


def test_a_refund_that_we_gave_up_and_wechat_has_after_all_is_a_contradiction(world: RefundWorld) -> None:
    number = world.approved(world.paid(credited=True), 200)
    world.fault("account_abnormal")
    world.work()
    assert world.state(number) == RefundStatus.CLOSED
    fact = invented(world, number, "SUCCESS")
    with pytest.raises(Mismatch, match="refund_status"):
        record(world, fact)


def test_a_refund_that_was_never_sent_cannot_be_known_to_wechat(world: RefundWorld) -> None:
    number = world.asked(world.paid(credited=True), 200)
    with pytest.raises(Mismatch, match="refund_status"):
        record(world, invented(world, number, "PROCESSING"))


def invented(world: RefundWorld, number: str, status: str) -> RefundTrade:
    refund = world.refund(number)
    trade = world.platform.book.get(refund.out_trade_no)
    return RefundTrade(
        out_refund_no=number,
        refund_id="50300000000001",
        out_trade_no=refund.out_trade_no,
        transaction_id=trade.transaction_id,
        status=status,
        amount_fen=refund.amount_fen,
        total_fen=trade.request.amount_fen,
        currency="CNY",
        mch_id="",
        success_at=None,
    )


@pytest.mark.parametrize(
    ("field", "changed"),
    [
        ("out_trade_no", "r20260101somebodyels01"),
        ("amount_fen", 199),
        ("amount_fen", 201),
        ("refund_id", "50300000000009"),
        ("transaction_id", "4200000000000000"),
        ("total_fen", 501),
        ("currency", "USD"),
    ],
)
def test_each_field_is_compared_and_a_difference_changes_nothing(
    world: RefundWorld, field: str, changed: object
) -> None:
    number = on_its_way(world)
    fact = fact_of(world, number, status="SUCCESS", **{field: changed})
    before = snapshot(world)
    with pytest.raises(Mismatch):
        record(world, fact)
    assert snapshot(world) == before


@pytest.mark.parametrize("spoil", ["tamper_amount", "tamper_mchid"])
def test_a_signed_notice_with_a_lie_goes_to_a_person(world: RefundWorld, spoil: str) -> None:
    number = on_its_way(world)
    world.ends(number, tell=False)
    assert world.tell_refund(number, spoil=spoil) == 204
    assert world.state(number) == RefundStatus.PROCESSING
    assert [kind for kind, _ in world.questions()] == ["NOTIFY_MISMATCH"]


def test_a_query_with_a_lie_goes_to_a_person_and_is_asked_again(world: RefundWorld) -> None:
    number = on_its_way(world)
    world.ends(number, tell=False)
    world.fault("tamper_amount", "pay.refund_query")
    world.later()
    assert world.questions() == [("REFUND_UNKNOWN", f"{number}:refund_amount")]
    world.later(2 * 86_400)
    assert world.state(number) == RefundStatus.SUCCESS


def test_a_notice_before_the_answer_is_not_undone_by_it(world: RefundWorld) -> None:
    number = world.approved(world.paid(credited=True), 200)
    answer = world.services.pay.refund

    def told_first(**wanted: Any) -> RefundTrade:
        found = answer(**wanted)
        world.ends(number)
        return found

    world.services.pay.refund = told_first  # type: ignore[method-assign]  # one object, for one test
    world.work()
    assert world.state(number) == RefundStatus.SUCCESS
    world.check_books()


def test_a_closed_refund_releases_its_money_and_asks(world: RefundWorld) -> None:
    number = on_its_way(world)
    world.ends(number, "CLOSED")
    assert world.refund(number).held is False
    assert world.questions() == [("REFUND_CLOSED", number)]
    world.check_books()


# Made elsewhere


def external(world: RefundWorld, number: str, **changes: Any) -> Refund | None:
    fact = fact_of(world, number, **changes)
    with world.database.transaction() as session:
        return note_external_refund(session, fact, cause="bill", now=world.clock.now())


def test_a_refund_made_elsewhere_of_a_waiting_credit_is_recorded_and_never_credited(
    world: RefundWorld,
) -> None:
    # Without the voiding the credit would be sent beside the refund, or stop at the database's wall.
    order_no = world.paid()
    number = world.console(order_no)
    assert world.tell_refund(number) == 204
    found = world.refund(number)
    assert (found.origin, found.status, found.held) == ("external", "SUCCESS", True)
    assert (found.reversal, found.refund_id) == (
        ReversalStatus.NOT_NEEDED,
        world.at_wechat(number).refund_id,
    )
    world.later()
    assert world.credit(order_no).status == CreditStatus.VOIDED
    assert (world.balance_fen(), world.questions()) == (0, [("EXTERNAL_REFUND", number)])
    assert not any(key.startswith("refund-") for key in world.told), "WeChat told the payer itself"
    world.check_books()


def test_a_refund_made_elsewhere_of_a_credited_order_is_left_to_a_person(world: RefundWorld) -> None:
    order_no = world.paid(credited=True)
    number = world.console(order_no)
    for _ in range(3):
        assert world.tell_refund(number) == 204
    assert world.questions() == [("EXTERNAL_REFUND", number)]
    assert verdicts(world)[-1] == f"refund:review:{order_no}01"
    with world.database.reading() as session:
        assert session.scalars(select(Refund)).all() == []
        noted = session.scalars(select(JournalRow).where(JournalRow.what == "refund-external")).all()
    assert [row.facts["recorded"] for row in noted] == [False], "once, not three times"
    world.check_books()


def test_a_repeated_report_of_an_external_refund_changes_nothing(world: RefundWorld) -> None:
    number = world.console(world.paid())
    world.tell_refund(number)
    before = snapshot(world)
    world.tell_refund(number)
    assert external(world, number) is not None
    assert snapshot(world) == before


def test_part_of_a_waiting_order_refunded_elsewhere_leaves_the_rest_to_a_person(world: RefundWorld) -> None:
    order_no = world.paid()
    number = world.console(order_no, 200)
    world.tell_refund(number)
    world.later()
    assert (world.credit(order_no).status, world.balance_fen()) == (CreditStatus.VOIDED, 0)
    assert world.questions() == [("EXTERNAL_REFUND", number)]
    world.check_books()


def test_a_payment_that_is_first_seen_as_refunded_is_never_credited(world: RefundWorld) -> None:
    # The notice of the payment was lost, somebody refunded it in the console: only the query tells.
    order_no = world.start(0, 0, 500)
    assert order_no is not None
    world.prepare(order_no)
    world.pay(order_no)
    number = world.console(order_no, 300)
    world.later()
    world.later()
    assert (world.credit(order_no).status, world.balance_fen()) == (CreditStatus.VOIDED, 0)
    guessed = world.refund(f"x{order_no}01")
    assert (guessed.amount_fen, guessed.origin) == (500, "external")
    world.check_books()
    # Later a notice or the bill tells which refund it was.
    world.tell_refund(number)
    known = world.refund(number)
    assert (known.id, known.amount_fen) == (guessed.id, 300)
    world.check_books()


def test_an_external_refund_of_an_unknown_payment_goes_to_a_person(world: RefundWorld) -> None:
    order_no = world.start(0, 0, 500)
    assert order_no is not None
    world.prepare(order_no)
    world.pay(order_no)
    number = world.console(order_no)
    assert world.tell_refund(number) == 204
    assert [kind for kind, _ in world.questions()] == ["NOTIFY_MISMATCH"]


@pytest.mark.parametrize(
    ("field", "changed"), [("transaction_id", "4200"), ("total_fen", 501), ("currency", "USD")]
)
def test_an_external_refund_must_fit_the_payment(world: RefundWorld, field: str, changed: object) -> None:
    number = world.console(world.paid())
    with pytest.raises(Mismatch):
        external(world, number, **{field: changed})


def test_an_external_refund_that_was_closed_moves_nothing(world: RefundWorld) -> None:
    order_no = world.paid()
    number = world.console(order_no)
    assert external(world, number, status="CLOSED") is None
    world.later()
    assert world.credit(order_no).status == CreditStatus.CREDITED
    assert world.questions() == [("EXTERNAL_REFUND", number)]


def seen_as_refunded(world: RefundWorld, amount_fen: int = 500) -> tuple[str, str]:
    """A payment of which we only know by a query, after it went back. Returns: order and refund number."""
    order_no = world.start(0, 0, 500)
    assert order_no is not None
    world.prepare(order_no)
    world.pay(order_no)
    number = world.console(order_no, amount_fen)
    assert settle.ask(world.services, order_no)
    return order_no, number


def test_a_refund_that_was_closed_says_nothing_about_the_one_that_was_seen(world: RefundWorld) -> None:
    order_no, number = seen_as_refunded(world)
    guess = world.refund(f"x{order_no}01")
    closed = fact_of(world, number, out_refund_no="console9", refund_id="50300000000009", status="CLOSED")
    assert record(world, closed) is None
    assert world.refund(f"x{order_no}01").amount_fen == guess.amount_fen
    assert ("EXTERNAL_REFUND", "console9") in world.questions()
    assert record(world, fact_of(world, number)) is not None
    assert world.refund(number).status == RefundStatus.SUCCESS
    world.check_books()


@pytest.mark.parametrize("number", ["7", "BKG_2026-11", "a|b*c@d"])
def test_a_refund_made_elsewhere_is_followed_to_its_end_whatever_its_number(
    world: RefundWorld, number: str
) -> None:
    order_no = world.paid()
    world.console(order_no, number=number, ended=False)
    assert record(world, fact_of(world, number)) is not None
    assert world.state(number) == RefundStatus.PROCESSING
    world.ends(number, tell=False)
    world.clock.advance(600)
    sweep.sweep(world.services)
    world.work()
    assert world.state(number) == RefundStatus.SUCCESS
    world.check_books()
