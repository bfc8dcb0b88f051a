"""Dates as spreadsheets and banks write them. What could be two dates is an error."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Final

from models.values.tables.errors import CellError
from models.values.tables.text import clean, excerpt, half_width

_TIME: Final = (
    r"(?:(?:T|\s+)(?P<time>(?:[01]?[0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?)"
    r"(?:\s?(?:AM|PM|上午|下午|\+08:?00))?)?"
)
_MONTHS: Final = {
    name: number
    for number, names in enumerate(
        (
            ("JAN", "JANUARY"),
            ("FEB", "FEBRUARY"),
            ("MAR", "MARCH"),
            ("APR", "APRIL"),
            ("MAY",),
            ("JUN", "JUNE"),
            ("JUL", "JULY"),
            ("AUG", "AUGUST"),
            ("SEP", "SEPT", "SEPTEMBER"),
            ("OCT", "OCTOBER"),
            ("NOV", "NOVEMBER"),
            ("DEC", "DECEMBER"),
        ),
        start=1,
    )
    for name in names
}
_FLAGS: Final = re.ASCII | re.IGNORECASE
# Year first, with one separator throughout, or eight digits.
_YEAR_FIRST: Final = tuple(
    re.compile(pattern + _TIME, _FLAGS)
    for pattern in (
        r"(?P<y>[0-9]{4})-(?P<m>[0-9]{1,2})-(?P<d>[0-9]{1,2})",
        r"(?P<y>[0-9]{4})/(?P<m>[0-9]{1,2})/(?P<d>[0-9]{1,2})",
        r"(?P<y>[0-9]{4})\.(?P<m>[0-9]{1,2})\.(?P<d>[0-9]{1,2})",
        r"(?P<y>[0-9]{4})年(?P<m>[0-9]{1,2})月(?P<d>[0-9]{1,2})日",
        r"(?P<y>[0-9]{4})(?P<m>[0-9]{2})(?P<d>[0-9]{2})",
    )
)
_COMPACT: Final = re.compile(
    r"(?P<y>[0-9]{4})(?P<m>[0-9]{2})(?P<d>[0-9]{2})(?:[01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]", re.ASCII
)
# The name of the month leaves no doubt which number is the day: 31-Mar-26, 31 March 2026.
_NAMED: Final = re.compile(
    r"(?P<d>[0-9]{1,2})(?P<sep>[- /])(?P<m>[A-Z]{3,9})(?P=sep)(?P<y>[0-9]{4}|[0-9]{2})" + _TIME, _FLAGS
)
_SERIAL: Final = re.compile(r"([0-9]{5})(?:\.[0-9]+)?", re.ASCII)
# Day numbers of the 1900 system after its leap year that never was.
_SERIAL_EPOCH: Final = date(1899, 12, 30)
FIRST_YEAR, LAST_YEAR = 2000, 2099
LONGEST: Final = 40


def parse_date(cell: str) -> date:
    """Return the day of a cell; a time of day beside it is checked and left out.

    `2026-3-31`, `2026/3/31`, `2026.3.31`, `20260331`, `2026年3月31日`, `31-Mar-26` and the serial number
    `46112` are read. `3/4/2026` and `26-3-4` could be several days and are refused.

    Raises:
        CellError: no date, an impossible one, or one that is ambiguous.
    """
    text = clean(half_width(cell)).replace("日", "日 ").rstrip()
    if not text:
        raise CellError("日期为空")
    found = _read(text) if len(text) <= LONGEST else None
    if found is None or not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise CellError(f"看不懂日期“{excerpt(cell)}”，请写成 2026-03-31")
    return found


def _read(text: str) -> date | None:
    serial = _SERIAL.fullmatch(text)
    if serial:
        return _SERIAL_EPOCH + timedelta(days=int(serial[1]))
    for pattern in (*_YEAR_FIRST, _COMPACT):
        found = pattern.fullmatch(text)
        if found:
            return _day(int(found["y"]), int(found["m"]), int(found["d"]))
    named = _NAMED.fullmatch(text)
    if named is None:
        return None
    year = int(named["y"]) + (2000 if len(named["y"]) == 2 else 0)  # noqa: PLR2004 - two digits
    return _day(year, _MONTHS.get(named["m"].upper(), 0), int(named["d"]))


def _day(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None
