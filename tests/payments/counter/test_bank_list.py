"""Lists of the bank: each transfer once, to whom it belongs, or back."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from models.counter import BankLine, ReturnReason, Way
from models.db.engine import Database
from models.errors import Unavailable
from models.order import Order
from models.values.actor import Actor
from models.values.tables.errors import TableRefused
from payments.audit.invariants import conservation
from payments.counter import bank_list, bank_queue, confirmation
from payments.counter import returns as counter_returns
from payments.counter.bank_list import Report
from payments.counter.bank_queue import NoSuchLine, SecondOperatorNeeded
from payments.counter.steps import NameMismatch, ReceiptUsed
from tests.payments.counter.till import ANNA, BERT, LI, WANG, Till

HEADER = "交易日期,流水号,金额,学号,姓名"
MATCH = f"2026-03-10,B0000001,20.00,{LI.account_no},{LI.name}"
MISMATCH = f"2026-03-09,B0000002,20.00,{LI.account_no},{WANG.name}"
NO_NAME = f"2026-03-08,B0000003,20.00,{LI.account_no},"
WRONG_AMOUNT = f"2026-03-10,B0000004,20.01,{LI.account_no},{LI.name}"
A, B, C = ANNA, BERT, Actor("clara")
LIST = (MATCH, MISMATCH, NO_NAME, WRONG_AMOUNT)


@pytest.fixture
def till(sqlite_database: Database) -> Till:
    return Till(sqlite_database)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def write(folder: Path, rows: Sequence[str], *, encoding: str = "utf-8", name: str = "list.csv") -> Path:
    path = folder / name
    path.write_bytes("\r\n".join([HEADER, *rows, ""]).encode(encoding))
    return path


def read(till: Till, path: Path, *, dry_run: bool = False) -> Report:
    report = bank_list.read_list(till.services, path, actor=BERT.name, dry_run=dry_run)
    till.work()
    return report


def the_queued(till: Till) -> BankLine:
    (waiting,) = bank_queue.queue(till.services)
    return waiting.line


def orders(till: Till) -> list[Order]:
    with till.database.reading() as session:
        return list(session.scalars(select(Order).order_by(Order.id)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_each_row_goes_where_it_belongs(any_database: Database, folder: Path, encoding: str) -> None:
    till = Till(any_database)
    report = read(till, write(folder, LIST, encoding=encoding))
    assert report == Report(credited=1, queued=1, returning=2)
    assert till.balance_fen() == 2000
    waiting = the_queued(till)
    assert (waiting.reference, waiting.noted_name) == ("B0000002", WANG.name)
    owed = counter_returns.open_items(till.services)
    assert [(item.reference, item.reason, item.way) for item in owed] == [
        ("B0000003", ReturnReason.NO_NAME, Way.TRANSFER),
        ("B0000004", ReturnReason.AMOUNT, Way.TRANSFER),
    ]
    till.check_books()
    with till.database.reading() as session:
        assert conservation(session).counter_fen == 2000


def test_the_same_list_and_the_same_row_in_another_list_book_nothing_more(till: Till, folder: Path) -> None:
    path = write(folder, LIST)
    read(till, path)
    assert read(till, path) == Report(known=4)
    other = write(folder, [MATCH, MATCH.replace("-10,B0000001", "-07,B0000009"), MATCH], name="other.csv")
    assert read(till, other) == Report(credited=1, known=2)
    assert till.balance_fen() == 4000
    assert len(counter_returns.open_items(till.services)) == 2


def test_a_dry_run_says_the_same_and_writes_nothing(till: Till, folder: Path) -> None:
    path = write(folder, LIST)
    assert read(till, path, dry_run=True) == Report(credited=1, queued=1, returning=2)
    assert orders(till) == []
    assert bank_queue.queue(till.services) == []
    assert counter_returns.open_items(till.services) == []
    assert read(till, path) == Report(credited=1, queued=1, returning=2)


def test_rows_that_nothing_can_be_done_with_are_reported_by_line(till: Till, folder: Path) -> None:
    rows = [
        f"2026-03-10,,20.00,{LI.account_no},{LI.name}",
        f"2026-03-10,B0000011,-30.00,{LI.account_no},{LI.name}",
        f"2026-03-10,B0000012,二十,{LI.account_no},{LI.name}",
        f"2026-03-10,B0000013,0,{LI.account_no},{LI.name}",
        f"2026-03-10,B0000014,20.00,{LI.account_no},李\u200b小明",
        "2026-03-10",
        MATCH,
    ]
    report = read(till, write(folder, rows))
    assert (report.credited, report.rejected, len(report.faults)) == (1, 6, 6)
    assert all(fault.startswith(f"第 {n} 行") for n, fault in enumerate(report.faults, start=2))
    assert LI.name not in "".join(report.faults)


def test_a_list_that_was_cut_off_is_finished_by_reading_it_again(
    till: Till, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [MATCH.replace("10,B0000001", f"{number:02d},B{number:07d}") for number in range(1, 6)]
    path, asked = write(folder, rows), 0
    ask = till.services.billing.name_matches

    def sometimes(account_no: str, name: str) -> bool:
        nonlocal asked
        asked += 1
        if asked == 3:
            raise Unavailable("away")
        return ask(account_no, name)

    monkeypatch.setattr(till.services.billing, "name_matches", sometimes)
    with pytest.raises(Unavailable):
        read(till, path)
    assert len(orders(till)) == 2
    assert read(till, path) == Report(credited=3, known=2)
    assert till.balance_fen() == 10_000


def test_a_transfer_that_a_clerk_booked_is_not_credited_again(till: Till, folder: Path) -> None:
    till.take(way=Way.TRANSFER, reference="B0000001")
    assert read(till, write(folder, [MATCH])) == Report(known=1)
    assert till.balance_fen() == 2000


def test_a_transfer_that_a_clerk_booked_with_another_amount_is_looked_at(till: Till, folder: Path) -> None:
    till.take(way=Way.TRANSFER, reference="B0000001", amount_fen=1000)
    assert read(till, write(folder, [MATCH])) == Report(queued=1)
    assert till.balance_fen() == 1000
    waiting = the_queued(till)
    with pytest.raises(ReceiptUsed):
        bank_queue.assign(till.services, line_id=waiting.id, account_no=LI.account_no, name=LI.name, actor=B)
    with pytest.raises(ReceiptUsed):
        bank_queue.send_back(till.services, line_id=waiting.id, actor=B)
    # The clerk has no say in it, and the amounts differ: two others decide.
    with pytest.raises(SecondOperatorNeeded):
        bank_queue.accept_booked(till.services, line_id=waiting.id, actor=A)
    assert not bank_queue.accept_booked(till.services, line_id=waiting.id, actor=B)
    assert not bank_queue.accept_booked(till.services, line_id=waiting.id, actor=Actor.from_name(" BERT "))
    assert bank_queue.accept_booked(till.services, line_id=waiting.id, actor=C)
    assert bank_queue.queue(till.services) == []
    till.work()
    assert till.balance_fen() == 1000
    assert confirmation.unconfirmed(till.services) == []


def test_a_person_finds_whose_it_is_once(till: Till, folder: Path) -> None:
    read(till, write(folder, [MISMATCH]))
    waiting = the_queued(till)
    with pytest.raises(NameMismatch):
        bank_queue.assign(
            till.services, line_id=waiting.id, account_no=WANG.account_no, name=LI.name, actor=B
        )
    wanted: dict[str, Any] = {"line_id": waiting.id, "account_no": WANG.account_no, "name": WANG.name}
    for operator in (B, B, Actor.from_name("Bert（窗口）")):
        assert bank_queue.assign(till.services, **wanted, actor=operator) is None
    assert bank_queue.assign(till.services, **wanted, actor=A) is not None
    with pytest.raises(NoSuchLine):
        bank_queue.assign(till.services, **wanted, actor=B)
    with pytest.raises(NoSuchLine):
        bank_queue.send_back(till.services, line_id=waiting.id, actor=B)
    till.work()
    assert (till.balance_fen(), till.balance_fen(WANG.account_no)) == (0, 2000)
    assert len(orders(till)) == 1


def test_or_nobody_knows_and_it_goes_back(till: Till, folder: Path) -> None:
    read(till, write(folder, [MISMATCH]))
    waiting = the_queued(till)
    booked = bank_queue.send_back(till.services, line_id=waiting.id, actor=B)
    assert booked.return_item is not None
    counter_returns.give_back(
        till.services, return_no=booked.return_item.return_no, clerk=ANNA, evidence="退汇 B0000099"
    )
    assert till.balance_fen() == 0
    with till.database.reading() as session:
        assert session.scalars(select(BankLine.booking_id)).one() == booked.booking.id


def test_bank_lists_are_no_part_of_the_till(till: Till, folder: Path) -> None:
    read(till, write(folder, LIST))
    from_counter = till.take(clerk=BERT)
    assert from_counter.order is not None
    sums = till.day(BERT)
    assert (sums.booked_cash_fen, sums.booked_transfer_fen, sums.held_cash_fen) == (2000, 0, 0)


@pytest.mark.parametrize(
    "content", [b"", b"\xff\xff\xff", "日期,金额\n1,2\n".encode(), f'{HEADER}\n"2026'.encode(), b"\x00" * 50]
)
def test_what_is_no_such_list_is_refused_as_a_whole(till: Till, folder: Path, content: bytes) -> None:
    path = folder / "list.csv"
    path.write_bytes(content)
    with pytest.raises(TableRefused):
        read(till, path)
    assert orders(till) == []


def test_the_header_may_stand_below_a_title_and_in_another_order(till: Till, folder: Path) -> None:
    path = folder / "list.csv"
    path.write_text(
        f"某某银行交易明细\n账号,6222\n姓名,备注,收入金额,银行流水号,学号\n"
        f'{LI.name},网费,"1,000.00",B0000001,{LI.account_no}\n',
        encoding="gb18030",
    )
    assert read(till, path) == Report(credited=1)
    assert till.balance_fen() == 100_000


def test_memory_does_not_grow_with_the_list(till: Till, folder: Path) -> None:
    def peak(name: str, rows: int) -> int:
        path = write(folder, [MATCH.replace("20.00", "x")] * rows, name=name)
        tracemalloc.start()
        bank_list.read_list(till.services, path, actor=BERT.name, dry_run=True)
        taken = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return taken

    # Beyond the first thousand, which are reported one by one. Eight thousand rows kept would be 4 MB;
    # libraries that remember something meanwhile are a few hundred kB.
    assert peak("long.csv", 12_000) < peak("short.csv", 4_000) + 1_000_000
