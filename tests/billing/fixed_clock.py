"""A clock that stands still until a test moves it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass
class FixedClock:
    """`now` is noon on campus, 10 March 2026, unless a test says otherwise."""

    now: datetime = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        """The time it stands at."""
        return self.now
