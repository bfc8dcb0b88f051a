"""Amounts of tables and commands: one strict grammar, an upper bound, no guess."""

from __future__ import annotations

from decimal import Decimal

import click
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.till import fen_of
from models.values.tables.amounts import parse_amount_fen, parse_signed_fen
from models.values.tables.errors import CellError

MAX_FEN = 10**9


@pytest.mark.parametrize(
    ("written", "fen"),
    [
        ("20", 2000),
        ("20.0", 2000),
        ("20.00", 2000),
        ("￥20.00", 2000),
        ("¥20.00", 2000),
        ("２０.００", 2000),
        ("２０．００", 2000),
        ("20元", 2000),
        ("20.00 元", 2000),
        ("人民币20", 2000),
        ("1,200.00", 120_000),
        ("1，200.00", 120_000),
        ("1,234,567", 123_456_700),
        ("0", 0),
        ("0.05", 5),
        ("\u00a020\u200b", 2000),
    ],
)
def test_what_is_an_amount(written: str, fen: int) -> None:
    assert parse_amount_fen(written, max_fen=MAX_FEN) == fen
    assert parse_signed_fen(f"-{written.strip()}" if written.isascii() else written, max_fen=MAX_FEN) in (
        fen,
        -fen,
    )


NO_AMOUNTS = (
    "20,00",
    "1,0,0",
    "1.200,00",
    "1,2000",
    "12,00,000",
    ",200",
    "0,200",
    "1 200",
    "1e3",
    "2E4",
    "1_000",
    "(20.00)",
    "（20.00）",
    "0x10",
    "２０．０００",
    "20.001",
    "20.",
    ".50",
    "020",
    "NaN",
    "Infinity",
    "--5",
    "+-5",
    "20-",
    "",
    " ",
    "٢٠",
    "²0",
    "二十",
    "$20",
    "20USD",
    "20 元 5 角",
    "9" * 50,
)


@pytest.mark.parametrize("written", NO_AMOUNTS)
def test_what_is_no_amount(written: str) -> None:
    with pytest.raises(CellError):
        parse_signed_fen(written, max_fen=10**60)
    with pytest.raises(click.BadParameter):
        fen_of(written)


@pytest.mark.parametrize("written", ["-20", "+20", "－20", "￥-20", "-￥20", "\u221220"])
def test_a_sign_is_said_and_never_dropped(written: str) -> None:
    with pytest.raises(CellError):
        parse_amount_fen(written, max_fen=MAX_FEN)
    assert parse_signed_fen(written, max_fen=MAX_FEN) == (2000 if "+" in written else -2000)


def test_the_bound_holds_both_ways() -> None:
    assert parse_amount_fen("10.00", max_fen=1000) == 1000
    for written in ("10.01", "-10.01"):
        with pytest.raises(CellError, match="上限"):
            parse_signed_fen(written, max_fen=1000)


@given(st.text(alphabet="0123456789.,，+-()eE_￥¥元 ０１２.", max_size=14))
@example("1元0")
@example("元1")
def test_any_text_is_its_value_or_an_error(written: str) -> None:
    """Whatever is taken is worth what it shows: digits as they stand, commas between thousands only."""
    try:
        fen = parse_amount_fen(written, max_fen=10**15)
    except CellError:
        return
    shown = written.translate(str.maketrans("０１２．，", "012.,")).strip().strip("￥¥元 ")
    whole, _, rest = shown.partition(".")
    assert Decimal(shown.replace(",", "")) * 100 == fen
    groups = whole.split(",")
    assert len(groups) == 1 or (len(groups[0]) in (1, 2, 3) and all(len(group) == 3 for group in groups[1:]))
    assert "," not in rest


@given(st.integers(0, 10**12))
def test_what_is_written_is_read_back(fen: int) -> None:
    for written in (
        f"{fen // 100}.{fen % 100:02d}",
        f"{fen // 100:,}.{fen % 100:02d}",
        f"￥{fen // 100}.{fen % 100:02d}",
    ):
        assert parse_amount_fen(written, max_fen=10**12) == fen
