"""Traffic arithmetic without a database: which lot is used first, how long a package runs."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from billing.interface import Lot, SlowReason
from models.clock import CAMPUS_ZONE, next_month_start
from models.money import BYTES_PER_GB
from models.package import LotKind, MonthRule

_MONTHS_PER_YEAR = 12


@dataclass(frozen=True)
class Spread:
    """How traffic falls on lots: bytes per lot in the order given, and the rest, which runs slow."""

    taken: tuple[int, ...]
    throttled_bytes: int


def gigabytes_to_bytes(count: int) -> int:
    """GB of the fee table as bytes."""
    return count * BYTES_PER_GB


def in_order_of_use(lots: Sequence[Lot]) -> tuple[Lot, ...]:
    """Grants before everything else, then whatever ends first."""
    return tuple(sorted(lots, key=lambda lot: (lot.kind != LotKind.GRANT, lot.ends_at, lot.starts_at)))


def spread(left_bytes: Sequence[int], used_bytes: int) -> Spread:
    """Take `used_bytes` from lots in order; what no lot holds is throttled traffic, never debt."""
    taken: list[int] = []
    rest = used_bytes
    for left in left_bytes:
        part = min(left, rest)
        taken.append(part)
        rest -= part
    return Spread(tuple(taken), rest)


def slow_reasons(lots: Sequence[Lot], at: datetime) -> tuple[SlowReason, ...]:
    """Why the line is slow at `at`, empty at full speed.

    Args:
        lots: those that run, and bought ones that ended lately; no two bought ones at the same time.
    """
    running = [lot for lot in lots if lot.starts_at <= at < lot.ends_at]
    if any(lot.left_bytes > 0 for lot in running):
        return ()
    granted = any(lot.kind == LotKind.GRANT for lot in running)
    reasons = [SlowReason.GRANT_USED_UP if granted else SlowReason.NO_GRANT]
    bought = [lot for lot in lots if lot.kind != LotKind.GRANT]
    if bought:
        last = max(bought, key=lambda lot: lot.starts_at)
        reasons.append(SlowReason.PACKAGE_ENDED if last.left_bytes else SlowReason.PACKAGE_USED_UP)
    return tuple(reasons)


def validity_end(starts_at: datetime, months: int, rule: MonthRule = MonthRule.SAME_DAY) -> datetime:
    """The first instant at which a package no longer runs, in campus time.

    SAME_DAY: same day and time some months later, clamped to that month's last day (31 Jan -> 28 Feb).
    CALENDAR: the end of the campus month, the month of purchase counted as the first.
    """
    if rule is MonthRule.CALENDAR:
        end = starts_at
        for _ in range(months):
            end = next_month_start(end)
        return end
    local = starts_at.astimezone(CAMPUS_ZONE)
    years, month0 = divmod(local.month - 1 + months, _MONTHS_PER_YEAR)
    year, month = local.year + years, month0 + 1
    day = min(local.day, monthrange(year, month)[1])
    return local.replace(year=year, month=month, day=day).astimezone(starts_at.tzinfo)
