"""Amounts in yuan as tables, commands and bank lists write them, in fen: one strict grammar."""

from __future__ import annotations

import re
from typing import Final

from models.money import FEN_PER_YUAN, yuan
from models.values.tables.errors import CellError
from models.values.tables.text import clean, excerpt, half_width

# One sign at the beginning; a comma only between thousands; at most two decimals; ASCII digits.
_AMOUNT: Final = re.compile(r"(0|[1-9][0-9]{0,2}(?:,[0-9]{3})+|[1-9][0-9]*)(?:\.([0-9]{1,2}))?", re.ASCII)
_BEFORE: Final = re.compile(r"(?:[¥￥]|RMB|CNY|人民币)\s?", re.ASCII | re.IGNORECASE)
_AFTER: Final = re.compile(r"\s?(?:元整|元|圆|RMB|CNY)\Z", re.ASCII | re.IGNORECASE)
_SIGNS: Final = {"-": -1, "\N{MINUS SIGN}": -1, "+": 1}
LONGEST: Final = 40


def parse_amount_fen(cell: str, *, max_fen: int) -> int:
    """Return the amount of a cell or a typed amount in fen, from 0 to `max_fen`.

    `20`, `20.0`, `￥20.00`, `２０.００`, `20元` and `1,200.00` are amounts. Signs, brackets, exponents,
    other commas, more than two decimals, leading zeros and digits of other scripts are not.

    Raises:
        CellError: no such amount, or more than `max_fen`.
    """
    sign, amount_fen = _parse(cell, max_fen)
    if sign is not None:
        raise CellError(f"金额“{excerpt(cell)}”带有正负号")
    return amount_fen


def parse_signed_fen(cell: str, *, max_fen: int) -> int:
    """Return an amount that may carry one sign, in fen; negative for money that went out.

    Raises:
        CellError: no such amount, or more than `max_fen` either way.
    """
    sign, amount_fen = _parse(cell, max_fen)
    return (sign or 1) * amount_fen


def _parse(cell: str, max_fen: int) -> tuple[int | None, int]:
    text = clean(half_width(cell))
    if not text:
        raise CellError("金额为空")
    if len(text) > LONGEST:
        raise CellError(f"看不懂金额“{excerpt(cell)}”")
    sign, bare = _signed(text)
    found = _AMOUNT.fullmatch(bare)
    if found is None:
        raise CellError(f"看不懂金额“{excerpt(cell)}”，请写成 1200.00 或 1,200.00")
    amount_fen = int(found[1].replace(",", "")) * FEN_PER_YUAN + int((found[2] or "").ljust(2, "0"))
    if amount_fen > max_fen:
        raise CellError(f"金额“{excerpt(cell)}”超过上限 {yuan(max_fen)} 元")
    return sign, amount_fen


def _signed(text: str) -> tuple[int | None, str]:
    """Return the sign and the number; the sign stands before or after the currency, never twice."""
    sign = _SIGNS.get(text[0])
    rest = text[1:] if sign else text
    before = _BEFORE.match(rest)
    if before:
        rest = rest[before.end() :]
        if sign is None and rest[:1] in _SIGNS:
            sign, rest = _SIGNS[rest[0]], rest[1:]
    return sign, _AFTER.sub("", rest)
