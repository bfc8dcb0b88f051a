"""How many customer-service messages a person may still receive, and until when."""

from __future__ import annotations

from dataclasses import dataclass

from sandbox.clock import VirtualClock
from sandbox.oa.errors import ApiError

HOUR_S = 3600


@dataclass(frozen=True)
class Rule:
    """`count` messages (None: any number) within `seconds`."""

    count: int | None
    seconds: int


RULES: dict[str, Rule] = {
    "message": Rule(5, 48 * HOUR_S),
    "click": Rule(3, 60),
    "subscribe": Rule(3, 60),
    "scan": Rule(3, 60),
    "payment": Rule(None, 48 * HOUR_S),
}
"""The platform's table since June 2023; a test may put another rule in its own copy."""


@dataclass
class Window:
    """What is left of one trigger."""

    left: int | None
    until: float


class CustomerWindows:
    """Open windows per person; the same trigger again starts its window anew."""

    def __init__(self, clock: VirtualClock, rules: dict[str, Rule] | None = None) -> None:
        self.rules = dict(rules or RULES)
        self._clock = clock
        self._open: dict[str, dict[str, Window]] = {}

    def open(self, openid: str, trigger: str) -> None:
        """The person did something that allows messages."""
        rule = self.rules[trigger]
        window = Window(rule.count, self._clock.timestamp() + rule.seconds)
        self._open.setdefault(openid, {})[trigger] = window

    def close(self, openid: str) -> None:
        """The person left; nothing is allowed any more."""
        self._open.pop(openid, None)

    def spend(self, openid: str) -> None:
        """Use one message: an unlimited window first, else the one that ends soonest."""
        now = self._clock.timestamp()
        alive = [window for window in self._open.get(openid, {}).values() if window.until > now]
        if not alive:
            raise ApiError(45015)
        if any(window.left is None for window in alive):
            return
        usable = [window for window in alive if window.left]
        if not usable:
            raise ApiError(45047)
        soonest = min(usable, key=lambda window: window.until)
        soonest.left = (soonest.left or 0) - 1

    def describe(self, openid: str) -> dict[str, dict[str, float | None]]:
        """Trigger -> messages left (None: any number) and seconds left, for the phone page."""
        now = self._clock.timestamp()
        return {
            trigger: {"left": window.left, "seconds": round(window.until - now, 1)}
            for trigger, window in self._open.get(openid, {}).items()
            if window.until > now
        }
