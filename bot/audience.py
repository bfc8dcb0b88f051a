"""Lists of openids, of any length, in the batches the platform takes."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from bot.push import OPENID
from models.errors import Malformed, Refused

MIN_BATCH = 2
MAX_BATCH = 10_000


@dataclass
class Fingerprint:
    """How many openids a list has, and a sum of their hashes: equal for equal lists in any order."""

    count: int = 0
    total: int = 0

    def add(self, openid: str) -> None:
        """Count one openid."""
        self.count += 1
        self.total = (self.total + int.from_bytes(hashlib.sha256(openid.encode()).digest())) % 2**256


def fingerprint(openids: Iterable[str]) -> Fingerprint:
    """Compute the fingerprint of a list without repetitions, in flat memory."""
    made = Fingerprint()
    for openid in openids:
        made.add(openid)
    return made


def read_openids(path: Path) -> Iterator[str]:
    """The openids of a file, one a line; empty lines and lines with `#` are left out.

    Raises:
        Malformed: a line holds something else; the message has its number.
    """
    with path.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, start=1):
            openid = line.strip()
            if not openid or openid.startswith("#"):
                continue
            if not OPENID.fullmatch(openid):
                raise Malformed(f"line {number} is no openid")
            yield openid


def distinct(openids: Iterable[str]) -> Iterator[str]:
    """Each openid once, in the order given; memory stays flat however many there are."""
    # A database without a name is a temporary file that goes away with the connection.
    with closing(sqlite3.connect("", isolation_level=None)) as spool:
        spool.execute("PRAGMA journal_mode=OFF")
        spool.execute("PRAGMA synchronous=OFF")
        spool.execute("CREATE TABLE seen (openid TEXT PRIMARY KEY) WITHOUT ROWID")
        spool.execute("BEGIN")
        for openid in openids:
            if spool.execute("INSERT OR IGNORE INTO seen VALUES (?)", (openid,)).rowcount:
                yield openid


def batches(openids: Iterable[str], size: int = MAX_BATCH) -> Iterator[list[str]]:
    """Lists of two to `size` openids; a rest of one borrows a neighbour from the batch before.

    Raises:
        Refused: there is only one openid, or none.
    """
    before: list[str] = []
    current: list[str] = []
    for openid in openids:
        if len(current) == size:
            if before:
                yield before
            before, current = current, []
        current.append(openid)
    if before and len(current) < MIN_BATCH:
        current.insert(0, before.pop())
    if len(current) < MIN_BATCH:
        raise Refused("群发名单至少要有两个人；只发给一个人请用预览")
    if before:
        yield before
    yield current
