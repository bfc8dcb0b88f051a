"""Text tables: encodings, delimiters, damaged bytes, rows that do not fit their header."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from models.values.tables.errors import RowError, TableRefused
from models.values.tables.reader import Limits, Table, open_table
from tests.models.values.tables.table_files import COLUMNS, REQUIRED, write_csv

HEADER = "流水号,金额,学号,姓名,附言"
ROWS = (HEADER, "B1,20.00,2400101001,李小明,网费", 'B2,"1,200.00",2400101002,王芳,')


def read(path: Path) -> Table:
    return open_table(path, COLUMNS, required=REQUIRED)


def errors(path: Path, *columns: str) -> list[str]:
    found = []
    for row in read(path).rows():
        try:
            for column in columns or COLUMNS:
                row[column]
        except RowError as error:
            found.append(error.text)
    return found


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
def test_every_encoding_and_delimiter(tmp_path: Path, encoding: str, delimiter: str) -> None:
    rows = [HEADER.replace(",", delimiter), delimiter.join(("B1", "20.00", "2400101001", "李小明", "网费"))]
    (row,) = read(write_csv(tmp_path / "t.csv", rows, encoding=encoding)).rows()
    assert (row.line_no, row["number"], row["name"], row["note"]) == (2, "B1", "李小明", "网费")


def test_a_title_above_the_header_and_empty_rows_are_left_out(tmp_path: Path) -> None:
    rows = ["桂林银行,,", "账号：123", *ROWS[:2], ",,,,", ROWS[2]]
    assert [row.line_no for row in read(write_csv(tmp_path / "t.csv", rows)).rows()] == [4, 6]


@pytest.mark.parametrize("cut", [1, 3])
def test_half_a_character_costs_its_cell_only(tmp_path: Path, cut: int) -> None:
    line = "B2,5.00,2400101002,王芳,桂林电子科技大学校园网费充值".encode("gb18030")[:-cut]
    good = "\r\n".join(ROWS[:2]).encode("gb18030")
    path = tmp_path / "t.csv"
    path.write_bytes(good + b"\r\n" + line + "\r\nB3,6.00,2400101003,周,好\r\n".encode("gb18030"))
    assert errors(path, "number", "amount", "account_no", "name") == []
    assert len(errors(path, "note")) == 1
    assert [row["number"] for row in read(path).rows()] == ["B1", "B2", "B3"]


def test_half_a_character_in_a_column_that_is_read_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(
        f"{HEADER}\r\nB1,5.00,24,王芳,".encode("gb18030").replace("王芳".encode("gb18030"), b"\xcd\xf5\xb7")
    )
    path.write_bytes(path.read_bytes() + b"\r\n")
    (text,) = errors(path, "name")
    assert text.startswith("第 2 行“姓名”")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
@pytest.mark.parametrize("damage", [b"\xff", b""])
def test_one_damaged_byte_costs_its_cell_only(tmp_path: Path, encoding: str, damage: bytes) -> None:
    # The one row is half of all lines that are not ASCII.
    cells = {"number": "B1", "amount": "20.00", "account_no": "24", "name": "李小明", "note": "网费"}
    for column in ("note", "name"):
        path = write_csv(tmp_path / "t.csv", [HEADER, ",".join(cells.values())], encoding=encoding)
        word = cells[column].encode(encoding.removesuffix("-sig"))
        path.write_bytes(path.read_bytes().replace(word, word[:-1] + damage))
        (text,) = errors(path, column)
        assert text.startswith("第 2 行")
        (row,) = read(path).rows()
        assert all(row[other] == cell for other, cell in cells.items() if other != column)


@pytest.mark.parametrize("encoding", ["utf-8", "gb18030"])
def test_a_damaged_title_is_named(tmp_path: Path, encoding: str) -> None:
    path = write_csv(tmp_path / "t.csv", ["流水号,金额,借贷标志", "B1,20.00,借"], encoding=encoding)
    path.write_bytes(path.read_bytes().replace("志".encode(encoding), "志".encode(encoding)[:-1]))
    with pytest.raises(TableRefused, match="表头）第 3 列"):
        read(path)


def test_damaged_utf8_is_not_taken_for_gb18030(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", ROWS)
    path.write_bytes(path.read_bytes().replace("网费".encode(), "网费".encode()[:-1]))
    assert [row["name"] for row in read(path).rows()] == ["李小明", "王芳"]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("B3,1,200.00,2400101001,李小明,网费", "有 6 列"),
        ("B3,20.00", "只有 2 列"),
        ('B3,20.00,2400101001,李小明,"网费\r\nB4,30.00,2400101001,李小明,网费"', "引号"),
    ],
)
def test_a_row_that_does_not_fit_the_header_is_an_error(tmp_path: Path, row: str, told: str) -> None:
    path = write_csv(tmp_path / "t.csv", [*ROWS, row, "B5,1.00,24,李,"])
    (text,) = errors(path, "number")
    assert text.startswith("第 4 行")
    assert told in text


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        (["a,b,c", "1,2,3"], "流水号、金额"),
        (["流水号,学号", "1,2"], "缺少：金额"),
        (["流水号,金额,金额", "1,2,3"], "“金额”、“金额”"),
        (["流水号,金额,Amount", "1,2,3"], "“Amount”"),
        (["流水号,金额(万元)", "1,2"], "金额"),
        ([HEADER, 'B1,"20.00,24,李,'], "CSV"),
    ],
)
def test_a_table_that_cannot_be_used_names_what_is_wrong(tmp_path: Path, rows: list[str], told: str) -> None:
    with pytest.raises(TableRefused, match=told):
        read(write_csv(tmp_path / "t.csv", rows))


def test_a_unit_of_yuan_in_the_title_changes_nothing(tmp_path: Path) -> None:
    (row,) = read(write_csv(tmp_path / "t.csv", ["流水号, 金额（元） ", "B1,20"])).rows()
    assert row["amount"] == "20"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"%PDF-1.7",
        b"\xd0\xcf\x11\xe0\xa1\xb1",
        b"<html><table>",
        b"\xff\xfe\0\0a",
        bytes(range(256)) * 9,
    ],
)
def test_another_kind_of_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(TableRefused):
        read(path)


def test_an_encoding_that_could_be_two_is_refused(tmp_path: Path) -> None:
    # Valid UTF-8 for two letters of Europe, and Chinese in GB18030; nothing else in the file tells.
    path = tmp_path / "t.csv"
    path.write_bytes("reference,amount,姓名\r\n".encode("ascii", "ignore") + b"B1,20,\xc3\xa9\xc3\xa8\r\n")
    with pytest.raises(TableRefused, match="UTF-8"):
        read(path)


def test_the_caps_hold(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "t.csv", [HEADER, *(f"B{n},1,2,3,4" for n in range(11))])
    for limits in (Limits(rows=10), Limits(file_bytes=50)):
        with pytest.raises(TableRefused):
            open_table(path, COLUMNS, required=REQUIRED, limits=limits)
    assert len(list(open_table(path, COLUMNS, required=REQUIRED, limits=Limits(rows=11)).rows())) == 11


CELLS = st.text(
    st.characters(codec="gb18030", exclude_characters="\ufffd", exclude_categories=["Cs"]), max_size=8
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.tuples(CELLS, CELLS), max_size=5), st.sampled_from(["utf-8-sig", "gb18030", "utf-16"]))
def test_any_cells_come_back_or_their_row_is_an_error(
    tmp_path: Path, cells: list[tuple[str, str]], encoding: str
) -> None:
    def quoted(text: str) -> str:
        return '"' + text.replace('"', '""') + '"'

    rows = [HEADER, *(f"B{n},1,24,{quoted(name)},{quoted(note)}" for n, (name, note) in enumerate(cells))]
    read_back = list(read(write_csv(tmp_path / "t.csv", rows, encoding=encoding)).rows())
    assert len(read_back) == len(cells)
    for row, (name, _) in zip(read_back, cells, strict=True):
        try:
            assert row["name"] in name
        except RowError:
            continue


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=300)
@given(st.binary(max_size=60))
def test_any_bytes_below_a_header_are_rows_errors_or_a_refusal(tmp_path: Path, junk: bytes) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(f"{HEADER}\r\n".encode("gb18030") + junk)
    try:
        rows = list(read(path).rows())
    except TableRefused:
        return
    for row in rows:
        try:
            assert len(row["number"]) <= len(junk)
        except RowError as error:
            assert error.line_no == row.line_no  # noqa: PT017 - either is right
