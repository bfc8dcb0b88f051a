"""The identity of a transfer: never dropped, never credited twice, whatever the order of files and clerks."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from models.counter import BankStatus, Way
from models.db.engine import Database
from models.errors import Refused
from models.site import CounterRules
from models.values.actor import Actor
from models.values.tables.errors import TableRefused
from payments.counter import bank_list, bank_queue
from payments.counter.bank_list import Report
from payments.counter.returns import SecondClerkNeeded, give_back
from payments.counter.transfers import parse_reference, reference_key, same_number
from tests.payments.counter.bank_files import (
    SECOND,
    THIRD,
    balances,
    li,
    lines,
    owed,
    read,
    read_rows,
    reasons,
    wang,
    write,
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


def test_one_number_of_two_payers_in_two_lists(any_till: Till, tmp_path: Path) -> None:
    till = any_till
    assert read_rows(till, tmp_path, li("00000001")) == Report(credited=1)
    assert read_rows(till, tmp_path, wang("00000001", day="2026-03-09")) == Report(queued=1)
    assert (balances(till), reasons(till)) == ((2000, 0), ["number"])
    (waiting,) = bank_queue.queue(till.services)
    assert waiting.like_line is not None
    assert (waiting.like_line.account_no, waiting.like_line.occurred_on) == (LI.account_no, date(2026, 3, 10))
    # The list says whose it is, and nothing but the number is LI's: one operator is enough.
    assert bank_queue.assign(
        till.services, line_id=waiting.line.id, account_no=WANG.account_no, name=WANG.name, actor=SECOND
    )
    till.work()
    assert balances(till) == (2000, 2000)
    till.check_books()


def test_one_number_of_two_payers_in_one_list(till: Till, tmp_path: Path) -> None:
    assert read_rows(till, tmp_path, li("00000001"), wang("00000001")) == Report(credited=1, queued=1)
    assert (balances(till), reasons(till)) == ((2000, 0), ["number"])
    assert read_rows(till, tmp_path, li("00000001"), wang("00000001")) == Report(known=2)


@pytest.mark.parametrize(
    "other",
    [
        li("B0000001", amount="30.00"),
        li("B0000001", day="2026-03-09"),
        wang("B0000001"),
        f"2026-03-10,B0000001,20.00,{LI.account_no},{WANG.name}",
        "2026-03-10,B0000001,20.00,,",
    ],
)
def test_the_same_number_with_other_content_is_queued(till: Till, tmp_path: Path, other: str) -> None:
    assert read_rows(till, tmp_path, li("B0000001"), other) == Report(credited=1, queued=1)
    assert read_rows(till, tmp_path, other, li("B0000001")) == Report(known=2)
    assert (balances(till), owed(till), reasons(till)) == ((2000, 0), [], ["number"])


def test_the_same_in_everything_is_the_same_transfer(till: Till, tmp_path: Path) -> None:
    assert read_rows(till, tmp_path, li("B0000001"), li("B0000001")) == Report(credited=1, known=1)
    saved_again = ['="B0000001"', "'B0000001", "Ｂ０００００01", " B0000001 "]
    rows = [li(number, day="2026/3/10", amount="20") for number in saved_again]
    assert read_rows(till, tmp_path, *rows) == Report(known=4)
    assert balances(till) == (2000, 0)


@pytest.mark.parametrize(("one", "other"), SPELLINGS)
def test_the_same_number_written_differently_is_queued(
    till: Till, tmp_path: Path, one: str, other: str
) -> None:
    assert read_rows(till, tmp_path, li(one)).credited == 1
    assert read_rows(till, tmp_path, li(other)) == Report(queued=1)
    assert read_rows(till, tmp_path, li(other), li(one)) == Report(known=2)
    assert (balances(till), reasons(till)) == ((2000, 0), ["spelling"])


def test_same_payer_amount_and_day_under_another_number_is_queued(till: Till, tmp_path: Path) -> None:
    rows = [li("B0000001"), li("B0000002"), li("B0000003", day="2026-03-09"), li("B0000004", amount="30.00")]
    assert read_rows(till, tmp_path, *rows) == Report(credited=3, queued=1)
    assert (balances(till), reasons(till)) == ((7000, 0), ["double"])
    (waiting,) = bank_queue.queue(till.services)
    wanted = {"line_id": waiting.line.id, "account_no": LI.account_no, "name": LI.name}
    # The list alone cannot say whether it is another payment: two operators.
    for operator in (SECOND, SECOND):
        assert bank_queue.assign(till.services, **wanted, actor=operator) is None  # type: ignore[arg-type]
    assert bank_queue.assign(till.services, **wanted, actor=THIRD) is not None  # type: ignore[arg-type]
    till.work()
    assert balances(till) == (9000, 0)
    till.check_books()


def test_a_possible_duplicate_without_an_account_is_not_sent_back_by_itself(
    till: Till, tmp_path: Path
) -> None:
    read_rows(till, tmp_path, li("B0000001"))
    assert read_rows(till, tmp_path, f"2026-03-10,B0000002,20.00,,{LI.name}") == Report(queued=1)
    till.take("A0001", way=Way.TRANSFER, reference="C0000001", amount_fen=1000)
    assert read_rows(till, tmp_path, "2026-03-10,X0000003,10.00,,") == Report(queued=1)
    assert (reasons(till), owed(till)) == (["double", "booked"], [])


def test_a_duplicate_is_closed_without_a_booking(till: Till, tmp_path: Path) -> None:
    read_rows(till, tmp_path, li("B0000001"), li("b0000001"))
    (waiting,) = bank_queue.queue(till.services)
    assert bank_queue.accept_booked(till.services, line_id=waiting.line.id, actor=SECOND)
    assert [line.status for line in lines(till)] == [BankStatus.CREDITED, BankStatus.DISMISSED]
    assert read_rows(till, tmp_path, li("b0000001")) == Report(known=1)
    assert balances(till) == (2000, 0)


def test_without_a_date_any_recent_day_may_be_the_same(till: Till, tmp_path: Path) -> None:
    header = "流水号,金额,学号,姓名"
    row = f"{{}},20.00,{LI.account_no},{LI.name}"
    assert read_rows(till, tmp_path, row.format("B0000001"), header=header) == Report(credited=1)
    assert read_rows(till, tmp_path, row.format("B0000001"), header=header) == Report(known=1)
    assert read_rows(till, tmp_path, row.format("B0000002"), li("x"), header=header) == Report(
        queued=1, rejected=1, faults=["第 3 行：有 5 列，表头只有 4 列（含逗号的单元格须加引号）"]
    )
    assert read_rows(till, tmp_path, li("B0000001"), li("B0000003", day="2026-01-05")) == Report(
        credited=1, queued=1
    )


def test_two_bank_accounts_number_their_transfers_on_their_own(till: Till, tmp_path: Path) -> None:
    assert read_rows(till, tmp_path, li("00000001"), source="6222 0001") == Report(credited=1)
    assert read_rows(till, tmp_path, wang("00000001"), source="6222-0002") == Report(credited=1)
    # The same row under another account, or none: once more, or the wrong account was given.
    other = wang("00000005", amount="30.00")
    assert read_rows(till, tmp_path, li("00000001"), other, source="62220002") == Report(credited=1, queued=1)
    assert read_rows(till, tmp_path, other, li("00000001")) == Report(queued=2)
    assert read_rows(till, tmp_path, li("00000001"), source="６２２２0001") == Report(known=1)
    assert balances(till) == (2000, 5000)


def test_one_file_is_not_read_under_two_bank_accounts(any_till: Till, tmp_path: Path) -> None:
    till = any_till
    path = write(tmp_path, ["2026-03-10,B0000001,20.00,,", li("B0000002")])
    assert read(till, path, source="111111") == Report(credited=1, returning=1)
    for other in ("222222", ""):
        for dry_run in (True, False):
            with pytest.raises(TableRefused, match="“111111”"):
                read(till, path, source=other, dry_run=dry_run)
    # A list that was read without an account may get one afterwards: its rows are queued.
    unnamed = write(tmp_path, [li("B0000003", day="2026-01-05")], name="unnamed.csv")
    assert read(till, unnamed) == Report(credited=1)
    assert read(till, unnamed, source="222222") == Report(queued=1)
    assert read(till, path, source="11-1111") == Report(known=2)
    assert (balances(till), owed(till)) == ((4000, 0), [("B0000001", 2000)])


@pytest.mark.parametrize(
    ("source", "fits"), [("622200001111", True), ("6222 **** 1111", True), ("6222", False)]
)
def test_a_bank_account_that_the_file_contradicts_is_refused(
    till: Till, tmp_path: Path, source: str, *, fits: bool
) -> None:
    header = "交易日期,流水号,金额,学号,姓名"
    above = write(tmp_path, [header, li("B0000001")], header="账号：,6222 0000 1111", name="above.csv")
    column = write(
        tmp_path, [f"622200001111,{li('B0000002', day='2026-01-05')}"], header=f"本方账号,{header}"
    )
    for path in (above, column):
        if fits:
            assert read(till, path, source=source) == Report(credited=1)
            continue
        with pytest.raises(TableRefused, match="622200001111"):
            read(till, path, source=source)
    assert len(lines(till)) == 2 * fits


def test_a_list_names_its_own_bank_account(till: Till, tmp_path: Path) -> None:
    above, column = tmp_path / "above.csv", f"本方账号,{'交易日期,流水号,金额,学号,姓名'}"
    above.write_text(
        f"对账单\n账号：,6222 0000 1111\n交易日期,流水号,金额,学号,姓名\n{li('B0000001')}\n", "utf-8"
    )
    assert read(till, above) == Report(credited=1)
    assert read_rows(till, tmp_path, f"622200001111,{li('B0000001')}", header=column) == Report(known=1)
    assert [line.source for line in lines(till)] == ["622200001111"]


def test_the_third_of_numbers_that_a_spreadsheet_rounded_alike_is_not_lost(
    till: Till, tmp_path: Path
) -> None:
    number = "26031100123456700000"
    rows = [li(number), li(number), wang(number)]
    for _ in range(2):
        report = read(till, write(tmp_path, rows, name="one.csv"), dry_run=True)
        assert (report.credited, report.queued) == (1, 2)
    assert read(till, write(tmp_path, rows)) == Report(credited=1, queued=2)
    assert read(till, write(tmp_path, [*rows, li("B0000009", day="2026-03-01")], name="b.csv")) == Report(
        credited=1, known=3
    )


def test_nothing_is_sent_back_twice_or_decided_twice(till: Till, tmp_path: Path) -> None:
    read_rows(till, tmp_path, li("B0000001"), li("B0000002"))
    (waiting,) = bank_queue.queue(till.services)
    booked = bank_queue.send_back(till.services, line_id=waiting.line.id, actor=SECOND)
    assert booked.return_item is not None
    assert booked.return_item.opened_by == SECOND.name
    for decide in (bank_queue.send_back, bank_queue.accept_booked):
        with pytest.raises(bank_queue.NoSuchLine):
            decide(till.services, line_id=waiting.line.id, actor=THIRD)
    assert owed(till) == [("B0000002", 2000)]
    handed: dict[str, Any] = {"return_no": booked.return_item.return_no, "evidence": "退汇 20260310-1"}
    for same in (SECOND, Actor.from_name(" ＢＥＲＴ")):
        with pytest.raises(SecondClerkNeeded):
            give_back(till.services, **handed, clerk=same)
    give_back(till.services, **handed, clerk=THIRD)
    till.check_books()


def test_a_second_proposal_takes_the_place_of_the_first(till: Till, tmp_path: Path) -> None:
    read_rows(till, tmp_path, f"2026-03-10,B0000001,20.00,{LI.account_no},{WANG.name}")
    (waiting,) = bank_queue.queue(till.services)

    def assign(account: object, actor: object) -> bool:
        person = LI if account is LI else WANG
        return (
            bank_queue.assign(
                till.services,
                line_id=waiting.line.id,
                account_no=person.account_no,
                name=person.name,
                actor=actor,  # type: ignore[arg-type]
            )
            is not None
        )

    assert not assign(LI, SECOND)
    assert not assign(WANG, THIRD)
    assert not assign(WANG, THIRD)
    assert assign(WANG, SECOND)
    till.work()
    assert balances(till) == (0, 2000)


def test_what_resembles_nothing_cannot_be_closed_without_a_booking(till: Till, tmp_path: Path) -> None:
    read_rows(till, tmp_path, f"2026-03-10,B0000001,20.00,{LI.account_no},{WANG.name}")
    (waiting,) = bank_queue.queue(till.services)
    with pytest.raises(Refused, match="没有相似的记录"):
        bank_queue.accept_booked(till.services, line_id=waiting.line.id, actor=SECOND)


def test_a_dry_run_sees_the_duplicates_within_the_file(till: Till, tmp_path: Path) -> None:
    till.take(way=Way.TRANSFER, reference="C0000001", amount_fen=3000)
    rows = [
        li("B0000001"),
        li("b0000001"),
        wang("B0000001"),
        li("B0000002"),
        li("B0000001"),
        li("C0000001", amount="30.00"),
        li("C0000001", amount="30.00", day="2026-03-09"),
    ]
    path = write(tmp_path, rows)
    tried = read(till, path, dry_run=True)
    assert lines(till) == []
    assert tried == read(till, path) == Report(credited=1, queued=4, known=2)


@pytest.mark.parametrize("cell", ["", "abc", "2.60311E+19", "1" * 65, "B 1", "B0000001;", "①②③④", "\u200b"])
def test_what_is_no_number_of_a_bank_is_a_row_error(till: Till, tmp_path: Path, cell: str) -> None:
    report = read_rows(till, tmp_path, li(cell))
    assert (report.rejected, report.credited) == (1, 0)
    assert report.faults[0].startswith("第 2 行“流水号”：")


def test_numbers_are_compared_by_what_no_program_changes() -> None:
    assert parse_reference(' ="0012 3456" ') == "00123456"
    assert parse_reference("12345678.0") == "12345678"
    assert reference_key("0000") == "0"
    for one, other in SPELLINGS:
        assert same_number(one, other)
    for one, other in [
        ("26031100123456789012", "26031100123456789013"),
        ("12345678", "12345679"),
        ("2603110012345670", "26031100123456700"),
        ("B1234567890123456700", "B1234567890123456789"),
    ]:
        assert not same_number(one, other)


def test_the_bank_account_of_lists_may_be_set_for_all(till: Till, tmp_path: Path) -> None:
    rules = CounterRules(bank_account="6222 0000 1111")
    till.services = replace(till.services, counter_rules=rules)
    path = write(tmp_path, [li("B0000001")])
    assert bank_list.read_list(till.services, path, actor="Bert ").credited == 1
    assert (lines(till)[0].source, lines(till)[0].decided_by) == ("622200001111", "Bert")
    assert read(till, path, source="622200001111") == Report(known=1)
