"""The counter: an upper bound, one parser of amounts, one account in every spelling."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sqlalchemy import func, select

from models.counter import CounterBooking
from models.db.engine import Database
from models.errors import AmountOutOfRange
from models.order import Order
from models.site import CounterRules
from payments.counter.steps import ReceiptUsed
from tests.payments.counter.till import LI, Till


@pytest.fixture
def till(sqlite_database: Database) -> Till:
    return Till(sqlite_database)


def booked(till: Till) -> tuple[int, int]:
    with till.database.reading() as session:
        counts = [
            session.scalar(select(func.count()).select_from(table)) for table in (CounterBooking, Order)
        ]
    return counts[0] or 0, counts[1] or 0


@pytest.mark.parametrize("fen", [1_000_500, 2**31 - 148, 10**11, 2**62 - 404, 9_223_372_036_854_775_500])
def test_an_amount_above_the_bound_is_refused_and_nothing_is_booked(till: Till, fen: int) -> None:
    with pytest.raises(AmountOutOfRange, match="10000 元"):
        till.take(amount_fen=fen)
    till.work()
    assert (booked(till), till.balance_fen()) == ((0, 0), 0)
    till.check_books()


def test_the_bound_itself_is_booked_and_comes_from_the_settings(till: Till) -> None:
    till.take(amount_fen=1_000_000)
    till.work()
    assert till.balance_fen() == 1_000_000
    till.services = replace(till.services, counter_rules=CounterRules(max_fen=1500))
    with pytest.raises(AmountOutOfRange):
        till.take("A0002", amount_fen=2000)


@pytest.mark.parametrize(
    "spelling",
    [f" {LI.account_no}", f"{LI.account_no}@cmcc", "２４００１０１００１", f"GUET\\{LI.account_no}"],
)
def test_every_spelling_books_onto_the_one_account(till: Till, spelling: str) -> None:
    first = till.take(account_no=spelling)
    again = till.take()
    till.work()
    assert (first.booking.account_no, again.booking.id) == (LI.account_no, first.booking.id)
    assert (booked(till), till.balance_fen()) == ((1, 1), 2000)
    with pytest.raises(ReceiptUsed):
        till.take(account_no="2400101002")
    till.check_books()
