"""Transfers that clerks book, and the lists that confirm them, in whatever order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from models.counter import Way
from models.db.engine import Database
from models.review import ReviewKind
from payments.counter import bank_queue, confirmation
from payments.counter.bank_list import Report
from payments.counter.steps import ReceiptUsed
from payments.review import queue as reviews
from tests.payments.counter.bank_files import (
    CLERK,
    SECOND,
    balances,
    li,
    orders,
    owed,
    questions,
    read_rows,
    reasons,
    wang,
)
from tests.payments.counter.till import LI, WANG, Till

# The same number, written or kept differently.
SPELLINGS = [
    ("abc12345", "ABC12345"),
    ("000012345678", "12345678"),
    ("B-0001", "B0001"),
    ("B_0001", "b0001"),
    ("26031100123456789012", "26031100123456700000"),
]


@pytest.fixture
def till(sqlite_database: Database) -> Till:
    return Till(sqlite_database)


@pytest.fixture
def any_till(any_database: Database) -> Till:
    return Till(any_database)


def test_one_number_booked_by_a_clerk_for_another_payer(till: Till, tmp_path: Path) -> None:
    till.take(way=Way.TRANSFER, reference="00000001")
    assert read_rows(till, tmp_path, wang("00000001")) == Report(queued=1)
    assert (balances(till), reasons(till)) == ((2000, 0), ["booked"])
    (waiting,) = bank_queue.queue(till.services)
    assert waiting.like_booking is not None
    assert waiting.like_booking.receipt_no == "A0001"
    wanted = {"line_id": waiting.line.id, "account_no": WANG.account_no, "name": WANG.name}
    assert bank_queue.assign(till.services, **wanted, actor=CLERK) is None  # type: ignore[arg-type]
    assert bank_queue.assign(till.services, **wanted, actor=SECOND) is not None  # type: ignore[arg-type]
    till.work()
    assert balances(till) == (2000, 2000)
    assert [row.receipt_no for row in confirmation.unconfirmed(till.services)] == ["A0001"]
    till.check_books()


@pytest.mark.parametrize(("one", "other"), [*SPELLINGS, ("12345678", "12345678-1"), ("B0000001", "X9999999")])
def test_a_clerk_s_transfer_under_another_spelling_or_number_is_queued(
    till: Till, tmp_path: Path, one: str, other: str
) -> None:
    till.take(way=Way.TRANSFER, reference=one)
    assert read_rows(till, tmp_path, li(other)) == Report(queued=1)
    assert (balances(till), reasons(till)) == ((2000, 0), ["booked"])
    (waiting,) = bank_queue.queue(till.services)
    with pytest.raises(bank_queue.SecondOperatorNeeded):
        bank_queue.accept_booked(till.services, line_id=waiting.line.id, actor=CLERK)
    assert bank_queue.accept_booked(till.services, line_id=waiting.line.id, actor=SECOND)
    assert (confirmation.unconfirmed(till.services), orders(till)) == ([], [(LI.account_no, 2000)])


@pytest.mark.parametrize(("one", "other"), [*SPELLINGS, ("B0000001", "B0000001"), ("12345678", "12345678-1")])
def test_a_clerk_is_refused_what_a_list_has_booked(
    any_till: Till, tmp_path: Path, one: str, other: str
) -> None:
    till = any_till
    read_rows(till, tmp_path, li(one))
    with pytest.raises(ReceiptUsed, match=one):
        till.take(way=Way.TRANSFER, reference=other)
    assert balances(till) == (2000, 0)


@pytest.mark.parametrize(("one", "other"), [*SPELLINGS, ("B0000001", "B0000002")])
def test_a_clerk_is_refused_what_a_clerk_has_booked(till: Till, one: str, other: str) -> None:
    first = till.take(way=Way.TRANSFER, reference=one)
    with pytest.raises(ReceiptUsed, match=one):
        till.take("A0002", clerk=SECOND, way=Way.TRANSFER, reference=other)
    assert till.take(way=Way.TRANSFER, reference=one).booking.id == first.booking.id
    assert till.take("A0003", way=Way.TRANSFER, reference="C0000001", amount_fen=3000).order is not None


def test_a_clerk_is_refused_what_waits_or_goes_back(till: Till, tmp_path: Path) -> None:
    rows = [f"2026-03-10,B0000001,20.00,{LI.account_no},{WANG.name}", "2026-03-10,B0000002,20.00,,"]
    assert read_rows(till, tmp_path, *rows) == Report(queued=1, returning=1)
    for reference in ("B0000001", "B0000002"):
        with pytest.raises(ReceiptUsed):
            till.take(way=Way.TRANSFER, reference=reference, account_no=WANG.account_no, name=WANG.name)
    assert balances(till) == (0, 0)


def test_an_invented_transfer_is_listed_and_asked_about(till: Till, tmp_path: Path) -> None:
    till.take(way=Way.TRANSFER, reference="INVENTED-1", amount_fen=1_000_000)
    assert read_rows(till, tmp_path, wang("REAL0001")) == Report(credited=1)
    (row,) = confirmation.unconfirmed(till.services)
    assert (row.clerk, row.amount_fen, row.is_overdue) == ("anna", 1_000_000, False)
    till.clock.forward(days=7)
    confirmation.ask_about_unconfirmed(till.services)
    assert questions(till, ReviewKind.TRANSFER_UNCONFIRMED) == []
    till.clock.forward(days=1)
    for _ in range(2):
        confirmation.ask_about_unconfirmed(till.services)
    (item,) = questions(till, ReviewKind.TRANSFER_UNCONFIRMED)
    assert (item.key, item.amount_fen, item.facts["reference"]) == ("A0001", 1_000_000, "INVENTED-1")
    (row,) = confirmation.unconfirmed(till.services)
    assert row.is_overdue
    till.check_books()


def test_a_transfer_that_was_looked_into_by_two_is_not_listed_any_more(till: Till) -> None:
    till.take(way=Way.TRANSFER, reference="B0000001")
    till.clock.forward(days=8)
    confirmation.ask_about_unconfirmed(till.services)
    (item,) = questions(till, ReviewKind.TRANSFER_UNCONFIRMED)
    decision: dict[str, Any] = {"action": "transfer-checked", "evidence": "银行回单 20260310-7"}
    assert not reviews.propose(till.services, item.id, **decision, actor=CLERK)
    assert len(confirmation.unconfirmed(till.services)) == 1
    reviews.approve(till.services, item.id, actor=SECOND)
    assert confirmation.unconfirmed(till.services) == []


def test_a_list_confirms_a_clerk_s_transfer_once(any_till: Till, tmp_path: Path) -> None:
    till = any_till
    till.take(way=Way.TRANSFER, reference="B0000001")
    till.take("A0002", way=Way.TRANSFER, reference="B0000002", amount_fen=501)
    rows = [li("B0000001"), li("B0000002", amount="5.01")]
    assert read_rows(till, tmp_path, *rows) == Report(known=2)
    assert confirmation.unconfirmed(till.services) == []
    # The number once more, on another day, is another transfer.
    assert read_rows(till, tmp_path, *rows, li("B0000001", day="2026-03-08")) == Report(known=2, queued=1)
    assert (balances(till), owed(till)) == ((2000, 0), [("B0000002", 501)])
    till.check_books()


@pytest.mark.parametrize("account", ["", LI.account_no])
def test_a_row_that_does_not_name_the_owner_confirms_no_booking(
    till: Till, tmp_path: Path, account: str
) -> None:
    till.take(way=Way.TRANSFER, reference="B0000001")
    assert read_rows(till, tmp_path, f"2026-03-10,B0000001,20.00,{account},李某") == Report(queued=1)
    assert len(confirmation.unconfirmed(till.services)) == 1
    (waiting,) = bank_queue.queue(till.services)
    with pytest.raises(ReceiptUsed):
        bank_queue.send_back(till.services, line_id=waiting.line.id, actor=SECOND)
