"""Spreadsheets: what the cells hold is read exactly, nothing is evaluated, hostile files are refused."""

from __future__ import annotations

import zipfile
from datetime import date, datetime
from pathlib import Path

import openpyxl
import pytest

from models.values.tables.dates import parse_date
from models.values.tables.errors import RowError, TableRefused
from models.values.tables.reader import Limits, Row, open_table
from tests.models.values.tables.table_files import COLUMNS, REQUIRED, rewrite, write_csv, write_xlsx

HEADER = ("流水号", "金额", "学号", "姓名", "附言")


def rows_of(path: Path) -> list[Row]:
    return list(open_table(path, COLUMNS, required=REQUIRED).rows())


def test_numbers_dates_and_texts_are_what_the_sheet_shows(tmp_path: Path) -> None:
    rows = [
        ("桂林银行",),
        HEADER,
        ("B1", 20.1, 2400101001, "李小明", date(2026, 3, 31)),
        (),
        ("B2", 0.1 + 0.2, 2400101002.0, "王芳", datetime(2026, 3, 31, 9, 30)),  # noqa: DTZ001 - a cell
        ("B3", 1200, "2400101003", "周"),
    ]
    read = rows_of(write_xlsx(tmp_path / "t.xlsx", rows))
    assert [row.line_no for row in read] == [3, 5, 6]
    assert [row["amount"] for row in read] == ["20.1", "0.3", "1200"]
    assert [row["account_no"] for row in read] == ["2400101001", "2400101002", "2400101003"]
    assert {row.parse("note", parse_date) for row in read[:2]} == {date(2026, 3, 31)}
    assert read[2]["note"] == ""


@pytest.mark.parametrize(
    ("value", "number_format", "told"),
    [
        ("=10+10", "General", "公式"),
        ('="2400101013"', "General", "公式"),
        (622200000000000001, "0", "16 位"),
        ("#N/A", "General", "错误值"),
        (0.2, "0%", "百分比"),
        (20, '"$"#,##0.00', "外币"),
        (20, "[$€-407]#,##0.00", "外币"),
        (20, "[$USD] #,##0.00", "外币"),
    ],
)
def test_what_is_not_certain_is_an_error_in_a_column_that_is_read(
    tmp_path: Path, value: object, number_format: str, told: str
) -> None:
    path = write_xlsx(tmp_path / "t.xlsx", [HEADER, ("B1", 1, 24, "李", "x")])
    book = openpyxl.load_workbook(path)
    cell = book.worksheets[0]["B2"]
    cell.value, cell.number_format = value, number_format
    book.save(path)
    (row,) = rows_of(path)
    assert row["number"] == "B1"
    with pytest.raises(RowError, match=told) as refused:
        row["amount"]
    assert (refused.value.line_no, refused.value.column) == (2, "金额")


def test_yuan_formats_are_plain_numbers(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "t.xlsx", [HEADER, ("B1", 1, 24, "李", "x")])
    for number_format in ('"¥"#,##0.00', "[$￥-804]#,##0.00", "#,##0.00_);[Red]\\(#,##0.00\\)", "@"):
        book = openpyxl.load_workbook(path)
        book.worksheets[0]["B2"].number_format = number_format
        book.save(path)
        assert rows_of(path)[0]["amount"] == "1"


def test_a_declared_size_hides_no_row(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "t.xlsx", [HEADER, *((f"B{n}", n, 24, "李", "") for n in range(1, 6))])

    def smaller(name: str, content: bytes) -> bytes:
        return content.replace(b'ref="A1:E6"', b'ref="A1:A2"') if "sheet1" in name else content

    assert len(rows_of(rewrite(path, smaller))) == 5


@pytest.mark.parametrize(("old", "new"), [(b'<row r="3"', b'<row r="2"'), (b'r="B3"', b'r="A3"')])
def test_rows_or_cells_in_one_place_are_refused(tmp_path: Path, old: bytes, new: bytes) -> None:
    path = write_xlsx(tmp_path / "t.xlsx", [HEADER, *((f"B{n}", n, 24, "李", "") for n in range(1, 4))])
    rewrite(path, lambda name, content: content.replace(old, new) if "sheet1" in name else content)
    with pytest.raises(TableRefused, match="顺序"):
        rows_of(path)


