"""Races for one order, each with its negative control: the guard taken out, the bug shows."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from sqlalchemy import Select, text, update
from sqlalchemy.exc import PendingRollbackError
from sqlalchemy.orm import Session

from models.errors import Conflict
from models.order import Order, OrderAction, OrderStatus, PaymentFact, advance, find_order
from payments import confirm, notify, orders, settle
from payments.outcome import Done
from tests.races.conftest import Desk
from tests.races.meeting import Meeting, together

pytestmark = pytest.mark.postgres


def without_row_locks(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Select, "with_for_update", lambda self, **_: self)


def naive_advance(session: Session, order: Order, action: OrderAction, **_: Any) -> None:
    """Believe what was read a moment ago."""
    new = {OrderAction.PAY: OrderStatus.PAID, OrderAction.EXPIRE: OrderStatus.EXPIRED}[action]
    session.execute(update(Order).where(Order.id == order.id).values(status=new, open_key=None))


def test_two_notices_at_once_are_one_payment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    order_no = desk.paid_order()
    Meeting(desk.database).at(monkeypatch, confirm, "_match")
    tell = partial(desk.tell, order_no)
    assert together(tell, tell) == [204, 204]
    assert desk.verdicts() == [f"paid:{order_no}"] * 2
    assert desk.count(PaymentFact) == 1
    assert desk.findings() == []


def test_without_the_row_lock_one_of_two_notices_fails(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    order_no = desk.paid_order()
    without_row_locks(monkeypatch)
    Meeting(desk.database).at(monkeypatch, confirm, "_match")
    tell = partial(desk.tell, order_no)
    together(tell, tell)
    assert sorted(map(str, desk.verdicts())) == [f"failed:Conflict:{order_no}01", f"paid:{order_no}"]


def with_a_name_of_ours(*_: Any, **__: Any) -> None:
    raise Conflict("somebody was faster")


def a_bug(*_: Any, **__: Any) -> None:
    raise KeyError("amount")


def refused_by_the_database(session: Session, *_: Any, **__: Any) -> None:
    session.execute(text("SELECT 1 / 0"))


def without_a_connection(session: Session, *_: Any, **__: Any) -> None:
    session.execute(text("SELECT pg_terminate_backend(pg_backend_pid())"))


FAILURES = {"Conflict": with_a_name_of_ours, "KeyError": a_bug, "DataError": refused_by_the_database}


@pytest.mark.parametrize("name", FAILURES)
@pytest.mark.parametrize(("owner", "step"), [(notify, "confirm_paid"), (confirm, "promise_credit")])
def test_a_notice_whose_handling_failed_is_acted_on_from_the_inbox(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, name: str, owner: Any, step: str
) -> None:
    order_no = desk.paid_order()
    before = desk.status(order_no)
    with monkeypatch.context() as broken:
        broken.setattr(owner, step, FAILURES[name])
        assert desk.tell(order_no) == 204
    # Its row is there and nothing else, also when half of the work had been done.
    assert (desk.verdicts(), desk.status(order_no)) == ([f"failed:{name}:{order_no}01"], before)
    assert desk.count(PaymentFact) == 0
    assert notify.deliver(desk.services, desk.claim("worker", desk.services, "inbox")) == Done(
        f"paid:{order_no}"
    )
    assert desk.status(order_no) == OrderStatus.PAID


def test_a_contradiction_that_cannot_be_written_down_is_kept_as_well(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    order_no = desk.paid_order()
    with monkeypatch.context() as broken:
        broken.setattr(notify, "ask_person", refused_by_the_database)
        assert desk.tell(order_no, "tamper_amount") == 204
    assert desk.verdicts() == [f"failed:DataError:{order_no}01"]
    inbox = notify.deliver(desk.services, desk.claim("worker", desk.services, "inbox"))
    assert inbox == Done(f"mismatch:amount:{order_no}01")


def test_without_a_database_a_notice_is_not_acknowledged(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    order_no = desk.paid_order()
    with monkeypatch.context() as broken:
        broken.setattr(notify, "confirm_paid", without_a_connection)
        with pytest.raises(PendingRollbackError):
            desk.tell(order_no)
    assert desk.verdicts() == []
    assert desk.tell(order_no) == 204
    assert desk.status(order_no) == OrderStatus.PAID


def test_a_notice_and_a_query_at_once_are_one_payment(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    order_no = desk.paid_order()
    Meeting(desk.database).at(monkeypatch, confirm, "_match")
    assert together(partial(desk.tell, order_no), partial(desk.ask, order_no)) == [204, True]
    assert desk.verdicts() == [f"paid:{order_no}"]
    assert desk.count(PaymentFact) == 1
    assert desk.findings() == []


def test_without_the_row_lock_notice_or_query_fails(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    order_no = desk.paid_order()
    without_row_locks(monkeypatch)
    Meeting(desk.database).at(monkeypatch, confirm, "_match")
    _, asked = together(partial(desk.tell, order_no), partial(desk.ask, order_no))
    assert isinstance(asked, Conflict) or desk.verdicts() == [f"failed:Conflict:{order_no}01"]


def test_two_tabs_with_the_same_wish_share_one_order(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    Meeting(desk.database).at(monkeypatch, orders, "_new_order")
    first, second = together(desk.order, desk.order)
    assert first == second
    assert desk.count(Order) == 1


def test_without_the_unique_key_two_tabs_make_two_orders(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    with desk.services.transaction() as session:
        session.execute(text("ALTER TABLE orders DROP CONSTRAINT uq_orders_open_key"))
    Meeting(desk.database).at(monkeypatch, orders, "_new_order")
    first, second = together(desk.order, desk.order)
    assert first != second
    assert desk.count(Order) == 2


def pay_while_it_expires(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> str:
    """The payment arrives between our last query and the commit that ends the order."""
    order_no = desk.paid_order()
    monkeypatch.setattr(settle, "_close_attempt", lambda *_: False)
    meeting = Meeting(desk.database)
    meeting.at(monkeypatch, settle, "advance")
    meeting.at(monkeypatch, confirm, "advance")
    expire = partial(settle.end, desk.services, order_no, OrderAction.EXPIRE, cause="worker")
    assert together(partial(desk.tell, order_no), expire) == [204, None]
    return order_no


def test_a_payment_that_meets_the_expiry_wins(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    order_no = pay_while_it_expires(desk, monkeypatch)
    assert desk.status(order_no) == OrderStatus.PAID
    assert desk.findings() == []


def test_without_compare_and_set_the_expiry_overwrites_a_payment(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The lock on the order is the first wall, compare-and-set the second: both are taken out.
    monkeypatch.setattr(settle, "lock_order", find_order)
    monkeypatch.setattr(settle, "advance", naive_advance)
    order_no = pay_while_it_expires(desk, monkeypatch)
    assert desk.status(order_no) == OrderStatus.EXPIRED
    assert desk.findings() != []


def expire_and_pay(desk: Desk, move: Any) -> list[OrderAction]:
    """Two sessions read the same order, then both move it. Returns: who succeeded."""
    order_no = desk.order()
    won = []
    with desk.database.reading() as first, desk.database.reading() as second:
        read = [(session, find_order(session, order_no)) for session in (first, second)]
        for (session, order), action in zip(read, (OrderAction.EXPIRE, OrderAction.PAY), strict=True):
            assert order is not None
            try:
                move(session, order, action, cause="test", now=desk.services.clock())
                session.commit()
                won.append(action)
            except Conflict:
                session.rollback()
    return won


def test_of_two_moves_from_one_state_the_second_is_refused(desk: Desk) -> None:
    assert expire_and_pay(desk, advance) == [OrderAction.EXPIRE]


def test_without_compare_and_set_both_moves_succeed(desk: Desk) -> None:
    assert expire_and_pay(desk, naive_advance) == [OrderAction.EXPIRE, OrderAction.PAY]
