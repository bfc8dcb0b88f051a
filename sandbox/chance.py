"""Repeatable randomness: one seed, and for every purpose a sequence of its own.

One more call at one place changes nothing at another. What nobody may guess (tickets, tokens, keys of
sessions) does not come from here but from `secrets`: other people may be on this machine.
"""

from __future__ import annotations

import random
import threading


class Stream:
    """One endless sequence; may be used from several threads."""

    def __init__(self, seed: str) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose, no secret
        self._lock = threading.Lock()

    def share(self) -> float:
        """At least 0, below 1."""
        with self._lock:
            return self._random.random()

    def hex(self, count: int) -> str:
        """`count` hexadecimal digits, small letters."""
        with self._lock:
            return f"{self._random.getrandbits(4 * count):0{count}x}"

    def digits(self, count: int) -> str:
        """`count` decimal digits; the first may be 0."""
        with self._lock:
            return f"{self._random.randrange(10**count):0{count}d}"


class Chance:
    """All sequences of one sandbox."""

    def __init__(self, seed: int = 0) -> None:
        self.seed = seed
        self._streams: dict[str, Stream] = {}
        self._lock = threading.Lock()

    def restart(self, seed: int) -> None:
        """Begin every sequence again, from this seed."""
        with self._lock:
            self.seed = seed
            self._streams.clear()

    def stream(self, purpose: str) -> Stream:
        """The sequence of a purpose, where it stands; ask for it each time, `restart` replaces it."""
        with self._lock:
            if purpose not in self._streams:
                self._streams[purpose] = Stream(f"{self.seed}/{purpose}")
            return self._streams[purpose]

    def about(self, purpose: str, subject: str) -> Stream:
        """A sequence from its beginning, the same each time for the same subject.

        For numbers that are kept: neither the order of calls nor a restart of the process may give
        one number to two things.
        """
        return Stream(f"{self.seed}/{purpose}/{subject}")
