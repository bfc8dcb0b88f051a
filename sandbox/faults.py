"""Faults by name: what goes wrong next, how often, and with what chance; deterministic from a seed."""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass, field


@dataclass
class Fault:
    """One rule: `name` happens at `place` for the next `times` calls (None: until removed).

    `chance` is the probability per call; `args` are the fault's own settings (seconds, count).
    """

    name: str
    place: str
    times: int | None = 1
    chance: float = 1.0
    args: dict[str, float] = field(default_factory=dict)


class Faults:
    """The list of active rules; asked at every place where something may go wrong."""

    def __init__(self, seed: int = 0) -> None:
        self._rules: list[Fault] = []
        self._random = random.Random(seed)  # noqa: S311 - repeatable faults, no secret
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Activate a rule; rules are tried in the order they were added."""
        with self._lock:
            self._rules.append(fault)

    def clear(self, seed: int | None = None) -> None:
        """Remove all rules; with `seed`, start the random sequence again."""
        with self._lock:
            self._rules.clear()
            if seed is not None:
                self._random = random.Random(seed)  # noqa: S311 - repeatable faults, no secret

    def take(self, place: str) -> Fault | None:
        """The fault that happens now at `place`, counted down; None most of the time."""
        with self._lock:
            for rule in self._rules:
                if rule.place != place or self._random.random() >= rule.chance:
                    continue
                if rule.times is not None:
                    rule.times -= 1
                    if rule.times <= 0:
                        self._rules.remove(rule)
                return rule
        return None

    def active(self) -> list[Fault]:
        """A copy of the rules, for the fault panel."""
        with self._lock:
            return list(self._rules)
