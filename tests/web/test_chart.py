from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from billing.interface import DayUsage
from web.chart import HEIGHT, WIDTH, daily_bars

TODAY = date(2026, 11, 23)


def test_a_month_without_traffic_has_no_height() -> None:
    chart = daily_bars([], until=TODAY)
    assert len(chart.bars) == 31
    assert (chart.peak_bytes, chart.total_bytes) == (0, 0)
    assert {bar.height for bar in chart.bars} == {0.0}


@given(st.dictionaries(st.integers(0, 40), st.integers(1, 10**14)))
def test_every_bar_is_inside_and_the_highest_fills_the_chart(days: dict[int, int]) -> None:
    usage = [DayUsage(TODAY - timedelta(days=ago), count) for ago, count in days.items()]
    chart = daily_bars(usage, until=TODAY)
    for bar in chart.bars:
        assert bar.x >= 0
        assert bar.x + bar.width <= WIDTH
        assert 0 <= bar.y <= HEIGHT
        assert abs(bar.y + bar.height - HEIGHT) < 0.02
        assert (bar.height > 0) == (bar.used_bytes > 0)
    shown = [count for ago, count in days.items() if ago < 31]
    assert chart.total_bytes == sum(shown)
    if shown:
        assert max(bar.height for bar in chart.bars) == HEIGHT
