"""Text tables: CSV with comma, tab or semicolon, in UTF-8, GB18030 or UTF-16."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from models.values.tables.errors import TableRefused
from models.values.tables.raw import Damaged, RawRow
from models.values.tables.text import REPLACEMENT

DELIMITERS: Final = (",", "\t", ";")
READ_BYTES: Final = 64 * 1024
_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
# At least one byte of ten is zero in a UTF-16 table, nearly all of them on one side of the pairs.
_ZEROS_IN_UTF16: Final = 10
_ONE_SIDED: Final = 8
_UTF32_MARKS: Final = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)
# Below this, UTF-8 has two bytes a character: letters of Europe and the Near East, no Chinese.
_FIRST_OF_THREE_BYTES: Final = "\u0800"
_DAMAGED: Final = Damaged("含有无法识别的字符，可能是文字被截断或编码不对")
_BROKEN_QUOTES: Final = "单元格跨行且含有分隔符，可能有引号没有配对"


def encoding_of(path: Path) -> str:
    """Return the encoding of a text file; with a few damaged characters in it, the one that fits better.

    Raises:
        TableRefused: none of ours, or it could be two of them.
    """
    with path.open("rb") as file:
        beginning = file.read(READ_BYTES)
    if beginning.startswith(_UTF32_MARKS):
        raise TableRefused("不支持 UTF-32 编码的文件，请另存为 UTF-8")
    for mark, name in _MARKS:
        if beginning.startswith(mark):
            return name
    return _utf16_without_mark(beginning) or _utf8_or_gb18030(path)


def _utf16_without_mark(beginning: bytes) -> str:
    """Return the byte order by the zero bytes beside ASCII characters, or nothing."""
    even, odd = beginning[0::2].count(0), beginning[1::2].count(0)
    if (even + odd) * _ZEROS_IN_UTF16 < len(beginning):
        return ""
    if max(even, odd) < min(even, odd) * _ONE_SIDED:
        raise TableRefused("文件不是文本表格")
    return "utf-16-le" if odd > even else "utf-16-be"


def _utf8_or_gb18030(path: Path) -> str:
    as_utf8 = as_gb = lines = chinese = damaged = 0
    with path.open("rb") as file:
        for line in file:
            if line.isascii():
                continue
            lines += 1
            text = _decoded(line, "utf-8")
            as_utf8 += text is not None
            as_gb += _decoded(line, "gb18030") is not None
            if text is None:
                text = line.decode("utf-8", "replace")
                damaged += text.count(REPLACEMENT)
            chinese += sum(c >= _FIRST_OF_THREE_BYTES and c != REPLACEMENT for c in text)
    if as_utf8 == as_gb == lines and lines and not chinese:
        raise TableRefused("无法确定文件的编码，请另存为带 BOM 的 UTF-8（CSV UTF-8）")
    # Chinese in GB18030 hardly ever holds a Chinese character of UTF-8; UTF-8 often is valid GB18030.
    return "utf-8" if as_utf8 * 2 > lines or chinese > damaged or not lines else "gb18030"


def _decoded(line: bytes, encoding: str) -> str | None:
    try:
        return line.decode(encoding)
    except UnicodeDecodeError:
        return None


def read_csv(path: Path, encoding: str, delimiter: str) -> Iterator[RawRow]:
    """Yield the rows with the number of the line on which each begins.

    A damaged character costs its cell. Delimiters and quotes are never part of one: no second byte of
    GB18030 or UTF-8 is below 0x30.

    Raises:
        TableRefused: quotes that do not pair, or a cell longer than any table needs.
    """
    with path.open(encoding=encoding, errors="replace", newline="") as file:
        reader = csv.reader(file, delimiter=delimiter, strict=True)
        before = 0
        try:
            for cells in reader:
                first, before = before + 1, reader.line_num
                crosses = reader.line_num > first and any(_swallows(cell, delimiter) for cell in cells)
                yield RawRow(first, [_checked(cell) for cell in cells], _BROKEN_QUOTES if crosses else "")
        except csv.Error as error:
            raise TableRefused(f"第 {reader.line_num} 行：不是合格的 CSV（{error}）") from None


def _checked(cell: str) -> str | Damaged:
    return _DAMAGED if REPLACEMENT in cell else cell


def _swallows(cell: str, delimiter: str) -> bool:
    """Return True if a quoted cell may hold the rest of one row and the beginning of the next."""
    return delimiter in cell and ("\n" in cell or "\r" in cell)
