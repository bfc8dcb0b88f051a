from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.embedded.counters import Mark, Piece, Sample, difference, in_order, reached, walk
from models.clock import CAMPUS_ZONE
from models.usage import SampleKind

GIB = 2**30
MIDNIGHT = datetime(2026, 4, 1, tzinfo=CAMPUS_ZONE).astimezone(UTC)


def sample(at: datetime, up: int, down: int, *, wide: bool = True) -> Sample:
    return Sample(at, SampleKind.INTERIM, up, down, wide, wide, at - timedelta(hours=1))


@pytest.mark.parametrize(
    ("base", "octets", "wide", "after"),
    [
        (0, 3 * GIB, False, 3 * GIB),
        (3 * GIB, 1 * GIB - 1, False, 5 * GIB - 1),
        (5 * GIB, 3 * GIB, False, 7 * GIB),
        (7 * GIB, 0, False, 8 * GIB),
        (1 * GIB, 1 * GIB - 1, False, 1 * GIB),
        (2 * GIB, 0, False, 2 * GIB),
        (9 * GIB, 5 * GIB, True, 9 * GIB),
        (9 * GIB, 20 * GIB, True, 20 * GIB),
    ],
)
def test_a_counter_comes_round_or_went_back(base: int, octets: int, wide: bool, after: int) -> None:  # noqa: FBT001
    assert reached(base, octets, wide=wide) == after


def test_what_flows_over_midnight_is_shared_by_the_time_on_each_side() -> None:
    before = Mark(MIDNIGHT - timedelta(minutes=9), 0, 0)
    _, pieces = walk(before, [sample(MIDNIGHT + timedelta(minutes=1), 1000, 5)])
    days = [(piece.on.isoformat(), piece.up_bytes, piece.down_bytes) for piece in pieces]
    assert days == [("2026-03-31", 900, 4), ("2026-04-01", 100, 1)]
    assert pieces[0].at < MIDNIGHT < pieces[1].at


def test_a_report_at_midnight_exactly_belongs_to_the_day_before() -> None:
    _, pieces = walk(Mark(MIDNIGHT - timedelta(minutes=5), 0, 0), [sample(MIDNIGHT, 7, 7)])
    assert [piece.on.isoformat() for piece in pieces] == ["2026-03-31"]


@given(
    st.lists(
        st.tuples(st.integers(0, 4 * 86_400), st.integers(0, 2**40), st.integers(0, 2**40), st.booleans()),
        max_size=12,
    )
)
def test_pieces_sum_to_what_the_counters_have_reached(rows: list[tuple[int, int, int, bool]]) -> None:
    samples = in_order(
        sample(
            MIDNIGHT + timedelta(seconds=at),
            up if wide else up % 2**32,
            down if wide else down % 2**32,
            wide=wide,
        )
        for at, up, down, wide in rows
    )
    mark, pieces = walk(None, samples)
    reached_bytes = (mark.up_bytes, mark.down_bytes) if mark else (0, 0)
    assert (sum(p.up_bytes for p in pieces), sum(p.down_bytes for p in pieces)) == reached_bytes
    assert all(p.up_bytes >= 0 and p.down_bytes >= 0 for p in pieces)


@given(
    st.lists(st.tuples(st.integers(0, 3), st.integers(-50, 50), st.integers(-50, 50)), max_size=8), st.data()
)
def test_a_difference_leads_from_the_old_days_to_the_new_ones(
    rows: list[tuple[int, int, int]], data: st.DataObject
) -> None:
    pieces = [
        Piece(MIDNIGHT.date() + timedelta(days=day), MIDNIGHT + timedelta(days=day), up, down)
        for day, up, down in rows
    ]
    split = data.draw(st.integers(0, len(pieces)))
    old, new = pieces[:split], pieces[split:]
    assert difference([], [*old, *difference(old, new)]) == difference([], new)
