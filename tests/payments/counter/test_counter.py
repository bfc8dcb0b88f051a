"""The counter: what is booked, what goes back, and that a receipt books once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from models.counter import CounterBooking, CounterMiss, ReturnStatus, Way
from models.db.engine import Database
from models.errors import IllegalTransition, LimitReached, Refused
from models.order import CreditStatus, Order, credit_of, find_order
from models.outbox import OutboxItem
from models.package import Package
from models.refund import RefundStatus, find_refund
from models.values.actor import Actor
from payments import sweep
from payments.audit.invariants import Conservation, conservation
from payments.counter import desk as counter
from payments.counter import returns as counter_returns
from payments.counter.steps import ClosedAccount, DayClosed, NameMismatch, ReceiptUsed
from payments.refunds import approval as refunds
from payments.refunds.approval import SamePerson
from tests.payments.counter.till import ANNA, BERT, LI, WANG, Till


@pytest.fixture
def till(sqlite_database: Database) -> Till:
    return Till(sqlite_database)


@pytest.fixture
def any_till(any_database: Database) -> Till:
    return Till(any_database)


def order_of(till: Till, receipt_no: str = "A0001") -> Order:
    found = counter.print_receipt(till.services, receipt_no, clerk=ANNA).order
    assert found is not None
    return found


def count(till: Till, table: Any) -> int:
    with till.database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_cash_becomes_a_paid_order_and_then_a_credit(any_till: Till) -> None:
    any_till.take()
    order = order_of(any_till)
    assert (order.source, order.account_no, order.amount_fen) == ("counter", LI.account_no, 2000)
    any_till.work()
    assert any_till.balance_fen() == 2000
    any_till.check_books()
    with any_till.database.reading() as session:
        credit = credit_of(session, order.id)
        assert credit is not None
        assert credit.status == CreditStatus.CREDITED
        assert conservation(session) == Conservation(2000, 2000, 0, 0, 0, counter_fen=2000)


def test_nobody_in_wechat_is_told_of_it(till: Till) -> None:
    till.take()
    till.work()
    assert till.told == []


def test_the_same_receipt_books_once(till: Till) -> None:
    first, again = till.take(), till.take()
    assert first.order is not None
    assert again.order is not None
    assert again.order.order_no == first.order.order_no
    till.work()
    assert till.balance_fen() == 2000


def test_the_same_receipt_from_six_sides_at_once_books_once(any_till: Till) -> None:
    with ThreadPoolExecutor(6) as threads:
        booked = list(threads.map(lambda _: any_till.take(), range(6)))
    assert len({found.booking.id for found in booked}) == 1
    assert (count(any_till, Order), count(any_till, CounterBooking)) == (1, 1)
    any_till.work()
    assert any_till.balance_fen() == 2000
    any_till.check_books()


@pytest.mark.parametrize(
    "changes",
    [
        {"amount_fen": 1000},
        {"clerk": BERT},
        {"account_no": WANG.account_no, "name": WANG.name},
        {"way": Way.TRANSFER, "reference": "B123456"},
    ],
)
def test_a_receipt_of_something_else_is_refused(till: Till, changes: dict[str, Any]) -> None:
    till.take()
    with pytest.raises(ReceiptUsed):
        till.take(**changes)
    assert count(till, Order) == 1


@pytest.mark.parametrize("spelling", ["r0400", "R-0400", "r-04-00", "R0400-", "Ｒ-0400", " R -0400"])
def test_a_receipt_is_the_same_however_it_is_written(till: Till, spelling: str) -> None:
    first = till.take("R-0400")
    if spelling == "R-0400":
        assert till.take(spelling).booking.id == first.booking.id
    else:
        with pytest.raises(Refused):
            till.take(spelling)
    if spelling == "r0400":
        with pytest.raises(ReceiptUsed, match="该收据号已用于另一笔收款"):
            till.take(spelling, way=Way.TRANSFER, reference="B123456")
    assert counter.print_receipt(till.services, spelling, clerk=ANNA).booking.id == first.booking.id
    assert count(till, Order) == 1
    assert till.take("R-00400").booking.id != first.booking.id


def test_two_spellings_of_a_receipt_at_once_book_once(any_till: Till) -> None:
    def book(receipt_no: str) -> bool:
        try:
            any_till.take(receipt_no, clerk=Actor(f"clerk {receipt_no}"))
        except ReceiptUsed:
            return False
        return True

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(book, ["R-0400", "r0400", "R0400", "r-0400"])) == 1
    assert count(any_till, Order) == 1


def test_a_transfer_is_booked_once_whatever_the_receipt(till: Till) -> None:
    till.take(way=Way.TRANSFER, reference="B123456")
    with pytest.raises(ReceiptUsed):
        till.take("A0002", way=Way.TRANSFER, reference="B123456")
    assert count(till, Order) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"receipt_no": ""},
        {"receipt_no": "a b"},
        {"receipt_no": "x" * 29},
        {"amount_fen": 0},
        {"amount_fen": -2000},
        {"way": Way.TRANSFER},
        {"reference": "B123456"},
        {"way": Way.TRANSFER, "reference": "a\tb"},
    ],
)
def test_what_is_incomplete_is_refused_and_nothing_is_written(till: Till, changes: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        till.take(**{"receipt_no": "A0001", **changes})
    assert (count(till, Order), count(till, CounterBooking)) == (0, 0)


@pytest.mark.parametrize(
    ("account_no", "name"),
    [(LI.account_no, WANG.name), (LI.account_no, "*小明"), (LI.account_no, ""), ("2499999999", LI.name)],
)
def test_a_wrong_name_and_an_unknown_account_are_refused_in_the_same_words(
    till: Till, account_no: str, name: str
) -> None:
    with pytest.raises(NameMismatch) as caught:
        till.take(account_no=account_no, name=name)
    assert caught.value.text == NameMismatch().text
    assert LI.name not in caught.value.text
    assert count(till, Order) == 0


def test_only_the_owner_s_name_tells_that_an_account_is_closed(till: Till) -> None:
    till.services.billing.close_account(LI.account_no)
    with pytest.raises(ClosedAccount, match="该账号已销户"):
        till.take()
    with pytest.raises(NameMismatch):
        till.take(name=WANG.name)
    assert (count(till, Order), count(till, CounterMiss)) == (0, 1)


def test_ten_wrong_names_stop_the_clerk_for_ten_minutes(till: Till) -> None:
    for _ in range(10):
        with pytest.raises(NameMismatch):
            till.take(name="张三")
    with pytest.raises(LimitReached):
        till.take()
    till.take("B0001", clerk=BERT)
    till.clock.forward(minutes=10)
    till.take()


@pytest.mark.parametrize("amount_fen", [500, 1000, 1500, 2000, 3000, 3500, 20000])
def test_prices_and_their_multiples_are_credited(till: Till, amount_fen: int) -> None:
    till.take(amount_fen=amount_fen)
    till.work()
    assert till.balance_fen() == amount_fen


@pytest.mark.parametrize("amount_fen", [300, 600, 501, 100, 1999])
def test_other_amounts_go_back_the_way_they_came_also_the_price_of_a_special(
    till: Till, amount_fen: int
) -> None:
    booked = till.take(amount_fen=amount_fen, way=Way.TRANSFER, reference="B123456")
    assert booked.order is None
    (item,) = counter_returns.open_items(till.services)
    assert (item.amount_fen, item.way, item.reference) == (amount_fen, Way.TRANSFER, "B123456")
    till.work()
    assert till.balance_fen() == 0
    assert count(till, Order) == 0
    till.take(amount_fen=amount_fen, way=Way.TRANSFER, reference="B123456")
    assert len(counter_returns.open_items(till.services)) == 1


def test_the_catalogue_in_force_decides(till: Till) -> None:
    with till.database.transaction() as session:
        for package in session.scalars(select(Package).where(Package.special.is_(False))):
            package.sale_until = till.clock()
        session.add(
            Package(
                code="P07",
                name="7元",
                price_fen=700,
                quota_bytes=10**9,
                validity_months=1,
                special=False,
                sale_from=till.clock() - timedelta(days=1),
            )
        )
    assert till.take("A0001", amount_fen=1400).order is not None
    assert till.take("A0002", amount_fen=500).order is None


def test_money_is_handed_back_once_by_a_named_clerk(till: Till) -> None:
    booked = till.take(amount_fen=501)
    assert booked.return_item is not None
    number = booked.return_item.return_no
    with pytest.raises(Refused):
        counter_returns.give_back(till.services, return_no=number, clerk=BERT, evidence=" ")
    typed = number.replace("A", "a-")
    item = counter_returns.give_back(till.services, return_no=typed, clerk=BERT, evidence="签收单 17")
    assert (item.return_no, item.status, item.returned_by) == (number, ReturnStatus.RETURNED, BERT.name)
    with pytest.raises(IllegalTransition):
        counter_returns.give_back(till.services, return_no=number, clerk=ANNA, evidence="签收单 18")
    assert counter_returns.open_items(till.services) == []


def test_a_wrong_booking_is_taken_back_by_a_second_person_and_the_money_handed_back(any_till: Till) -> None:
    till = any_till
    till.take()
    till.work()
    order_no = order_of(till).order_no
    asked = refunds.request(till.services, order_no=order_no, amount_fen=2000, reason="记错账号", actor=ANNA)
    with pytest.raises(SamePerson):
        refunds.approve(till.services, out_refund_no=asked.out_refund_no, actor=Actor.from_name("Anna"))
    refunds.approve(till.services, out_refund_no=asked.out_refund_no, actor=BERT)
    till.work()
    assert till.balance_fen() == 0
    till.check_books()
    with till.database.reading() as session:
        assert conservation(session) == Conservation(2000, 0, 0, 2000, 0, counter_fen=2000)
    counter_returns.give_back(till.services, return_no=asked.out_refund_no, clerk=ANNA, evidence="签收单 17")
    with till.database.reading() as session:
        assert conservation(session) == Conservation(2000, 0, 2000, 0, 0, counter_fen=2000)
        refund = find_refund(session, asked.out_refund_no)
        assert refund is not None
        assert refund.status == RefundStatus.SUCCESS
    till.check_books()
    with pytest.raises(Refused):
        refunds.request(till.services, order_no=order_no, amount_fen=500, reason="again", actor=ANNA)


def test_a_booking_that_waits_for_its_credit_is_taken_back_without_one(till: Till) -> None:
    del till.deliveries["credit"]
    till.take()
    till.undo(order_of(till).order_no, 2000)
    (item,) = counter_returns.open_items(till.services)
    assert item.amount_fen == 2000
    with till.database.reading() as session:
        order = find_order(session, order_of(till).order_no)
        assert order is not None
        credit = credit_of(session, order.id)
        assert credit is not None
        assert credit.status == CreditStatus.VOIDED
    till.check_books()


def test_money_that_was_spent_is_not_handed_back(till: Till) -> None:
    till.take()
    till.work()
    till.services.billing.withdraw(LI.account_no, 1000, key="spent")
    number = till.undo(order_of(till).order_no, 2000)
    assert counter_returns.open_items(till.services) == []
    with till.database.reading() as session:
        refund = find_refund(session, number)
        assert refund is not None
        assert refund.status == RefundStatus.CLOSED


def test_what_the_counter_owes_is_no_stuck_work(till: Till) -> None:
    till.take()
    till.work()
    till.undo(order_of(till).order_no, 2000)
    till.clock.forward(hours=1)
    sweep.sweep(till.services)
    with till.database.reading() as session:
        items = session.scalars(select(OutboxItem).where(OutboxItem.kind == "refund"))
        assert {str(item.status) for item in items} == {"DONE"}


def test_the_day_adds_up_and_is_closed_once(any_till: Till) -> None:
    till = any_till
    till.take("A0001", amount_fen=2000)
    till.take("A0002", amount_fen=501)
    till.take("A0003", amount_fen=1000, way=Way.TRANSFER, reference="B123456")
    till.take("B0001", amount_fen=3000, clerk=BERT)
    counter_returns.give_back(till.services, return_no="tA0002", clerk=ANNA, evidence="签收单 17")
    closed = counter.close_day(till.services, clerk=ANNA, counted_cash_fen=1900)
    assert (closed.booked_cash_fen, closed.booked_transfer_fen) == (2000, 1000)
    assert (closed.held_cash_fen, closed.returned_cash_fen) == (501, 501)
    assert (closed.expected_cash_fen, closed.difference_fen) == (2000, -100)
    assert counter.close_day(till.services, clerk=ANNA, counted_cash_fen=1900) == closed
    with pytest.raises(DayClosed):
        counter.close_day(till.services, clerk=ANNA, counted_cash_fen=2000)
    assert counter.day(till.services, clerk=ANNA) == closed
    with pytest.raises(DayClosed):
        till.take("A0004")
    till.take("B0002", clerk=BERT)
    assert counter.day(till.services, clerk=BERT).booked_cash_fen == 5000


def test_after_the_close_no_cash_leaves_the_till_and_tomorrow_is_another_day(till: Till) -> None:
    till.take(amount_fen=501)
    counter.close_day(till.services, clerk=ANNA, counted_cash_fen=501)
    with pytest.raises(DayClosed):
        counter_returns.give_back(till.services, return_no="tA0001", clerk=ANNA, evidence="签收单 17")
    till.clock.forward(days=1)
    counter_returns.give_back(till.services, return_no="tA0001", clerk=ANNA, evidence="签收单 17")
    till.take("A0002")
    today = counter.day(till.services, clerk=ANNA)
    assert (today.expected_cash_fen, today.closed) == (1499, False)


def test_a_receipt_booked_before_the_close_is_still_found_after_it(till: Till) -> None:
    first = till.take()
    counter.close_day(till.services, clerk=ANNA, counted_cash_fen=2000)
    assert till.take().booking.id == first.booking.id


def test_bookings_and_a_close_at_the_same_time_leave_no_money_out(any_till: Till) -> None:
    till = any_till

    def book(number: int) -> bool:
        try:
            till.take(f"A{number:04d}")
        except DayClosed:
            return False
        return True

    with ThreadPoolExecutor(6) as threads:
        booked = [threads.submit(book, number) for number in range(10)]
        closing = threads.submit(counter.close_day, till.services, clerk=ANNA, counted_cash_fen=0)
        booked += [threads.submit(book, number) for number in range(10, 20)]
        taken = sum(one.result() for one in booked)
    assert closing.result().booked_cash_fen == taken * 2000
    assert count(till, Order) == taken


def test_a_day_to_come_cannot_be_closed(till: Till) -> None:
    tomorrow = till.clock().date() + timedelta(days=1)
    with pytest.raises(Refused):
        counter.close_day(till.services, clerk=ANNA, counted_cash_fen=0, on=tomorrow)


def test_billing_away_books_nothing_and_the_receipt_can_be_tried_again(till: Till) -> None:
    class Away:
        def name_matches(self, account_no: str, name: str, *, closed: bool = False) -> bool:
            del account_no, name, closed
            raise LimitReached("稍后再试")

    working = till.services
    till.services = replace(working, billing=Away())  # type: ignore[arg-type]
    with pytest.raises(LimitReached):
        till.take()
    till.services = working
    assert till.take().order is not None
