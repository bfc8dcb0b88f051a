"""Two people at once, on both databases; and what a guard of the database holds without the code."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from models.counter import BankLine, CounterBooking, Way
from models.db.engine import Database
from models.errors import IllegalTransition, Refused
from models.order import Order
from models.payout import PartStatus, Payout, PayoutPart
from models.refund import Refund
from payments.counter import bank_list
from payments.counter import returns as counter_returns
from payments.counter.steps import ReceiptUsed
from payments.payouts import approval as payouts
from payments.payouts import transfer_list as payout_list
from payments.payouts.approval import PayoutView
from tests.payments.counter.till import ANNA, BERT, LI, Till

SIDES = 4


@pytest.fixture
def till(any_database: Database) -> Till:
    return Till(any_database)


def at_once(act: Callable[[], Any]) -> list[Future[Any]]:
    """The same from several sides; errors stay in their futures."""
    with ThreadPoolExecutor(SIDES) as pool:
        return [pool.submit(act) for _ in range(SIDES)]


def succeeded(futures: list[Future[Any]], *answers: type[Exception]) -> int:
    """How many got through; everybody else got one of these answers."""
    errors = [future.exception() for future in futures]
    assert all(error is None or isinstance(error, answers) for error in errors), errors
    return errors.count(None)


def count(till: Till, table: Any) -> int:
    with till.database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def requested(till: Till) -> PayoutView:
    return payouts.request(
        till.services,
        account_no=LI.account_no,
        payee=LI.name,
        actor=ANNA,
        bank_name="某某银行",
        bank_account="6222000012345678",
    )


def test_a_list_read_by_several_at_once_books_each_transfer_once(till: Till, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    rows = [f"2026-03-0{number + 1},B{number:07d},5.00,{LI.account_no},{LI.name}" for number in range(8)]
    path.write_text("\n".join(["交易日期,流水号,金额,学号,姓名", *rows]), encoding="utf-8")
    assert succeeded(at_once(lambda: bank_list.read_list(till.services, path, actor=BERT))) == SIDES
    assert (count(till, Order), count(till, CounterBooking), count(till, BankLine)) == (8, 8, 8)
    till.work()
    assert till.balance_fen() == 4000
    till.check_books()


def test_a_clerk_and_the_bank_s_list_book_one_transfer_once(till: Till, tmp_path: Path) -> None:
    path = tmp_path / "list.csv"
    path.write_text(f"流水号,金额,学号,姓名\nB0000001,20,{LI.account_no},{LI.name}\n", encoding="utf-8")
    with ThreadPoolExecutor(2) as pool:
        by_list = pool.submit(bank_list.read_list, till.services, path, actor=BERT.name)
        by_hand = pool.submit(till.take, way=Way.TRANSFER, reference="B0000001")
    assert by_list.exception() is None
    assert isinstance(by_hand.exception(), ReceiptUsed | None)
    till.work()
    assert (count(till, Order), till.balance_fen()) == (1, 2000)
    till.check_books()


def test_money_is_handed_back_once(till: Till) -> None:
    till.take(amount_fen=501)

    def hand_back() -> object:
        return counter_returns.give_back(till.services, return_no="tA0001", clerk=ANNA, evidence="签收单 17")

    assert succeeded(at_once(hand_back), IllegalTransition) == 1
    assert till.day().returned_cash_fen == 501


def test_one_account_has_one_open_request(till: Till) -> None:
    till.take()
    till.work()
    assert succeeded(at_once(lambda: requested(till)), IllegalTransition) == 1
    assert count(till, Payout) == 1


def test_a_payout_is_approved_once_and_withdrawn_once(till: Till) -> None:
    till.take()
    till.work()
    number = requested(till).payout_no
    approving = at_once(lambda: payouts.approve(till.services, payout_no=number, actor=BERT))
    assert succeeded(approving, IllegalTransition) == 1
    at_once(till.work)
    till.later()
    assert till.balance_fen() == 0
    assert count(till, Refund) == 0
    till.check_books()


def test_what_is_owed_stands_on_one_list(till: Till) -> None:
    till.take()
    till.work()
    payouts.approve(till.services, payout_no=requested(till).payout_no, actor=BERT)
    till.work()
    made = [future.result() for future in at_once(lambda: payout_list.make_list(till.services, actor=BERT))]
    assert len([number for number in made if number]) == 1
    with till.database.reading() as session:
        part = session.scalars(select(PayoutPart)).one()
    assert (part.status, part.list_no) == (PartStatus.LISTED, next(filter(None, made)))


def test_a_payout_and_a_swap_of_the_same_money_do_not_both_happen(till: Till) -> None:
    till.take()
    till.work()
    number = requested(till).payout_no
    payouts.approve(till.services, payout_no=number, actor=BERT)

    def spend() -> object:
        return till.services.billing.withdraw(LI.account_no, 1500, key="elsewhere")

    with ThreadPoolExecutor(2) as pool:
        spending, working = pool.submit(spend), pool.submit(till.work)
    assert working.exception() is None
    refused = isinstance(spending.exception(), Refused)
    till.later()
    (part,) = payouts.look(till.services, number).parts
    assert (part.state == PartStatus.WITHDRAWN) == refused
    assert till.balance_fen() == (0 if refused else 500)
