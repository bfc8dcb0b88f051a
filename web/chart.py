"""Bars of daily traffic: pure geometry, drawn as SVG by a template."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from billing.interface import DayUsage

WIDTH = 310
HEIGHT = 120
GAP = 2


@dataclass(frozen=True)
class Bar:
    """One day; coordinates in SVG units, `y` counts from the top.

    The uppermost `slow_height` of the bar is what ran slow.
    """

    on: date
    used_bytes: int
    x: float
    y: float
    width: float
    height: float
    slow_height: float


@dataclass(frozen=True)
class Chart:
    """`peak_bytes` is the height of the highest bar; 0 when nothing was used."""

    bars: tuple[Bar, ...]
    peak_bytes: int
    total_bytes: int
    slow_bytes: int
    width: int = WIDTH
    height: int = HEIGHT


def daily_bars(usage: list[DayUsage], *, until: date, days: int = 31) -> Chart:
    """One bar per day up to and including `until`; days without traffic have no height."""
    by_day = {day.on: day.used_bytes for day in usage}
    slow = {day.on: day.throttled_bytes for day in usage}
    wanted = [until - timedelta(days=days - 1 - index) for index in range(days)]
    counts = [by_day.get(on, 0) for on in wanted]
    peak = max(counts, default=0)
    slot = WIDTH / days
    bars = tuple(
        Bar(
            on=on,
            used_bytes=count,
            x=round(index * slot, 2),
            y=round(HEIGHT - _height(count, peak), 2),
            width=round(slot - GAP, 2),
            height=round(_height(count, peak), 2),
            slow_height=round(_height(slow.get(on, 0), peak), 2),
        )
        for index, (on, count) in enumerate(zip(wanted, counts, strict=True))
    )
    return Chart(
        bars=bars, peak_bytes=peak, total_bytes=sum(counts), slow_bytes=sum(slow.get(on, 0) for on in wanted)
    )


def _height(count: int, peak: int) -> float:
    # Any traffic at all shows: at least one unit.
    return max(1.0, count / peak * HEIGHT) if count else 0.0
