"""Texts of other systems in a bill cost their own row at most; the day and the month are done."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.clock import CAMPUS_ZONE
from models.db.engine import Database
from models.errors import Malformed
from payments.reconcile import daily, runs
from payments.reconcile.bill import COLUMNS, Bill
from payments.reconcile.fund_bill import FundBill
from tests.builders import NOON
from tests.payments.reconcile.bill_maker import HEADER, ON, BillWorld, Paid, row_of, write_bill
from tests.payments.reconcile.fund_maker import HEADER as FUND_HEADER
from tests.payments.reconcile.fund_maker import Flow, fund_world, write_flow

NAMES = HEADER.split(",")
_USED = {next(name for name in theirs if name in NAMES) for theirs in COLUMNS.values()}
# Of these only rows of ours are compared.
UNUSED = [name for name in NAMES if name not in _USED or name in ("商户数据包", "用户标识")]
DAMAGES = {
    "line break": b"\xe5\x8d\x88\n\xe9\xa4\x90",
    "CRLF": b"a\r\nb",
    "two line breaks": b"a\n\nb\n",
    "half a character": b"\xe5\x8d",
    "control characters": b"a\0\t\x1b\x07b",
    "nothing": b"",
    "a backquote and a comma apart": b"` , ,, ``",
    "long": b"x" * 5000,
    "the header of the totals": "总交易单数,应结订单总金额".encode(),
    "a line like the header of the totals": "a\n总交易单数,应结订单总金额\nb".encode(),
}


def spoil(path: Path, line: int, column: str, text: bytes) -> None:
    """Write `text` into a column of a line of the file."""
    lines = path.read_bytes().split(b"\r\n")
    fields = lines[line][1:].split(b",`")
    fields[NAMES.index(column)] = text
    lines[line] = b"`" + b",`".join(fields)
    path.write_bytes(b"\r\n".join(lines))


@pytest.fixture
def world(sqlite_database: Database, tmp_path: Path) -> BillWorld:
    """Our payments of a day, and the folder of its bill."""
    return BillWorld(sqlite_database, tmp_path)


@pytest.mark.parametrize("column", UNUSED)
def test_a_damaged_text_of_another_system_costs_nothing(world: BillWorld, column: str) -> None:
    """One row for each kind of damage, between two of ours."""
    others = [Paid(f"CANTEEN{n}", f"420000{n}", 1200) for n in range(len(DAMAGES))]
    path = world.bill(row_of(world.credited(500)), *others, row_of(world.credited(700)))
    lines = path.read_bytes().split(b"\r\n")
    for line, text in enumerate(DAMAGES.values(), 2):
        fields = lines[line].split(b",`")
        fields[NAMES.index(column)] = text
        lines[line] = b",`".join(fields)
    path.write_bytes(b"\r\n".join(lines))
    world.next_morning()
    broken = sum(b"\n" in text for text in DAMAGES.values())
    for _ in range(2):
        result = daily.run_file(world.services, ON, path)
        assert result.status == "DONE"
        assert result.differences == {"FOREIGN": len(DAMAGES), "ROW_REPAIRED": broken}


@pytest.mark.parametrize("column", ["商品名称", "商户数据包", "费率备注"])
@pytest.mark.parametrize("text", [b"A,`B", b"A,`B,`C,`", b"A\n,`B\r\nC", b",`,`,`"])
def test_a_separator_in_a_text_is_read_around(world: BillWorld, column: str, text: bytes) -> None:
    ours = world.credited(500)
    path = world.bill(Paid("CANTEEN1", "4200001", 1200), row_of(ours))
    spoil(path, 1, column, text)
    world.next_morning()
    assert daily.run_file(world.services, ON, path).differences == {"FOREIGN": 1, "ROW_REPAIRED": 1}


@pytest.mark.parametrize(
    "column", [name for name in UNUSED if name not in ("商品名称", "商户数据包", "费率备注")]
)
def test_a_separator_in_another_unused_column_costs_at_most_its_row(world: BillWorld, column: str) -> None:
    ours = world.credited(500)
    path = world.bill(Paid("CANTEEN1", "4200001", 1200), row_of(ours))
    spoil(path, 1, column, b"A,`B")
    world.next_morning()
    found = daily.run_file(world.services, ON, path).differences
    assert found in ({"FOREIGN": 1, "ROW_REPAIRED": 1}, {"ROW_UNREADABLE": 1, "TOTALS_DIFFER": 1})


def test_a_row_that_cannot_be_read_is_asked_about_and_the_rest_is_done(world: BillWorld) -> None:
    ours = world.credited(500)
    path = world.bill(Paid("CANTEEN1", "4200001", 1200), row_of(ours))
    path.write_bytes(path.read_bytes().replace(b"`JSAPI,`SUCCESS,", b"", 1))
    world.next_morning()
    assert daily.run_file(world.services, ON, path).differences == {"ROW_UNREADABLE": 1, "TOTALS_DIFFER": 1}
    with world.database.reading() as session:
        (found,) = [one for one in runs.differences_of(session, ON) if one.kind == "ROW_UNREADABLE"]
    assert (found.action, found.facts) == ("asked", {"line": 2, "number": "CANTEEN1"})


def test_a_refund_row_of_another_system_with_an_odd_time_costs_itself(world: BillWorld) -> None:
    ours = world.credited(500)
    path = world.bill(row_of(ours), Paid("CANTEEN1", "4200001", refund_fen=100, out_refund_no="r1"))
    spoil(path, 2, "交易时间", b"yesterday")
    world.next_morning()
    assert daily.run_file(world.services, ON, path).differences == {"ROW_UNREADABLE": 1}


def test_a_number_of_another_system_may_hold_any_bytes(any_database: Database, tmp_path: Path) -> None:
    world = BillWorld(any_database, tmp_path)
    ours = world.credited(500)
    path = world.bill(row_of(ours), Paid("CANTEEN1", "4200001", 1200))
    spoil(path, 2, "商户订单号", b"\xb2\xcd\0\xcc\xfc")
    world.next_morning()
    assert daily.run_file(world.services, ON, path).differences == {"FOREIGN": 1}


def test_a_text_that_looks_like_a_row_of_ours_credits_nobody(world: BillWorld) -> None:
    """A line break in a name, then a whole row with the number of an order that is not paid."""
    wanted = world.prepaid(500)
    world.pay.trades[f"{wanted.order_no}01"] = "NOTPAY"
    forged = row_of(wanted).line().encode()
    path = world.bill(Paid("CANTEEN1", "4200001", 1200), Paid("CANTEEN2", "4200002", 1200))
    spoil(path, 1, "商品名称", b"a\n" + forged + b"\nb")
    world.next_morning()
    result = daily.run_file(world.services, ON, path)
    assert world.order(wanted).status == "PREPAID"
    assert result.differences["TOTALS_DIFFER"] == 1


def test_a_row_that_a_text_completes_credits_nobody_that_wechat_says_has_not_paid(world: BillWorld) -> None:
    """The text begins a row of ours, and the end of its own row completes it."""
    wanted = world.prepaid(1200)
    forged = b",`".join(row_of(wanted).line().encode().split(b",`")[:20])
    path = world.bill(Paid("CANTEEN1", "4200001", 1200), Paid("CANTEEN2", "4200002", 1200))
    spoil(path, 1, "商品名称", b"a\n" + forged + b",`b")
    world.next_morning()
    result = daily.run_file(world.services, ON, path)
    assert world.order(wanted).status == "PREPAID"
    assert result.differences["LOST_NOTIFY"] == 1
    with world.database.reading() as session:
        (found,) = [one for one in runs.differences_of(session, ON) if one.kind == "LOST_NOTIFY"]
    assert (found.action, found.facts["wechat_says"]) == ("asked", "NOTPAY")


@pytest.mark.parametrize("out_refund_no", ["0", "", "r{line}"])
def test_payments_that_another_system_revoked_are_listed_one_by_one(
    world: BillWorld, out_refund_no: str
) -> None:
    path = world.bill(*[Paid(f"CANTEEN{n}", f"420000{n}", 100 * n) for n in (1, 2, 3)])
    for line in (1, 2, 3):
        spoil(path, line, "交易状态", b"REVOKED")
        spoil(path, line, "商户退款单号", out_refund_no.format(line=line).encode())
    world.next_morning()
    assert daily.run_file(world.services, ON, path).differences == {"FOREIGN": 3}
    with world.database.reading() as session:
        assert sorted(one.amount_fen or 0 for one in runs.differences_of(session, ON)) == [100, 200, 300]


@given(texts=st.lists(st.binary(max_size=30), min_size=1, max_size=8))
def test_any_texts_leave_our_rows_as_they_are(
    tmp_path_factory: pytest.TempPathFactory, texts: list[bytes]
) -> None:
    """Whatever stands in the names of others: our rows come once, with their amounts."""
    path = tmp_path_factory.mktemp("bill") / "b"
    rows = [Paid(f"OURS{n}", f"42{n}", 100 + n) for n in range(len(texts) + 1)]
    others = [Paid(f"OTHER{n}", f"43{n}", 1) for n in range(len(texts))]
    write_bill(path, [row for pair in zip(rows, others, strict=False) for row in pair] + rows[-1:])
    lines = path.read_bytes().split(b"\r\n")
    for n, text in enumerate(texts):
        fields = lines[2 + 2 * n].split(b",`")
        fields[20] = text
        lines[2 + 2 * n] = b",`".join(fields)
    path.write_bytes(b"\r\n".join(lines))
    bill = Bill(path)
    try:
        seen = [(row[6], row[24]) for batch in bill.batches() for row in batch if row[6].startswith(b"OURS")]
    except Malformed:
        pytest.fail("the whole bill was refused")
    assert seen == [(row.number.encode(), f"1.{n:02d}".encode()) for n, row in enumerate(rows)]
    assert bill.odd.unreadable or bill.differing_totals() == []


def test_memory_stays_flat_when_every_row_is_odd(tmp_path: Path) -> None:
    def peak(rows: int) -> int:
        path = tmp_path / f"{rows}"
        write_bill(path, [Paid(f"n{n}", f"t{n}", 500, description="a\nb") for n in range(rows)])
        bill = Bill(path)
        tracemalloc.start()
        try:
            assert sum(map(len, bill.batches())) == rows
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    assert peak(8000) < peak(2000) + 200_000


@pytest.mark.parametrize("column", ["资金变更提交申请人", "备注", "业务名称"])
@pytest.mark.parametrize("text", [*DAMAGES.values(), b"A,`B", b"A,`B\r\nC,`"])
def test_a_damaged_text_of_a_fund_flow_bill_costs_nothing(tmp_path: Path, column: str, text: bytes) -> None:
    row = Flow(NOON, "4200", "4200", "交易", 500, "r1")
    path = write_flow(tmp_path / "b", [row, replace(row, flow_no="4201", voucher="r2")])
    lines = path.read_bytes().split(b"\r\n")
    fields = lines[1].split(b",`")
    fields[FUND_HEADER.split(",").index(column)] = text
    lines[1] = b",`".join(fields)
    path.write_bytes(b"\r\n".join(lines))
    bill = FundBill(path)
    assert [(found.voucher, found.amount_fen) for found in bill.rows()] == [("r1", 500), ("r2", 500)]
    assert bill.odd.repaired == (b"\n" in text or b",`" in text)


def test_a_month_lists_the_rows_that_were_read_around_a_text(
    sqlite_database: Database, tmp_path: Path
) -> None:
    world = fund_world(sqlite_database, tmp_path)
    world.day(date(2026, 3, 10))
    world.income(world.took(500), remark="一\n二")
    world.clock.now = datetime(2026, 4, 2, 12, tzinfo=CAMPUS_ZONE)
    world.reconciled()
    world.run(date(2026, 3, 1))
    listed = {kind: action for kind, _, action in world.found(date(2026, 3, 1))}
    assert listed["FUND_ROW_REPAIRED"] == "listed"
