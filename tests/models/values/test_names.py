"""Names match if they look the same, and only then."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.values.names import names_match, parse_name
from models.values.tables.errors import CellError

# CJK Extensions I (𮰋), H and J, and an ideograph that is not assigned yet: categories Cn of old tables.
NEW = ("\U0002ec0b", "\U00031400", "\U000323b0", "\U0003ff00")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("李小明", "李 小明"),
        ("李小明", "李小明\u3000"),
        ("李小明", "李\u200b小明"),
        ("阿卜杜拉·热合曼", "阿卜杜拉•热合曼"),
        ("阿卜杜拉·热合曼", "阿卜杜拉‧热合曼"),
        ("Li Ming", "ｌｉ ＭＩＮＧ"),
        ("高明", "⾼明"),
        ("Rene\u0301", "René"),
        *((f"王{new}明", f"王 {new}明") for new in NEW),
    ],
)
def test_the_same_name_written_otherwise(one: str, other: str) -> None:
    assert names_match(one, other)
    assert names_match(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        *((f"王{new}明", "王明") for new in NEW),
        (f"王{NEW[0]}", f"王{NEW[1]}"),
        ("阿卜杜拉·热合曼", "阿卜杜拉热合曼"),
        ("王-明", "王明"),
        ("王(明)", "王明"),
        ("王¹", "王1"),
        ("王?明", "王?明"),
        ("王\ufffd明", "王\ufffd明"),
        ("*明", "*明"),
        ("王\ud800", "王?"),
        ("\u202e明王", "明王"),
        ("", ""),
        (" ", ""),
    ],
)
def test_two_names_or_none_that_is_certain(one: str, other: str) -> None:
    assert not names_match(one, other)
    assert not names_match(other, one)


NAMES = st.text(
    st.one_of(
        st.characters(min_codepoint=0x21, max_codepoint=0x7E, exclude_characters="?*"),
        st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF),
        st.characters(min_codepoint=0x20000, max_codepoint=0x323AF),
        st.sampled_from(NEW),
    ),
    min_size=1,
    max_size=6,
)


@given(NAMES, NAMES)
def test_different_visible_names_never_match(one: str, other: str) -> None:
    visible = [unicodedata.normalize("NFC", name).lower() for name in (one, other)]
    assert names_match(one, other) == (visible[0] == visible[1])


@given(NAMES, st.integers(0, 5), NAMES)
def test_a_character_more_is_another_name(name: str, place: int, more: str) -> None:
    assert not names_match(name, name[:place] + more + name[place:])


@pytest.mark.parametrize("name", ["王\U0002ec0b明", "阿卜杜拉·热合曼", "Li Ming", "周建国"])
def test_a_name_that_an_account_may_have(name: str) -> None:
    assert parse_name(f" {name} ") == name


@pytest.mark.parametrize(
    "name", ["", " ", "李" * 65, "李\u200b明", "李\n明", "李?", "李\ufffd", "明\u202e王", "李\u0378"]
)
def test_a_name_that_is_lost_or_hides_something(name: str) -> None:
    with pytest.raises(CellError):
        parse_name(name)


@pytest.mark.parametrize(
    "name",
    [
        *(
            "#REF!",
            "#N/A",
            "#NAME?",
            "#VALUE!",
            "#DIV/0!",
            "＃N/A",
            "-",
            "——",
            "/",
            "·",
            "...",
            "123456",
            "１２３",
        ),
        *("无", "（无）", "無", "none", "None", "NULL", "(null)", "n/a", "Ｎ／Ａ", "nan", "暂无", "未知"),
    ],
)
def test_what_stands_where_there_is_no_name_is_an_error(name: str) -> None:
    with pytest.raises(CellError):
        parse_name(name)


@pytest.mark.parametrize("name", ["无名", "吴无", "空海", "Nan Li", "Nullah", "\U0002ebf1", "A3", "О'Нил"])
def test_a_name_that_only_resembles_a_placeholder_is_one(name: str) -> None:
    assert parse_name(name) == name
