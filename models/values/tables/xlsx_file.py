"""Spreadsheets of the kind .xlsx, read without evaluating anything, with caps on what is unpacked."""

from __future__ import annotations

import lzma
import math
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Final
from xml.etree.ElementTree import ParseError

import openpyxl
from defusedxml.common import DefusedXmlException
from openpyxl.cell.read_only import ReadOnlyCell
from openpyxl.utils.datetime import WINDOWS_EPOCH
from openpyxl.workbook.workbook import Workbook
from openpyxl.worksheet._reader import WorkSheetParser

from models.values.tables.errors import TableRefused
from models.values.tables.raw import Damaged, RawRow

SIGNATURE: Final = b"PK\x03\x04"
_MEMBERS_MAX: Final = 2000
_COLUMNS_MAX: Final = 256
_RATIO_MAX: Final = 400
_SMALL_BYTES: Final = 1024 * 1024
_ENCRYPTED: Final = 0x1
_CONTENT_TYPES: Final = "[Content_Types].xml"
_WORKBOOK_TYPE: Final = b"spreadsheetml.sheet.main+xml"
_MACRO_TYPE: Final = b"macroEnabled"
# Spreadsheets keep 15 digits of a number.
_EXACT_BELOW: Final = 10**15
_FORMULA: Final = Damaged("是公式，请把公式粘贴为数值后再导入")
_TOO_LONG: Final = Damaged("是 16 位以上的数字，末几位已被表格软件改写，请按文本格式重新导出")
_ERROR: Final = Damaged("是表格软件的错误值")
_PERCENT: Final = Damaged("按百分比显示，不知道是多少")
_FOREIGN: Final = Damaged("按外币格式显示")
# What broken or hostile files make zipfile, the XML parser and openpyxl raise.
_BROKEN: Final = (
    zipfile.BadZipFile,
    zipfile.LargeZipFile,
    zlib.error,
    lzma.LZMAError,
    ParseError,
    DefusedXmlException,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
)
_SYMBOL: Final = re.compile(r"\[\$([^\]-]*)[^\]]*\]")
_YUAN_SYMBOLS: Final = frozenset({"", "¥", "￥", "CNY", "RMB", "元"})
_OTHER_SYMBOLS: Final = re.compile(r"[$€£₩₽฿₫]|USD|EUR|GBP|HKD|JPY", re.IGNORECASE)


