"""Comparing two lists by piles and by cancelling finds exactly the symmetric difference."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from payments.reconcile import piles
from payments.reconcile.piles import Piles, Unequal, cancel, compare, piles_for

Row = tuple[str, str, int]
row = st.tuples(st.sampled_from("abcdefgh"), st.sampled_from("xy"), st.integers(0, 2))
lists = st.lists(row, max_size=30)


def line(row: Row) -> bytes:
    return "\t".join(map(str, row)).encode()


def pair(folder: str) -> tuple[Piles, Piles]:
    return Piles(Path(folder), "left", 4), Piles(Path(folder), "right", 4)


def flat(found: list[Unequal], side: str) -> Counter[bytes]:
    return Counter(line for one in found for line in getattr(one, side))


@given(lists, lists, st.integers(1, 5))
def test_piles_tell_the_set_difference_and_every_repetition(
    left: list[Row], right: list[Row], held: int
) -> None:
    with TemporaryDirectory() as folder, patch.object(piles, "HELD_LINES", held):
        left_piles, right_piles = pair(folder)
        left_piles.deal(map(line, left))
        right_piles.deal(map(line, right))
        found = list(compare(left_piles, right_piles))
    assert flat(found, "left") == Counter(set(map(line, left)) - set(map(line, right)))
    assert flat(found, "right") == Counter(set(map(line, right)) - set(map(line, left)))
    for side, rows in (("repeated_left", left), ("repeated_right", right)):
        assert set(flat(found, side)) == {one for one, times in Counter(map(line, rows)).items() if times > 1}
    assert len({one.key for one in found}) == len(found)


@given(lists, lists, st.integers(1, 4), st.integers(1, 40))
def test_cancelling_leaves_what_the_right_list_has_more_and_the_left_has_alone(
    left: list[Row], right: list[Row], size: int, waiting: int
) -> None:
    def batches(rows: list[Row]) -> list[list[bytes]]:
        return [list(map(line, rows[start : start + size])) for start in range(0, len(rows), size)]

    # Our list is a set: nothing of ours repeats but by chance of reading.
    left = list(dict.fromkeys(left))
    with TemporaryDirectory() as folder, patch.object(piles, "WAITING_MAX", waiting):
        left_piles, right_piles = pair(folder)
        cancel(batches(left), batches(right), left_piles, right_piles)
        found = list(compare(left_piles, right_piles))
    extra = Counter(map(line, right)) - Counter(map(line, left))
    assert flat(found, "left") == Counter(set(map(line, left)) - set(map(line, right)))
    told = set(flat(found, "right")) | set(flat(found, "repeated_right"))
    assert told == set(extra)


def test_a_longer_file_gets_more_piles_within_bounds() -> None:
    counts = [piles_for(size) for size in (0, 10**6, 10**9, 10**10, 10**15)]
    assert counts == sorted(counts)
    assert counts[0] == piles.PILES_MIN
    assert counts[-1] == piles.PILES_MAX
    assert all(count & (count - 1) == 0 for count in counts)