def test_two_sheets_that_fit_are_refused_and_one_of_several_is_read(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "t.xlsx", [HEADER, ("B1", 1, 24, "李", "")])
    book = openpyxl.load_workbook(path)
    other = book.create_sheet("说明", 0)
    other.append(["填写说明"])
    book.save(path)
    assert len(rows_of(path)) == 1
    other.append(list(HEADER))
    book.save(path)
    with pytest.raises(TableRefused, match="说明"):
        rows_of(path)


def _type(name: str, content: bytes) -> bytes:
    plain, macro = b"spreadsheetml.sheet.main+xml", b"ms-excel.sheet.macroEnabled.main+xml"
    return content.replace(plain, macro) if name == "[Content_Types].xml" else content


def test_macros_are_refused_whatever_the_name(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "t.xlsx", [HEADER, ("B1", 1, 24, "李", "")])
    with pytest.raises(TableRefused, match="宏"):
        rows_of(rewrite(path, _type))


def test_another_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mimetype", "application/vnd.oasis.opendocument.spreadsheet")
    with pytest.raises(TableRefused):
        rows_of(path)


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "t.xlsx", [HEADER, ("B1", 1, 24, "李", "")])
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/media/image1.png", b"\0" * 5 * 1024**2)
    with pytest.raises(TableRefused, match=r"解压|压缩"):
        open_table(path, COLUMNS, required=REQUIRED, limits=Limits(unpacked_bytes=1024**2))
    with pytest.raises(TableRefused, match="压缩"):
        rows_of(path)


@pytest.mark.parametrize(
    "entity",
    [
        b'<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>',
        b'<!DOCTYPE x [<!ENTITY b SYSTEM "file:///etc/hostname">]>',
    ],
)
def test_entities_are_refused(tmp_path: Path, entity: bytes) -> None:
    path = write_xlsx(tmp_path / "t.xlsx", [HEADER, ("B1", 1, 24, "李", "")])

    def hostile(name: str, content: bytes) -> bytes:
        if "sheet1" not in name:
            return content
        body = content.partition(b"?>")[2] if content.startswith(b"<?xml") else content
        return b'<?xml version="1.0"?>' + entity + body.replace(b"<v>1</v>", b"<v>&b;</v>")

    with pytest.raises(TableRefused):
        rows_of(rewrite(path, hostile))


@pytest.mark.parametrize("cut", [10, 300, 2000])
def test_a_truncated_file_is_refused(tmp_path: Path, cut: int) -> None:
    path = write_xlsx(tmp_path / "t.xlsx", [HEADER, ("B1", 1, 24, "李", "")])
    path.write_bytes(path.read_bytes()[:-cut])
    with pytest.raises(TableRefused):
        rows_of(path)


@pytest.mark.parametrize("value", [b"1e999", b"abc", b"9" * 5000])
def test_a_broken_number_is_refused_or_an_error(tmp_path: Path, value: bytes) -> None:
    path = write_xlsx(tmp_path / "t.xlsx", [HEADER, ("B1", 1, 24, "李", "")])
    rewrite(
        path,
        lambda name, content: (
            content.replace(b"<v>1</v>", b"<v>" + value + b"</v>") if "sheet1" in name else content
        ),
    )
    with pytest.raises((TableRefused, RowError)):
        [row["amount"] for row in rows_of(path)]


def test_a_1904_workbook_is_refused(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "t.xlsx", [HEADER, ("B1", 1, 24, "李", "")])
    rewrite(
        path,
        lambda name, content: (
            content.replace(b"<workbookPr />", b'<workbookPr date1904="1" />')
            if name == "xl/workbook.xml"
            else content
        ),
    )
    with pytest.raises(TableRefused, match="1904"):
        rows_of(path)


def test_the_content_decides_and_not_the_name(tmp_path: Path) -> None:
    path = write_xlsx(tmp_path / "t.csv.xlsx", [HEADER, ("B1", 1, 24, "李", "")]).rename(tmp_path / "t.csv")
    assert len(rows_of(path)) == 1
    assert len(rows_of(write_csv(tmp_path / "t.xlsx", ["流水号,金额", "B1,1"]))) == 1
