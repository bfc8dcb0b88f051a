"""Account numbers: one definition, unwrapped without loss, never guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.values.account_no import AccountRules, is_account_no
from models.values.tables.errors import CellError

RULES = AccountRules()


@pytest.mark.parametrize(
    "written",
    [
        "2400101013",
        "2400101013.0",
        "2400101013.00",
        '="2400101013"',
        "'2400101013",
        "\u20182400101013",
        "２４００１０１０１３",
        " 2400101013\t",
        "\u00a02400101013\u200b",
        "\ufeff2400101013",
        "2400101013@cmcc",
        "2400101013@CMCC",
        "GUET\\2400101013",
        "guet\\2400101013@telecom",
    ],
)
def test_a_cell_is_unwrapped_without_loss(written: str) -> None:
    assert RULES.parse_cell(written) == "2400101013"


@pytest.mark.parametrize(
    "written",
    [
        "2.4001E+11",
        "2.4001E11",
        "2.4001e+11",
        "２.４００１Ｅ+１１",
        "24E5",
        "2400101013.5",
        "2400101.0130",
        "2,400,101,013",
        "2400101 013",
        "2400101013@elsewhere",
        "=A1",
        '="24" & "00"',
        "#N/A",
        "-2400101013",
        "+2400101013",
        "－2400101013",
        "'-2400101013",
        '="-2400101013"',
        "null",
        "None",
        "",
        "-",
        "9" * 33,
        "24001\u200b01013",
        "2400101013\0",
        "二四",
        "٢٤٠٠١٠١٠١٣",
    ],
)
def test_a_spoiled_cell_is_an_error(written: str) -> None:
    with pytest.raises(CellError):
        RULES.parse_cell(written)


@given(st.text(max_size=40))
def test_any_cell_is_a_number_that_stands_in_it_or_an_error(written: str) -> None:
    try:
        number = RULES.parse_cell(written)
    except CellError:
        return
    assert is_account_no(number)
    narrow = "".join(chr(ord(c) - 0xFEE0) if 0xFF01 <= ord(c) <= 0xFF5E else c for c in written)
    assert number in narrow


def test_the_settings_decide_what_is_equal() -> None:
    assert RULES.is_same("T20080015", "ｔ20080015@unicom")
    assert not AccountRules(ignore_case=False).is_same("T1", "t1")
    assert not AccountRules(realms=()).is_same("T1", "T1@cmcc")
    assert AccountRules(realms=("@campus",)).parse("T1@cmcc") is None
    # A realm alone is no account, and only one is cut.
    assert RULES.parse("@cmcc") is None
    assert RULES.parse("1@cmcc@cmcc") is None
