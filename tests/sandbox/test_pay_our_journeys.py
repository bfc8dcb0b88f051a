"""Our orders, notices and worker against the new faults: paid once, credited once, whatever was said."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from models.order import Credit, CreditStatus, NotifyInbox, Order, OrderAction
from payments import settle
from payments.audit.invariants import check
from sandbox.credentials import Credentials
from sandbox.faults import Fault
from sandbox.pay.orders import SUCCESS
from tests.models_of_money.world import make_template
from tests.payments.refunds.refund_world import RefundWorld


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("faults"))


@pytest.fixture
def world(
    template: Path, tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RefundWorld]:
    made = RefundWorld(template, tmp_path / "money.db", credentials, monkeypatch)
    yield made
    made.close()


def prepared(world: RefundWorld, person: int = 0) -> str:
    order_no = world.start(person, person, 500)
    assert order_no is not None
    assert world.prepare(order_no)
    return order_no


def credits_of(world: RefundWorld) -> list[str]:
    """The state of every credit, after the worker has done its work; the books must agree."""
    world.calm()
    with world.database.reading() as session:
        assert check(session) == []
        return [str(status) for status in session.scalars(select(Credit.status))]


def test_two_payments_under_one_notice_id_are_both_credited(world: RefundWorld) -> None:
    numbers = [prepared(world, 0), prepared(world, 1)]
    for order_no, spoil in zip(numbers, ("", "same_id"), strict=True):
        world.pay(order_no)
        assert world.tell(world.platform.book.get(f"{order_no}01"), spoil) == 204
    with world.database.reading() as session:
        ids = list(session.scalars(select(NotifyInbox.event_id)))
    assert len(ids) == 2
    assert ids[0] == ids[1]
    assert credits_of(world) == [CreditStatus.CREDITED] * 2


@pytest.mark.parametrize("spoil", ["odd_charset", "no_content_type"])
def test_odd_headers_do_not_delay_a_credit(world: RefundWorld, spoil: str) -> None:
    order_no = prepared(world)
    world.pay(order_no)
    assert world.tell(world.platform.book.get(f"{order_no}01"), spoil) == 204
    assert credits_of(world) == [CreditStatus.CREDITED]


@pytest.mark.parametrize("spoil", ["future_timestamp", "unknown_serial"])
def test_a_notice_that_cannot_be_believed_leaves_no_trace(world: RefundWorld, spoil: str) -> None:
    order_no = prepared(world)
    world.pay(order_no)
    assert world.tell(world.platform.book.get(f"{order_no}01"), spoil) == 403
    with world.database.reading() as session:
        assert list(session.scalars(select(NotifyInbox.id))) == []
    assert credits_of(world) == [CreditStatus.CREDITED], "asking finds the payment"


@pytest.mark.parametrize("name", ["voucher", "discount"])
def test_a_voucher_of_the_payer_is_credited_in_full(world: RefundWorld, name: str) -> None:
    order_no = prepared(world)
    world.counterpart.engine.faults.add(Fault(name, "pay.payment"))
    world.pay(order_no)
    assert world.tell(world.platform.book.get(f"{order_no}01")) == 204
    assert credits_of(world) == [CreditStatus.CREDITED]
    with world.database.reading() as session:
        assert session.scalars(select(Order.amount_fen)).one() == 500


@pytest.mark.parametrize("name", ["paid_before_close", "paid_after_close"])
def test_a_payment_around_our_close_is_credited_once(world: RefundWorld, name: str) -> None:
    order_no = prepared(world)
    world.fault(name, "pay.close")
    world.run(lambda: settle.end(world.services, order_no, OrderAction.CLOSE, cause="payer"))
    assert world.platform.book.get(f"{order_no}01").state == SUCCESS
    assert world.tell(world.platform.book.get(f"{order_no}01")) == 204
    assert credits_of(world) == [CreditStatus.CREDITED]


def test_an_order_first_heard_of_as_refunded_is_paid_and_a_person_is_asked(world: RefundWorld) -> None:
    order_no = prepared(world)
    world.pay(order_no)
    world.fault("query_refund", "pay.query")
    assert settle.ask(world.services, order_no)
    assert len(world.questions()) == 1


@pytest.mark.parametrize("name", ["answer_202", "effect_then_reset", "cut"])
def test_a_prepay_that_nobody_can_tell_of_is_repeated_under_its_number(world: RefundWorld, name: str) -> None:
    order_no = world.start(0, 0, 500)
    assert order_no is not None
    world.fault(name, "pay.prepay")
    assert world.prepare(order_no) is None
    assert world.prepare(order_no) is not None
    assert [one.request.out_trade_no for one in world.platform.book.all()] == [f"{order_no}01"]
