"""Two long lists of lines compared in little memory: dealt into piles by key, then pile against pile.

The same key always goes onto the same pile, so lines that belong together meet there; one pile of
each list fits into memory however long the lists are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

HELD_LINES = 65_536
PILES_MIN = 64
PILES_MAX = 4096
PILE_BYTES = 4 * 1024 * 1024


def piles_for(size_bytes: int) -> int:
    """How many piles a file of this size needs: a power of two."""
    count = PILES_MIN
    while count < PILES_MAX and count * PILE_BYTES < size_bytes:
        count *= 2
    return count


class Piles:
    """One list, dealt into `count` files named `<name>-<number>` in `folder`; lines hold no newline."""

    def __init__(self, folder: Path, name: str, count: int) -> None:
        self._paths = [folder / f"{name}-{number}" for number in range(count)]
        self._held: list[list[bytes]] = [[] for _ in range(count)]

    def deal(self, lines: Iterable[tuple[bytes, bytes]]) -> None:
        """Put every `(key, line)` onto its pile."""
        held, mask, room = self._held, len(self._held) - 1, HELD_LINES
        for key, line in lines:
            held[hash(key) & mask].append(line)
            room -= 1
            if not room:
                self._write()
                room = HELD_LINES
        self._write()

    def pile(self, number: int) -> list[bytes]:
        """The lines of one pile, in the order they came."""
        path = self._paths[number]
        return path.read_bytes().split(b"\n")[:-1] if path.exists() else []

    def _write(self) -> None:
        for path, lines in zip(self._paths, self._held, strict=True):
            if lines:
                lines.append(b"")
                with path.open("ab") as file:
                    file.write(b"\n".join(lines))
                lines.clear()


@dataclass(frozen=True)
class Unequal:
    """What is left of one key once equal lines have cancelled out.

    `left` and `right` are lines that only one list has; `repeated_*` are lines a list has more than
    once; `matched` tells whether the key also has an equal line in both.
    """

    key: bytes
    left: list[bytes] = field(default_factory=list)
    right: list[bytes] = field(default_factory=list)
    repeated_left: list[bytes] = field(default_factory=list)
    repeated_right: list[bytes] = field(default_factory=list)
    matched: bool = False


def compare(left: Piles, right: Piles, count: int) -> Iterator[Unequal]:
    """Every key whose lines differ between the lists, or repeat in one. The key is a line's first field."""
    for number in range(count):
        yield from _compare(left.pile(number), right.pile(number))


def _compare(left: list[bytes], right: list[bytes]) -> Iterator[Unequal]:
    left_set, right_set = set(left), set(right)
    found: dict[bytes, Unequal] = {}

    def of(line: bytes) -> Unequal:
        key = key_of(line)
        return found.setdefault(key, Unequal(key))

    for line in left_set - right_set:
        of(line).left.append(line)
    for line in right_set - left_set:
        of(line).right.append(line)
    if len(left_set) < len(left):
        for line in _repeated(left):
            of(line).repeated_left.append(line)
    if len(right_set) < len(right):
        for line in _repeated(right):
            of(line).repeated_right.append(line)
    if found:
        matched = {key_of(line) for line in left_set & right_set}
        for key, unequal in found.items():
            yield Unequal(
                key,
                unequal.left,
                unequal.right,
                unequal.repeated_left,
                unequal.repeated_right,
                key in matched,
            )


def key_of(line: bytes) -> bytes:
    """The first of the three fields of a line."""
    return line.rsplit(b"\t", 2)[0]


def _repeated(lines: list[bytes]) -> list[bytes]:
    return [line for line, times in Counter(lines).items() if times > 1]
