"""Direction, currency and status: only money that certainly came in is read as such."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.values.tables import movements
from models.values.tables.errors import RowError, TableRefused
from models.values.tables.movements import Movement, check_columns, read_movement
from models.values.tables.reader import Table, open_table
from models.values.tables.words import Direction
from tests.models.values.tables.table_files import write_csv

COLUMNS = {**movements.COLUMNS, "number": ("流水号",)}
IN, OUT = Direction.IN, Direction.OUT


def table_of(path: Path, header: str, *rows: str) -> Table:
    table = open_table(write_csv(path / "t.csv", [header, *rows]), COLUMNS, required=("number",))
    check_columns(table)
    return table


def one(path: Path, header: str, row: str, *others: str) -> Movement:
    return read_movement(next(table_of(path, header, row, *others).rows()), max_fen=10**6)


@pytest.mark.parametrize(
    "word", ["贷", "贷方", "收入", "转入", "来账", "C", "CR", "Credit", "+", "收", "入账"]
)
def test_money_that_came_in(tmp_path: Path, word: str) -> None:
    assert one(tmp_path, "流水号,借贷标志,金额", f"B1,{word},20.00") == Movement(IN, 2000)


@pytest.mark.parametrize(
    "word", ["借", "借方", "支出", "转出", "往账", "D", "DR", "debit", "-", "付", "出账"]
)
def test_money_that_went_out(tmp_path: Path, word: str) -> None:
    assert one(tmp_path, "流水号,收支,金额", f"B1,{word},20.00") == Movement(OUT, 2000)


@pytest.mark.parametrize(
    ("header", "row", "movement"),
    [
        ("流水号,金额", "B1,20", Movement(IN, 2000)),
        ("流水号,金额", "B1,-20", Movement(OUT, 2000)),
        ("流水号,收入金额,支出金额", "B1,20,", Movement(IN, 2000)),
        ("流水号,收入金额,支出金额", "B1,,20", Movement(OUT, 2000)),
        ("流水号,贷方发生额,借方发生额", "B1,20,0.00", Movement(IN, 2000)),
        ("流水号,贷方发生额,借方发生额", "B1,-,20", Movement(OUT, 2000)),
        ("流水号,借贷标志,金额", "B1,借,-20", Movement(OUT, 2000)),
        ("流水号,金额,币种,交易状态", "B1,20,人民币,成功", Movement(IN, 2000)),
        ("流水号,金额,币种,冲正标志", "B1,20,156,否", Movement(IN, 2000)),
    ],
)
def test_the_ways_to_say_a_direction(tmp_path: Path, header: str, row: str, movement: Movement) -> None:
    assert one(tmp_path, header, row) == movement


@pytest.mark.parametrize(
    ("header", "row", "good"),
    [
        ("流水号,金额,币种", "B1,20,USD", "B2,20,CNY"),
        ("流水号,金额,币种", "B1,20,港币", "B2,20,CNY"),
        ("流水号,金额,币种", "B1,20,", "B2,20,CNY"),
        ("流水号,金额,交易状态", "B1,20,失败", "B2,20,成功"),
        ("流水号,金额,交易状态", "B1,20,已冲正", "B2,20,成功"),
        ("流水号,金额,交易状态", "B1,20,失败已冲正", "B2,20,成功"),
        ("流水号,金额,交易状态", "B1,20,处理中", "B2,20,成功"),
        ("流水号,金额,交易状态", "B1,20,也许", "B2,20,成功"),
        ("流水号,金额,冲正标志", "B1,20,是", "B2,20,否"),
        ("流水号,借贷标志,金额", "B1,,20", "B2,贷,20"),
        ("流水号,借贷标志,金额", "B1,1,20", "B2,贷,20"),
        ("流水号,借贷标志,金额", "B1,贷,-20", "B2,贷,20"),
        ("流水号,收入金额,支出金额", "B1,20,20", "B2,20,"),
        ("流水号,收入金额,支出金额", "B1,,", "B2,20,"),
        ("流水号,收入金额,支出金额", "B1,-20,", "B2,20,"),
        ("流水号,金额", "B1,0.00", "B2,1"),
        ("流水号,金额", "B1,10000.01", "B2,1"),
    ],
)
def test_a_row_that_is_not_certain_is_an_error(tmp_path: Path, header: str, row: str, good: str) -> None:
    with pytest.raises(RowError, match="第 2 行"):
        one(tmp_path, header, row, good)


@pytest.mark.parametrize(
    ("header", "row", "column"),
    [
        ("流水号,金额,资金去向标志", "B1,20,1", "资金去向标志"),
        ("流水号,金额,记账方向说明类型", "B1,20,1", "记账方向说明类型"),
        ("流水号,金额,交易状态说明", "B1,20,", "交易状态说明"),
        ("流水号,金额,外币金额", "B1,20,", "外币金额"),
        ("流水号,金额,退汇标识", "B1,20,", "退汇标识"),
        ("流水号,金额,Dr_Cr status", "B1,20,", "Dr_Cr status"),
        ("流水号,借贷标志,金额", "B1,1,20", "借贷标志"),
        ("流水号,金额,交易状态", "B1,20,00", "交易状态"),
        ("流水号,金额,借方金额", "B1,20,", "借方金额"),
        ("流水号,借方发生额", "B1,20", "收入金额"),
    ],
)
def test_a_column_that_is_not_understood_is_named(tmp_path: Path, header: str, row: str, column: str) -> None:
    with pytest.raises(TableRefused, match=column):
        table_of(tmp_path, header, row)


@pytest.mark.parametrize(
    "title",
    [
        "余额",
        "对方户名",
        "对方账号",
        "摘要",
        "交易日期",
        "凭证号",
        "冲正流水号",
        "状态变更时间",
        "开户行",
        "用途",
        "附言",
    ],
)
def test_other_columns_are_left_alone(tmp_path: Path, title: str) -> None:
    assert one(tmp_path, f"流水号,金额,{title}", "B1,20,x") == Movement(IN, 2000)


WORDS = ["贷", "借", "", "收入", "支出", "1", "CR", "其他"]
STATES = ["成功", "失败", "已冲正", "处理中", "", "?"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(WORDS),
            st.sampled_from(["20", "-20", "0", "1e3", "20,00", ""]),
            st.sampled_from(["CNY", "USD", ""]),
            st.sampled_from(STATES),
        ),
        min_size=1,
        max_size=8,
    )
)
def test_only_certain_rows_come_in(tmp_path: Path, rows: list[tuple[str, str, str, str]]) -> None:
    lines = [
        f'B{n},{word},"{amount}",{currency},{state}' for n, (word, amount, currency, state) in enumerate(rows)
    ]
    try:
        table = table_of(tmp_path, "流水号,借贷标志,金额,币种,交易状态", *lines)
    except TableRefused:
        return
    for row, (word, amount, currency, state) in zip(table.rows(), rows, strict=True):
        good = word in ("贷", "收入", "CR") and amount == "20" and (currency, state) == ("CNY", "成功")
        try:
            movement = read_movement(row, max_fen=10**6)
        except RowError as error:
            told = error.line_no
            assert (told, good) == (row.line_no, False)
        else:
            assert (movement.direction == IN) == good