def check_archive(path: Path, *, unpacked_max: int) -> None:
    """Refuse what is no plain .xlsx, or unpacks to more than a table needs.

    Raises:
        TableRefused: a macro workbook, another kind of archive, an encrypted one, or one too large.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            if len(members) > _MEMBERS_MAX:
                raise TableRefused("文件包含的部分过多，不是普通的 Excel 表格")
            if any(member.flag_bits & _ENCRYPTED for member in members):
                raise TableRefused("Excel 文件已加密，请取消密码后再导入")
            # A member never yields more than the size it declares here: zipfile stops there.
            if sum(member.file_size for member in members) > unpacked_max:
                raise TableRefused(f"Excel 文件解压后超过 {unpacked_max // 1024**2} MB")
            if any(_is_bomb(member) for member in members):
                raise TableRefused("Excel 文件压缩比异常")
            _check_kind(archive, [member.filename for member in members])
    except _BROKEN as error:
        raise TableRefused("文件已损坏，或不是 Excel 的 .xlsx 表格") from error


def _is_bomb(member: zipfile.ZipInfo) -> bool:
    return member.file_size > _SMALL_BYTES and member.file_size > _RATIO_MAX * max(1, member.compress_size)


def _check_kind(archive: zipfile.ZipFile, names: list[str]) -> None:
    if _CONTENT_TYPES not in names:
        raise TableRefused("文件不是 Excel 的 .xlsx 表格")
    with archive.open(_CONTENT_TYPES) as file:
        kinds = file.read(_SMALL_BYTES)
    if _MACRO_TYPE in kinds or any(name.lower().endswith("vbaproject.bin") for name in names):
        raise TableRefused("不接受含宏的 Excel 文件（.xlsm），请另存为 .xlsx")
    if _WORKBOOK_TYPE not in kinds:
        raise TableRefused("文件不是 Excel 的 .xlsx 表格")


@contextmanager
def open_workbook(path: Path) -> Iterator[Workbook]:
    """Open a checked file. Raises: TableRefused - it is broken, or counts its days from 1904."""
    with _refusing(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with path.open("rb") as file:
            book = openpyxl.load_workbook(file, read_only=True, data_only=False, keep_links=False)
            try:
                if book.epoch != WINDOWS_EPOCH:
                    raise TableRefused("该表格使用 1904 日期系统，请另存为使用 1900 日期系统的文件")
                yield book
            finally:
                book.close()


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except _BROKEN as error:
        raise TableRefused("Excel 文件已损坏，无法读取") from error


def sheet_names(path: Path) -> list[str]:
    """Return the names of the sheets with cells. Raises: TableRefused."""
    with open_workbook(path) as book:
        return [sheet.title for sheet in book.worksheets]


def read_sheet(path: Path, sheet: str) -> Iterator[RawRow]:
    """Yield the rows of a sheet under their numbers; cells as text, spoiled ones as `Damaged`.

    The rows come from openpyxl's parser itself: its worksheet leaves out rows beyond the declared size
    and rows out of order.

    Raises:
        TableRefused: the file is broken, or its rows or cells are out of order.
    """
    with open_workbook(path) as book:
        page: Any = book[sheet]
        internals: Any = book
        with page._get_source() as source:  # noqa: SLF001 - see above
            parser = WorkSheetParser(
                source,
                page._shared_strings,  # noqa: SLF001
                epoch=book.epoch,
                date_formats=internals._date_formats,  # noqa: SLF001
                timedelta_formats=internals._timedelta_formats,  # noqa: SLF001
            )
            last = 0
            for line_no, cells in parser.parse():
                if line_no <= last:
                    raise TableRefused(f"Excel 文件第 {line_no} 行的位置重复或顺序不对")
                last = line_no
                texts = _in_places(page, line_no, cells)
                if texts:
                    yield RawRow(line_no, texts)


def _in_places(page: Any, line_no: int, cells: list[dict[str, Any]]) -> list[str | Damaged]:
    """Return the cells of a row from the left, without what is empty on the right."""
    texts: list[str | Damaged] = []
    for cell in cells:
        if cell["column"] > _COLUMNS_MAX:
            break
        if cell["column"] <= len(texts):
            raise TableRefused(f"Excel 文件第 {line_no} 行的单元格位置重复或顺序不对")
        texts += [""] * (cell["column"] - 1 - len(texts))
        texts.append(_text(ReadOnlyCell(page, **cell)))
    while texts and texts[-1] == "":
        texts.pop()
    return texts


def _text(cell: Any) -> str | Damaged:
    """Return what the cell holds as the text an operator would type."""
    if cell.value is None:
        return ""
    if cell.data_type in ("f", "e"):
        return _FORMULA if cell.data_type == "f" else _ERROR
    if isinstance(cell.value, int | float) and not isinstance(cell.value, bool):
        return _number(cell.value, str(cell.number_format or ""))
    return _other_text(cell.value)


def _other_text(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat(sep=" ") if value.time() != time() else value.date().isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    return str(value)


def _number(value: float, number_format: str) -> str | Damaged:
    if not math.isfinite(value):
        return _ERROR
    if abs(value) >= _EXACT_BELOW:
        return _TOO_LONG
    if "%" in number_format:
        return _PERCENT
    if _is_foreign(number_format):
        return _FOREIGN
    if value == int(value):
        return str(int(value))
    # Fifteen digits are what the spreadsheet shows: 0.1 + 0.2 is 0.3.
    return f"{value:.15g}"


def _is_foreign(number_format: str) -> bool:
    symbols = _SYMBOL.findall(number_format)
    rest = _SYMBOL.sub("", number_format)
    return any(symbol.strip() not in _YUAN_SYMBOLS for symbol in symbols) or bool(_OTHER_SYMBOLS.search(rest))
