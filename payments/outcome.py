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
    """An operator has to decide; `asked` when the delivery has opened its own review item."""

    reason: str
    asked: bool = True


@dataclass(frozen=True)
class Pause:
    """The outside system refuses everybody (access token, quota): certainly not done.

    Args:
        reason: for operators.
        at: when this item comes back.
        until: when the system can be used again, as far as it says; None: it is probed soon.
        alarm: False for a limit that is over within a minute.
    """

    reason: str
    at: datetime
    until: datetime | None = None
    alarm: bool = True


Outcome = Done | Later | Park | Pause
