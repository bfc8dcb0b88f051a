"""Dates of tables: what spreadsheets write is read, what could be two days is an error."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.values.tables.dates import parse_date
from models.values.tables.errors import CellError

DAY = date(2026, 3, 31)


@pytest.mark.parametrize(
    "written",
    [
        "2026-03-31",
        "2026-3-31",
        "2026/3/31",
        "2026.3.31",
        "20260331",
        "20260331093000",
        "20260331 09:30:00",
        "2026年3月31日",
        "2026年3月31日 09:30",
        "31-Mar-26",
        "31-MAR-2026",
        "31 March 2026",
        "46112",
        "46112.5",
        "2026-03-31 09:30:00",
        "2026-03-31T09:30:00",
        "2026/3/31 9:30",
        "２０２６/３/３１",
        "\u00a02026-03-31",
    ],
)
def test_a_date_as_spreadsheets_write_it(written: str) -> None:
    assert parse_date(written) == DAY


@pytest.mark.parametrize(
    "written",
    [
        "03/04/26",
        "3/4/2026",
        "31/3/2026",
        "26-3-31",
        "2026-2-30",
        "2026-13-01",
        "20261331",
        "2026-3/31",
        "2026-3-312:00",
        "31-Mrz-26",
        "2026-3",
        "1926-3-31",
        "2026-03-31T09:30:00Z",
        "2026-03-31 25:00",
        "20260331999999",
        "12345",
        "",
        "明天",
    ],
)
def test_what_is_ambiguous_or_impossible(written: str) -> None:
    with pytest.raises(CellError):
        parse_date(written)


@given(st.dates(date(2000, 1, 1), date(2099, 12, 31)))
def test_every_way_to_write_a_day_is_that_day(day: date) -> None:
    serial = (day - date(1899, 12, 30)) // timedelta(days=1)
    for written in (
        day.isoformat(),
        f"{day.year}/{day.month}/{day.day}",
        f"{day:%Y%m%d}",
        f"{day.year}年{day.month}月{day.day}日",
        f"{day:%d-%b-%Y}",
        str(serial),
    ):
        assert parse_date(written) == day
