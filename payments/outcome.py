"""What a delivery reports to the worker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True)
class Done:
    """Nothing left to do; `note` is kept with the item (which channel worked, ...)."""

    note: str | None = None


@dataclass(frozen=True)
class Later:
    """Not finished by plan: come back at `at`. Does not count as a failure."""

    at: datetime


@dataclass(frozen=True)
class Park:
    """A person has to decide; `asked` when the delivery has opened its own review item."""

    reason: str
    asked: bool = True


Outcome = Done | Later | Park
