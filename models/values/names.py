"""Names of people: what a name may contain, and when two are the same.

Two names match if they look the same. Width, blanks, case and the kind of middle dot do not count;
every other character does, also one that is newer than Python's Unicode tables (CJK Extensions H, I, J).
"""

from __future__ import annotations

import hmac
import unicodedata
from typing import Final

from models.values.tables.errors import CellError
from models.values.tables.text import clean, half_width

LONGEST: Final = 64
# Between the parts of names: 阿卜杜拉·热合曼. Keyboards and banks write other dots.
_DOTS: Final = dict.fromkeys(map(ord, "•‧∙⋅・･\u0387\u2e31\u2e33"), "·")
# Control, format and separator characters; variation selectors choose a glyph of one character.
_UNSEEN: Final = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
_SELECTORS: Final = frozenset({*map(chr, range(0xFE00, 0xFE10)), *map(chr, range(0xE0100, 0xE01F0))})
# They change the order in which the rest is shown.
_REORDERING: Final = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# What programs write for a character that they cannot: names with it are not known in full.
_PLACEHOLDERS: Final = frozenset("?*\ufffd□■〓")
# What spreadsheets and exports write where there is no name, and what they put around it.
_CHINESE_NO_NAMES: Final = ("无", "無", "空", "暂无", "暫無", "未知", "不详", "不詳", "未填")
_NO_NAMES: Final = frozenset((*_CHINESE_NO_NAMES, "none", "null", "nil", "nan", "n/a", "undefined"))
_AROUND_WORDS: Final = "()<>[]{}【】《》\"'`-—–_/\\.,:;"
_SPREADSHEET_ERROR: Final = "#"
_RADICALS: Final = range(0x2F00, 0x2FD6)
# Supplementary and Tertiary Ideographic Plane: what is not assigned yet is a Chinese character.
_IDEOGRAPHIC_PLANES: Final = range(0x20000, 0x3FFFE)
_NONCHARACTERS: Final = (0xFFFE, 0xFFFF)


def names_match(one: str, other: str) -> bool:
    """Return True if two names look the same. Empty and incompletely written names match nothing."""
    mine, theirs = normal_name(one), normal_name(other)
    if not mine or not theirs or not (is_complete(mine) and is_complete(theirs)):
        return False
    return hmac.compare_digest(mine.encode("utf-8"), theirs.encode("utf-8"))


def normal_name(name: str) -> str:
    """Return a name as it is compared."""
    folded = unicodedata.normalize("NFC", half_width(name))
    kept = (_unified(c) for c in folded if not _is_unseen(c))
    return unicodedata.normalize("NFC", "".join(kept).translate(_DOTS).lower())


def is_complete(name: str) -> bool:
    """Return True if no character of the name was lost, and none changes how the others are shown."""
    return not any(c in _PLACEHOLDERS or c in _REORDERING or unicodedata.category(c) == "Cs" for c in name)


def is_visible(text: str) -> bool:
    """Return True if every character shows something: letters newer than Python's tables included."""
    return all(c.isprintable() or _is_new_ideograph(c) for c in text)


def parse_name(cell: str, *, longest: int = LONGEST) -> str:
    """Return the name in a cell or a field.

    Raises:
        CellError: empty, too long, with characters that are invisible or stand for lost ones, the error
            value of a spreadsheet, or a word or sign that stands for no name.
    """
    name = clean(cell)
    if not name or not normal_name(name):
        raise CellError("姓名为空")
    if half_width(name).startswith(_SPREADSHEET_ERROR):
        raise CellError("姓名是表格软件的错误值（如 #REF!、#N/A）")
    if len(name) > longest:
        raise CellError(f"姓名超过 {longest} 个字")
    if not is_visible(name):
        raise CellError("姓名含有不可见字符")
    if not is_complete(name):
        raise CellError("姓名不完整，含有代替生僻字的符号")
    if not _is_of_letters(name) or normal_name(name).strip(_AROUND_WORDS) in _NO_NAMES:
        raise CellError("不是姓名：只有数字、符号或“无”“null”一类的字样")
    return name


def _is_of_letters(name: str) -> bool:
    return any(c.isalpha() or _is_new_ideograph(c) for c in name)


def _is_unseen(character: str) -> bool:
    if character in _REORDERING:
        return False
    return character in _SELECTORS or unicodedata.category(character) in _UNSEEN


def _unified(character: str) -> str:
    # Text copied from PDF files has radicals (⾼) where a character (高) is meant; they look the same.
    return unicodedata.normalize("NFKC", character) if ord(character) in _RADICALS else character


def _is_new_ideograph(character: str) -> bool:
    code = ord(character)
    return (
        code in _IDEOGRAPHIC_PLANES
        and code & 0xFFFF not in _NONCHARACTERS
        and unicodedata.category(character) == "Cn"
    )
