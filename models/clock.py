"""Time as an argument."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

Clock = Callable[[], datetime]

CAMPUS_ZONE = ZoneInfo("Asia/Shanghai")


def utc_now() -> datetime:
    """The present, aware UTC: the clock of production."""
    return datetime.now(UTC)


def campus_date(at: datetime) -> date:
    """The calendar day on campus (Asia/Shanghai) of an aware time."""
    return at.astimezone(CAMPUS_ZONE).date()


def month_start(at: datetime) -> datetime:
    """The first instant of the campus month that contains `at`, as aware UTC."""
    local = at.astimezone(CAMPUS_ZONE)
    return local.replace(day=1, hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


def next_month_start(at: datetime) -> datetime:
    """The first instant of the campus month after the one that contains `at`, as aware UTC."""
    local = month_start(at).astimezone(CAMPUS_ZONE)
    if local.month == 12:  # noqa: PLR2004 - December
        return local.replace(year=local.year + 1, month=1).astimezone(UTC)
    return local.replace(month=local.month + 1).astimezone(UTC)


def next_midnight(at: datetime) -> datetime:
    """The first instant of the campus day after the one that contains `at`, as aware UTC."""
    local = at.astimezone(CAMPUS_ZONE)
    return (local + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0).astimezone(UTC)


def days_of(month: date) -> list[date]:
    """The days of the month that begins on this day."""
    return [month + timedelta(days=number) for number in range((next_month(month) - month).days)]


def next_month(month: date) -> date:
    """The first day of the month after."""
    return (month.replace(day=1) + timedelta(days=32)).replace(day=1)


def month_before(month: date) -> date:
    """The first day of the month before."""
    return (month.replace(day=1) - timedelta(days=1)).replace(day=1)


def months_earlier(on: date, months: int) -> date:
    """The same day so many months earlier, or the last day of that month where it is shorter."""
    first = on.replace(day=1)
    for _ in range(months):
        first = month_before(first)
    return first.replace(day=min(on.day, (next_month(first) - first).days))
