"""Rows of a bill that are not one line of the right number of fields, joined again or given up one by one.

Names of goods and remarks are written by other systems on the same merchant number. One with a line
break makes two lines of a row, one with a comma and a backquote a field too many. Such text is not
used: the row is read around it, and reported.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO

from models.errors import Malformed

SEPARATOR = b",`"
# A row is given up after so many lines or bytes, so that memory stays flat.
LINES_MAX = 50
BYTES_MAX = 65_536
# What is named row by row; of the rest the number is known.
KEPT_MAX = 1000
NUMBER_MAX = 32
# Empty lines behind the totals that are looked through.
EMPTY_MAX = 100
_BEGINS = re.compile(rb"`\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,`")
_LINE_END = b"\r\n"


@dataclass(frozen=True)
class OddRow:
    """One row that was reported: where it begins, its number as far as it can be read, whether it counts."""

    line: int
    number: str
    repaired: bool


@dataclass
class OddRows:
    """The odd rows of one bill: how many of each kind, and the first of them."""

    repaired: int = 0
    unreadable: int = 0
    rows: list[OddRow] = field(default_factory=list)

    def add(self, row: OddRow) -> None:
        """Count a row, and keep it while there is room."""
        if row.repaired:
            self.repaired += 1
        else:
            self.unreadable += 1
        if len(self.rows) < KEPT_MAX:
            self.rows.append(row)

    def clear(self) -> None:
        """Forget all: the bill is read from its beginning."""
        self.repaired = self.unreadable = 0
        self.rows.clear()

    @property
    def not_kept(self) -> int:
        """How many rows were counted only."""
        return self.repaired + self.unreadable - len(self.rows)


class Lines:
    """The lines of a file, some at once, with a place to put some back; `number` is that of the next one."""

    def __init__(self, file: BinaryIO, number: int) -> None:
        self._file = file
        self._back: deque[bytes] = deque()
        self.number = number

    def take(self, count: int) -> list[bytes]:
        """Return up to `count` lines; none at the end of the file."""
        taken = [self._back.popleft() for _ in range(min(count, len(self._back)))]
        if len(taken) < count:
            taken += islice(self._file, count - len(taken))
        self.number += len(taken)
        return taken

    def put_back(self, lines: Sequence[bytes]) -> None:
        """Let `lines` be the next ones again."""
        self._back.extendleft(reversed(lines))
        self.number -= len(lines)

    def go_on(self) -> bool:
        """Return True if a line that is not empty is left."""
        while more := self.take(1):
            if more[0].strip():
                return True
        return False


@dataclass(frozen=True)
class Joiner:
    """How rows of one layout are put together again.

    `texts` are the columns of free text, which may hold anything; `free` other columns that are not used.
    `used` are the columns whose content matters. `plausible` says whether fields stand in their columns.
    `totals` is a name in the header of the totals.
    """

    width: int
    texts: Sequence[int]
    free: Sequence[int]
    used: Sequence[int]
    plausible: Callable[[list[bytes]], bool]
    totals: str

    def join(self, line: bytes, lines: Lines) -> list[bytes] | None:
        """Return the fields of the row that begins with `line`, read on as far as it goes; None: unreadable.

        The odd text comes back without line breaks and separators; the first field keeps its backquote.
        """
        joined, count, fitting = line.rstrip(_LINE_END), 1, None
        while True:
            fields = joined.split(SEPARATOR)
            if len(fields) >= self.width:
                fitting = self._fit(fields) or fitting
            if count == LINES_MAX or len(joined) > BYTES_MAX:
                return fitting
            more = lines.take(1)
            # A fitting row goes on only with a line that can be nothing else.
            if more and (self.begins(more[0]) or (fitting and not self.is_rest(more[0], lines))):
                lines.put_back(more)
                return fitting
            if not more or self.ends(more[0], lines):
                lines.put_back(more)
                return fitting
            count += 1
            joined += b" " + more[0].rstrip(_LINE_END)

    def is_rest(self, line: bytes, lines: Lines) -> bool:
        """Whether `line` can only be the rest of the row before it."""
        return not line.startswith(b"`") and not self.ends(line, lines)

    def goes_on(self, lines: Lines) -> bool:
        """Whether the next line is the rest of the row before it."""
        ahead = lines.take(1)
        # `ends` looks at the lines behind the one it is asked about.
        rest = bool(ahead) and self.is_rest(ahead[0], lines)
        lines.put_back(ahead)
        return rest

    def ends(self, line: bytes, lines: Lines) -> bool:
        """Whether `line` is the header of the totals: their row follows, and then nothing but empty lines."""
        name = self.totals.encode()
        if line.startswith(b"`") or name not in line:
            return False
        after = lines.take(1 + EMPTY_MAX)
        lines.put_back(after)
        names = line.strip().split(b",")
        return (
            name in names
            and bool(after)
            and after[0].startswith(b"`")
            and len(after[0].split(SEPARATOR)) == len(names)
            and not any(more.strip() for more in after[1:])
        )

    def begins(self, line: bytes) -> bool:
        """Whether a row begins with `line`."""
        if not line.startswith(b"`"):
            return False
        return _BEGINS.match(line) is not None or line.count(SEPARATOR) + 1 == self.width

    def _fit(self, fields: list[bytes]) -> list[bytes] | None:
        extra = len(fields) - self.width
        if not fields[0].startswith(b"`"):
            return None
        if not extra:
            return fields if self.plausible(fields) else None
        for column in self.texts:
            if self.plausible(fitted := _merged(fields, column, extra)):
                return fitted
        found = [fitted for column in self.free if self.plausible(fitted := _merged(fields, column, extra))]
        contents = {tuple(fitted[column] for column in self.used) for fitted in found}
        # Two ways to read what is used: neither is believed.
        return found[0] if len(contents) == 1 else None


def number_in(line: bytes, column: int) -> str:
    """Return what stands in the column of numbers of a broken row, fit to be shown; "" if nothing does."""
    fields = line.rstrip(_LINE_END).split(SEPARATOR, column + 1)
    return shown(fields[column])[:NUMBER_MAX] if len(fields) > column else ""


def shown(raw: bytes) -> str:
    """Return foreign bytes as text that every database and terminal takes."""
    text = raw.decode("utf-8", "replace")
    return text if text.isprintable() else "".join(c if c.isprintable() else "\ufffd" for c in text)


def parses(read: Callable[[bytes], object], raw: bytes) -> bool:
    """Return True if `read` takes these bytes."""
    try:
        read(raw)
    except Malformed:
        return False
    return True


def _merged(fields: list[bytes], column: int, extra: int) -> list[bytes]:
    last = column + extra
    return [*fields[:column], b" ".join(fields[column : last + 1]), *fields[last + 1 :]]
