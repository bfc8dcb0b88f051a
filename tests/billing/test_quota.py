from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.embedded.quota import (
    gigabytes_to_bytes,
    in_order_of_use,
    slow_reasons,
    spread,
    validity_end,
)
from billing.interface import Lot, SlowReason
from models.clock import CAMPUS_ZONE
from models.package import MonthRule

MARCH = datetime(2026, 3, 1, tzinfo=UTC)


def lot(kind: str, days: int) -> Lot:
    return Lot(kind, kind, 10, 0, MARCH, MARCH + timedelta(days=days))


def campus(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=CAMPUS_ZONE)


def test_the_grant_is_used_before_what_was_bought_and_then_what_ends_first() -> None:
    late_grant, soon, later, special = (
        lot("grant", 31),
        lot("package", 5),
        lot("package", 20),
        lot("special", 9),
    )
    assert in_order_of_use([later, special, soon, late_grant]) == (late_grant, soon, special, later)


@pytest.mark.parametrize(
    ("bought", "months", "ends"),
    [
        ("2026-03-10 12:30", 1, "2026-04-10 12:30"),
        ("2026-01-29 08:00", 1, "2026-02-28 08:00"),
        ("2026-01-31 23:59", 1, "2026-02-28 23:59"),
        ("2028-01-31 23:59", 1, "2028-02-29 23:59"),
        ("2026-08-31 00:00", 1, "2026-09-30 00:00"),
        ("2026-12-31 23:59", 1, "2027-01-31 23:59"),
        ("2026-12-31 23:59", 2, "2027-02-28 23:59"),
        ("2026-11-30 10:00", 12, "2027-11-30 10:00"),
    ],
)
def test_a_month_ends_on_the_same_campus_day_clamped(bought: str, months: int, ends: str) -> None:
    assert validity_end(campus(bought), months) == campus(ends)


def test_the_campus_day_counts_not_the_utc_day() -> None:
    # 17:00 UTC on 30 January is 01:00 on the 31st on campus.
    assert validity_end(datetime(2026, 1, 30, 17, 0, tzinfo=UTC), 1) == campus("2026-02-28 01:00")


@pytest.mark.parametrize(("months", "ends"), [(1, "2027-01-01 00:00"), (2, "2027-02-01 00:00")])
def test_calendar_months_end_with_the_campus_month(months: int, ends: str) -> None:
    assert validity_end(campus("2026-12-31 23:59"), months, MonthRule.CALENDAR) == campus(ends)


@given(
    bought=st.datetimes(datetime(2020, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001
    months=st.integers(1, 24),
    rule=st.sampled_from(MonthRule),
)
def test_validity_is_never_longer_than_the_months_promised(
    bought: datetime, months: int, rule: MonthRule
) -> None:
    end = validity_end(bought, months, rule)
    assert bought < end <= bought + timedelta(days=31 * months)
    assert validity_end(bought, months + 1, rule) > end


@given(left=st.lists(st.integers(0, 100)), used=st.integers(0, 500))
def test_no_byte_is_lost_or_counted_twice(left: list[int], used: int) -> None:
    parts = spread(left, used)
    assert sum(parts.taken) + parts.throttled_bytes == used
    assert all(0 <= taken <= available for taken, available in zip(parts.taken, left, strict=True))
    if parts.throttled_bytes:
        assert list(parts.taken) == left
    # A lot is touched only when all before it are empty.
    for index, taken in enumerate(parts.taken):
        if taken:
            assert list(parts.taken[:index]) == left[:index]


def test_a_gigabyte_is_decimal() -> None:
    assert gigabytes_to_bytes(8) == 8_000_000_000


def part(kind: str, left: int, *, since: int, until: int) -> Lot:
    """A lot with so many bytes left that runs from one day to another; today is day 0."""
    return Lot(kind, kind, 10, 10 - left, MARCH + timedelta(days=since), MARCH + timedelta(days=until))


FULL_GRANT = part("grant", 10, since=-9, until=9)
USED_GRANT = part("grant", 0, since=-9, until=9)


@pytest.mark.parametrize(
    ("lots", "reasons"),
    [
        ([FULL_GRANT], []),
        ([USED_GRANT, part("package", 1, since=-1, until=9)], []),
        ([USED_GRANT], [SlowReason.GRANT_USED_UP]),
        ([], [SlowReason.NO_GRANT]),
        (
            [USED_GRANT, part("special", 0, since=-1, until=9)],
            [SlowReason.GRANT_USED_UP, SlowReason.PACKAGE_USED_UP],
        ),
        # Until day 0 means: no longer on day 0.
        (
            [USED_GRANT, part("package", 5, since=-1, until=0)],
            [SlowReason.GRANT_USED_UP, SlowReason.PACKAGE_ENDED],
        ),
        (
            [USED_GRANT, part("package", 0, since=-1, until=0)],
            [SlowReason.GRANT_USED_UP, SlowReason.PACKAGE_USED_UP],
        ),
        (
            [USED_GRANT, part("package", 5, since=-8, until=-2), part("package", 0, since=-1, until=9)],
            [SlowReason.GRANT_USED_UP, SlowReason.PACKAGE_USED_UP],
        ),
        ([FULL_GRANT, part("package", 5, since=-8, until=-2)], []),
    ],
)
def test_a_slow_line_says_why(lots: list[Lot], reasons: list[SlowReason]) -> None:
    assert list(slow_reasons(lots, MARCH)) == reasons


@given(
    st.lists(
        st.builds(
            part,
            st.sampled_from(["grant", "package"]),
            st.integers(0, 10),
            since=st.integers(-9, 0),
            until=st.integers(-5, 9),
        )
    )
)
def test_slow_is_exactly_when_nothing_is_left(lots: list[Lot]) -> None:
    left = sum(lot.left_bytes for lot in lots if lot.starts_at <= MARCH < lot.ends_at)
    assert bool(slow_reasons(lots, MARCH)) == (left == 0)
