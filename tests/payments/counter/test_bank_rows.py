"""What a row of a bank list says: money that left, failed, was reversed or is foreign is never booked."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path

import openpyxl
import pytest

from models.counter import BankStatus, Way
from models.db.engine import Database
from models.review import ReviewKind
from models.site import CounterRules
from models.values.tables.errors import TableRefused
from payments.counter import bank_queue
from payments.counter.bank_list import Report
from payments.counter.steps import ClosedAccount
from tests.payments.counter.bank_files import (
    SECOND,
    THIRD,
    balances,
    li,
    lines,
    orders,
    owed,
    questions,
    read,
    read_rows,
    reasons,
    wang,
    write,
)
from tests.payments.counter.till import LI, WANG, Till

LI_PAYS = f"{LI.account_no},{LI.name}"
FULL = "交易日期,流水号,借贷标志,金额,币种,交易状态,学号,姓名"


@pytest.fixture
def till(sqlite_database: Database) -> Till:
    return Till(sqlite_database)


def test_debit_foreign_and_failed_rows_are_reported_with_their_lines(till: Till, tmp_path: Path) -> None:
    rows = [
        f"2026-03-10,B0000001,借,20.00,CNY,成功,{LI_PAYS}",
        f"2026-03-10,B0000002,贷,20.00,USD,成功,{LI_PAYS}",
        f"2026-03-10,B0000003,贷,20.00,CNY,失败,{LI_PAYS}",
        f"2026-03-10,B0000004,贷,20.00,CNY,处理中,{LI_PAYS}",
        f"2026-03-10,B0000005,贷,-20.00,CNY,成功,{LI_PAYS}",
        f"2026-03-10,B0000006,,20.00,CNY,成功,{LI_PAYS}",
        f"2026-03-10,B0000007,贷,20.00,CNY,什么,{LI_PAYS}",
        f"2026-03-10,B0000008,贷,30.00,人民币,交易成功,{LI_PAYS}",
    ]
    report = read_rows(till, tmp_path, *rows, header=FULL)
    assert (report.credited, report.queued, report.rejected) == (1, 0, 7)
    assert [fault[:5] for fault in report.faults] == [f"第 {n} 行" for n in range(2, 9)]
    assert orders(till) == [(LI.account_no, 3000)]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("日期,流水号,支出金额,收入金额,学号,姓名", f"2026-03-10,B0000001,20.00,,{LI_PAYS}"),
        ("日期,流水号,借方发生额,贷方发生额,学号,姓名", f"2026-03-10,B0000001,20.00,0.00,{LI_PAYS}"),
        ("日期,流水号,收/支,金额,学号,姓名", f"2026-03-10,B0000001,支,20.00,{LI_PAYS}"),
        ("日期,流水号,交易方向,金额,学号,姓名", f"2026-03-10,B0000001,转出,20.00,{LI_PAYS}"),
        ("日期,流水号,金额,学号,姓名", f"2026-03-10,B0000001,-20.00,{LI_PAYS}"),
    ],
)
def test_money_that_went_out_is_never_booked(till: Till, tmp_path: Path, header: str, row: str) -> None:
    rows = [row, row.replace("B0000001", "B0000002")]
    report = read_rows(till, tmp_path, *rows, header=header)
    assert (report.rejected, orders(till), lines(till)) == (2, [], []), report


@pytest.mark.parametrize(
    ("header", "cell"),
    [
        ("日期,流水号,借贷标志,金额,学号,姓名", "甲"),
        ("日期,流水号,交易状态,金额,学号,姓名", "42"),
        ("日期,流水号,币种,金额,学号,姓名", "XYZ"),
        ("日期,流水号,资金往来标志,金额,学号,姓名", "1"),
        ("日期,流水号,交易类型,金额,学号,姓名", "转账"),
    ],
)
def test_a_list_with_a_money_column_that_is_not_understood_is_refused(
    till: Till, tmp_path: Path, header: str, cell: str
) -> None:
    path = write(tmp_path, [f"2026-03-10,B0000001,{cell},20.00,{LI_PAYS}"], header=header)
    with pytest.raises(TableRefused, match=header.split(",")[2]):
        read(till, path)
    assert (orders(till), lines(till)) == ([], [])


@pytest.mark.parametrize(
    "header", ["流水号,金额,学号", "流水号,金额,姓名", "流水号,学号,姓名", "金额,学号,姓名"]
)
def test_a_list_without_a_needed_column_is_refused(till: Till, tmp_path: Path, header: str) -> None:
    with pytest.raises(TableRefused):
        read_rows(till, tmp_path, "1,2,3", header=header)


@pytest.mark.parametrize(
    ("header", "original", "reversal"),
    [
        ("日期,流水号,金额,学号,姓名", f"B0000001,20.00,{LI_PAYS}", f"B0000001,-20.00,{LI_PAYS}"),
        ("日期,流水号,金额,学号,姓名", f"B0000001,20.00,{LI_PAYS}", f"B0000009,-20.00,{LI_PAYS}"),
        ("日期,流水号,状态,金额,学号,姓名", f"B0000001,成功,20.00,{LI_PAYS}", f"b1,冲正,20.00,{LI_PAYS}"),
        (
            "日期,流水号,状态,金额,学号,姓名",
            f"B0000001,成功,20.00,{LI_PAYS}",
            f"B-0000001,失败,20.00,{LI_PAYS}",
        ),
        ("日期,流水号,借贷,金额,学号,姓名", f"B0000001,贷,20.00,{LI_PAYS}", f"B0000001,借,20.00,{LI_PAYS}"),
        (
            "日期,流水号,摘要,金额,学号,姓名",
            f"B0000001,网费,20.00,{LI_PAYS}",
            f"B0000009,冲正,-20.00,{LI_PAYS}",
        ),
    ],
)
@pytest.mark.parametrize("order", [1, -1])
def test_a_row_that_the_same_list_takes_back_is_queued(
    till: Till, tmp_path: Path, header: str, original: str, reversal: str, *, order: int
) -> None:
    other = original.replace("B0000001", "B0000002").replace(LI_PAYS, f"{WANG.account_no},{WANG.name}")
    rows = [f"2026-03-10,{row}" for row in [original, reversal][::order]] + [f"2026-03-10,{other}"]
    for known in (0, 2):
        report = read_rows(till, tmp_path, *rows, header=header)
        assert (report.known, report.rejected) == (known, 1), report
        assert report.known + report.credited + report.queued == 2
    assert (balances(till), reasons(till)) == ((0, 2000), ["reversed"])
    (waiting,) = bank_queue.queue(till.services)
    assert not bank_queue.accept_booked(till.services, line_id=waiting.line.id, actor=SECOND)
    assert bank_queue.accept_booked(till.services, line_id=waiting.line.id, actor=THIRD)
    assert [line.status for line in lines(till)].count(BankStatus.DISMISSED) == 1
    assert questions(till, ReviewKind.BANK_REVERSED) == []


@pytest.mark.parametrize("column", ["摘要", "备注"])
def test_incoming_money_that_is_a_reversal_by_its_memo_is_queued(
    till: Till, tmp_path: Path, column: str
) -> None:
    memos = [
        "退汇",
        "冲_正",
        "沖正",
        "沖銷",
        "撤銷",
        "撤_销",
        "撤\u200b销",
        "抹_帳",
        "退款",
        "退_回",
        "紅沖",
        "网费（退款）",
        "冲\u3000正交易",
    ]
    header = f"日期,流水号,{column},金额,学号,姓名"
    rows = [
        f"2026-03-10,{number}{len(payer):02d},{memo.replace('_', ' ')},20.00,{payer}"
        for number, memo in enumerate(memos, start=1000)
        for payer in (",", LI_PAYS)
    ]
    report = read_rows(till, tmp_path, *rows, header=header)
    assert (report, owed(till), set(reasons(till))) == (Report(queued=len(rows)), [], {"reversed"})


def test_a_later_list_that_takes_a_booked_transfer_back_opens_a_question(till: Till, tmp_path: Path) -> None:
    till.take(way=Way.TRANSFER, reference="B0000005", amount_fen=3000)
    mismatch = f"2026-03-10,B0000004,20.00,{WANG.account_no},{LI.name}"
    read_rows(till, tmp_path, li("B0000001"), "2026-03-10,B0000003,10.00,,", mismatch)
    back = [li("b0000001", amount="-20.00"), "2026-03-11,B0000003,-10.00,,", mismatch.replace(",20", ",-20")]
    back += [li("B0000005", amount="-30.00"), wang("B0000007", amount="-20.00"), li("B1", amount="-9.00")]
    for _ in range(2):
        assert read_rows(till, tmp_path, *back).rejected == 6
    items = questions(till, ReviewKind.BANK_REVERSED)
    assert [(item.facts["reference"], item.amount_fen) for item in items] == [
        ("B0000001", 2000),
        ("B0000003", 1000),
        ("B0000005", 3000),
    ]
    assert (reasons(till), balances(till)) == (["reversed"], (5000, 0))
    till.check_books()


@pytest.mark.parametrize(
    "written", ["2026/3/10", "2026-3-10", "20260310", "2026年3月10日", "10-Mar-26", "46091"]
)
def test_a_day_is_one_day_however_it_is_written(till: Till, tmp_path: Path, written: str) -> None:
    assert read_rows(till, tmp_path, li("B0000001", day=written)) == Report(credited=1)
    assert lines(till)[0].occurred_on == date(2026, 3, 10)
    assert read_rows(till, tmp_path, li("B0000001")) == Report(known=1)


@pytest.mark.parametrize("written", ["3/4/2026", "2026-02-30", "", "昨天", "10"])
def test_a_day_that_is_not_certain_is_a_row_error(till: Till, tmp_path: Path, written: str) -> None:
    report = read_rows(till, tmp_path, li("B0000001", day=written), li("B0000002"))
    assert (report.credited, report.rejected) == (1, 1)
    assert report.faults[0].startswith("第 2 行“交易日期”：")


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_day_to_come_is_a_row_error_and_an_old_one_is_queued(
    till: Till, tmp_path: Path, *, dry_run: bool
) -> None:
    till.clock.now = datetime(2026, 3, 9, 16, 0, tzinfo=UTC)  # midnight on campus
    days = ["2026-03-11", "2026-03-10", "2025-03-10", "2025-03-09", "2006-03-10"]
    rows = [li(f"B{number:07d}", day=day) for number, day in enumerate(days)]
    report = read(till, write(tmp_path, [*rows, "2025-01-01,B0000009,20.00,,"]), dry_run=dry_run)
    assert report == Report(
        credited=2, queued=3, rejected=1, faults=["第 2 行“交易日期”：2026-03-11 晚于今天，请核对"]
    )
    assert (reasons(till), owed(till)) == ([] if dry_run else ["old"] * 3, [])


@pytest.mark.parametrize(
    ("header", "when", "day"),
    [
        ("交易时间,流水号,金额,学号,姓名", "2026-03-09 10:00:00", date(2026, 3, 9)),
        ("交易时间,流水号,金额,学号,姓名", "10:00:00", None),
        ("记账日期,流水号,金额,学号,姓名", "2026-03-09", date(2026, 3, 9)),
    ],
)
def test_the_day_may_stand_in_another_column(
    till: Till, tmp_path: Path, header: str, when: str, day: date | None
) -> None:
    assert read_rows(till, tmp_path, li("B0000001", day=when), header=header).credited == 1
    assert lines(till)[0].occurred_on == day


def test_a_spreadsheet_is_read_like_a_text(till: Till, tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.append(["某某银行交易明细"])
    sheet.append(["交易日期", "流水号", "借贷标志", "金额", "学号", "姓名"])
    sheet.append([datetime(2026, 3, 10), "B0000001", "贷", 20, 2400101001, LI.name])  # noqa: DTZ001
    sheet.append(["2026-03-10", "B0000002", "借", 20.0, LI.account_no, LI.name])
    sheet.append(["2026/3/10", "B0000003", "贷", "1,200.00", f" {WANG.account_no}@cmcc", WANG.name])
    path = tmp_path / "list.xlsx"
    book.save(path)
    report = read(till, path)
    assert (report.credited, report.rejected, report.faults[0][:5]) == (2, 1, "第 4 行")
    assert balances(till) == (2000, 120_000)
    assert read_rows(till, tmp_path, li("B0000001")) == Report(known=1)


@pytest.mark.parametrize(
    "account", ["２４００１０１００１", " 2400101001 ", '="2400101001"', "2400101001.0", "'2400101001"]
)
def test_an_account_number_is_read_as_everywhere(till: Till, tmp_path: Path, account: str) -> None:
    assert read_rows(till, tmp_path, f"2026-03-10,B0000001,20.00,{account},{LI.name}").credited == 1
    assert read_rows(till, tmp_path, li("B0000001")) == Report(known=1)
    assert orders(till) == [(LI.account_no, 2000)]


@pytest.mark.parametrize("account", ["2.4001E+09", "宿舍 3 栋", "13800000000", "x" * 60])
def test_what_is_no_account_number_is_queued(till: Till, tmp_path: Path, account: str) -> None:
    assert read_rows(till, tmp_path, f"2026-03-10,B0000001,20.00,{account},{LI.name}") == Report(queued=1)
    assert read_rows(till, tmp_path, f"2026-03-10,B0000001,20.00,{account},{LI.name}") == Report(known=1)
    assert reasons(till) == ["mismatch"]


@pytest.mark.parametrize("name", ["王\U0002ebf1明", "王\U00031350明", "王?明", "王明", "王〓明"])
def test_a_name_with_another_or_a_lost_character_is_not_the_owner_s(
    till: Till, tmp_path: Path, name: str
) -> None:
    row = f"2026-03-10,B0000001,20.00,{LI.account_no},{name}"
    assert read_rows(till, tmp_path, row) == Report(queued=1)
    assert balances(till) == (0, 0)


def test_a_transfer_for_a_closed_account_is_queued_as_such(till: Till, tmp_path: Path) -> None:
    till.services.billing.close_account(LI.account_no)
    rows = [li("B0000001"), f"2026-03-10,B0000002,20.00,{LI.account_no},{WANG.name}"]
    assert read_rows(till, tmp_path, *rows) == Report(queued=2)
    assert reasons(till) == ["closed", "double"]
    assert read_rows(till, tmp_path, rows[1].replace("20.00", "30.00")) == Report(queued=1)
    with pytest.raises(ClosedAccount):
        bank_queue.assign(
            till.services, line_id=lines(till)[0].id, account_no=LI.account_no, name=LI.name, actor=SECOND
        )


def test_half_a_character_costs_its_cell(till: Till, tmp_path: Path) -> None:
    header = "交易日期,流水号,金额,学号,姓名,附言".encode("gb18030")
    rows = [li("B0000001"), li("B0000002", day="2026-03-09"), wang("B0000003")]
    lines_of = [f"{row},网费".encode("gb18030") for row in rows]
    lines_of[0] = lines_of[0][:-1]
    lines_of[1] = lines_of[1].replace("李小明".encode("gb18030"), "李小明".encode("gb18030")[:-1])
    path = tmp_path / "list.csv"
    path.write_bytes(b"\r\n".join([header, *lines_of, b""]))
    report = read(till, path)
    assert (report.credited, report.rejected, report.faults[0][:10]) == (2, 1, "第 3 行“姓名”：")


def test_an_amount_above_the_bound_is_a_row_error(till: Till, tmp_path: Path) -> None:
    till.services = replace(till.services, counter_rules=CounterRules(max_fen=5000))
    rows = [li("B0000001", amount="50.00"), li("B0000002", amount="50.05"), li("B0000003", amount="9" * 30)]
    report = read_rows(till, tmp_path, *rows)
    assert (report.credited, report.rejected, balances(till)) == (1, 2, (5000, 0))


def test_every_row_is_counted_although_a_thousand_are_shown(till: Till, tmp_path: Path) -> None:
    report = read_rows(till, tmp_path, *[li("x")] * 1200, li("B0000001"))
    assert (report.credited, report.rejected, len(report.faults)) == (1, 1200, 1000)
