"""Two long lists of lines compared in little memory: equal lines cancel out, what is left is told.

Lists in about the same order cancel while they are read. Lists in any order are dealt into piles by
key first, the same key always onto the same pile, and then compared pile against pile. A line has
three fields with tabs between them; the first one is its key.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path

HELD_LINES = 65_536
PILES_MIN = 64
PILES_MAX = 4096
PILE_BYTES = 4 * 1024 * 1024
# So many lines may wait in memory for their equals.
WAITING_MAX = 200_000

Batches = Iterable[list[bytes]]


@dataclass(frozen=True)
class Unequal:
    """What is left of one key once equal lines have cancelled out.

    `left` and `right` are lines that only one list has (or has once more); `repeated_*` are lines
    that were seen more than once in one go.
    """

    key: bytes
    left: list[bytes] = field(default_factory=list)
    right: list[bytes] = field(default_factory=list)
    repeated_left: list[bytes] = field(default_factory=list)
    repeated_right: list[bytes] = field(default_factory=list)


def piles_for(size_bytes: int) -> int:
    """How many piles a file of this size needs: a power of two."""
    count = PILES_MIN
    while count < PILES_MAX and count * PILE_BYTES < size_bytes:
        count *= 2
    return count


class Piles:
    """One list, dealt into `count` files named `<name>-<number>` in `folder`; lines hold no newline."""

    def __init__(self, folder: Path, name: str, count: int) -> None:
        self.count = count
        self._paths = [folder / f"{name}-{number}" for number in range(count)]
        self._held: list[list[bytes]] = [[] for _ in range(count)]
        self._room = HELD_LINES

    def deal(self, lines: Iterable[bytes]) -> None:
        """Put every line onto the pile of its key."""
        held, mask, room = self._held, self.count - 1, self._room
        for line in lines:
            held[hash(line.partition(b"\t")[0]) & mask].append(line)
            room -= 1
            if not room:
                self._write()
                room = HELD_LINES
        self._room = room

    def pile(self, number: int) -> list[bytes]:
        """The lines of one pile, in the order they came."""
        path, held = self._paths[number], self._held[number]
        written = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
        return written + held

    def _write(self) -> None:
        for path, lines in zip(self._paths, self._held, strict=True):
            if lines:
                lines.append(b"")
                with path.open("ab") as file:
                    file.write(b"\n".join(lines))
                lines.clear()


def compare(left: Piles, right: Piles) -> Iterator[Unequal]:
    """Every key whose lines differ between the lists, or repeat in one. Both have as many piles."""
    for number in range(left.count):
        yield from _compare(left.pile(number), right.pile(number))


def cancel(left: Batches, right: Batches, left_piles: Piles, right_piles: Piles) -> None:
    """Read two lists of about the same order and put onto the piles what does not cancel out on the way.

    A line that the right list repeats is kept once for each repetition; the left list counts as a set.
    """
    waiting_left: set[bytes] = set()
    waiting_right: set[bytes] = set()
    for some_left, some_right in zip_longest(left, right, fillvalue=list[bytes]()):
        new_right = set(some_right)
        if len(new_right) < len(some_right):
            right_piles.deal((Counter(some_right) - Counter(new_right)).elements())
        # Still waiting for its equal, and here once more: one of the two is too many.
        right_piles.deal(new_right & waiting_right)
        waiting_left.update(some_left)
        waiting_right |= new_right
        both = waiting_left & waiting_right
        waiting_left -= both
        waiting_right -= both
        if len(waiting_left) + len(waiting_right) > WAITING_MAX:
            _set_down(waiting_left, left_piles)
            _set_down(waiting_right, right_piles)
    _set_down(waiting_left, left_piles)
    _set_down(waiting_right, right_piles)


def _set_down(lines: set[bytes], piles: Piles) -> None:
    piles.deal(lines)
    lines.clear()


def _compare(left: list[bytes], right: list[bytes]) -> Iterator[Unequal]:
    left_set, right_set = set(left), set(right)
    differing = left_set ^ right_set
    if differing or len(left_set) < len(left) or len(right_set) < len(right):
        yield from _by_key(
            left_set & differing,
            right_set & differing,
            _repeated(left) if len(left_set) < len(left) else [],
            _repeated(right) if len(right_set) < len(right) else [],
        )


def _by_key(
    left: Iterable[bytes],
    right: Iterable[bytes],
    repeated_left: Iterable[bytes],
    repeated_right: Iterable[bytes],
) -> Iterator[Unequal]:
    found: dict[bytes, Unequal] = {}

    def of(line: bytes) -> Unequal:
        key = line.rsplit(b"\t", 2)[0]
        return found.setdefault(key, Unequal(key))

    for line in left:
        of(line).left.append(line)
    for line in right:
        of(line).right.append(line)
    for line in repeated_left:
        of(line).repeated_left.append(line)
    for line in repeated_right:
        of(line).repeated_right.append(line)
    yield from found.values()


def _repeated(lines: list[bytes]) -> list[bytes]:
    return [line for line, times in Counter(lines).items() if times > 1]
