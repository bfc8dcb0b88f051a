"""Faults by name: what goes wrong next, when, how often, and with what chance; repeatable from the seed."""

from __future__ import annotations

import math
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Any

from sandbox import fault_catalogue
from sandbox.chance import Chance, Stream


@dataclass(frozen=True)
class Fault:
    """One rule of the catalogue: `name` happens at `place`.

    It waits for the `nth` call at its place and then happens `times` times (None: until removed), each
    time with `chance` (0 to 1), from `from_at` until before `until_at` of the virtual clock (aware).
    `args` are the fault's own settings (seconds, count, fen).
    Raises: UnknownFault - it is not in the catalogue; ValueError - a schedule that cannot be.
    """

    name: str
    place: str
    times: int | None = 1
    chance: float = 1.0
    args: dict[str, float] = field(default_factory=dict)
    nth: int = 1
    from_at: datetime | None = None
    until_at: datetime | None = None

    def __post_init__(self) -> None:
        """Refuse what can never happen."""
        fault_catalogue.check(self.name, self.place, self.args)
        if self.nth < 1 or (self.times is not None and self.times < 1):
            raise ValueError("nth and times count from 1")
        if not 0.0 <= self.chance <= 1.0:
            raise ValueError("chance is 0 to 1")
        if not all(math.isfinite(value) for value in self.args.values()):
            raise ValueError("settings are finite numbers")
        if any(at is not None and at.tzinfo is None for at in (self.from_at, self.until_at)):
            raise ValueError("from_at and until_at need a time zone")

    def setting(self, name: str) -> float:
        """An argument, or what the catalogue says when it was not given."""
        return self.args.get(name, fault_catalogue.find(self.name, self.place).args[name])

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        times = {"from_at": self.from_at, "until_at": self.until_at}
        return asdict(self) | {key: None if at is None else at.isoformat() for key, at in times.items()}


class _Rule:
    """A fault in force: how many calls it has seen and how often it may happen still."""

    def __init__(self, fault: Fault, dice: Stream) -> None:
        self.fault = fault
        self.left = fault.times
        self._dice = dice
        self._seen = 0

    def due(self, now: datetime) -> bool:
        """Whether it would happen at this call, which it counts; what other rules do changes nothing."""
        fault = self.fault
        if (fault.from_at and now < fault.from_at) or (fault.until_at and now >= fault.until_at):
            return False
        self._seen += 1
        return self._dice.share() < fault.chance and self._seen >= fault.nth

    def over(self, now: datetime) -> bool:
        """Whether it will never happen again."""
        return self.left == 0 or (self.fault.until_at is not None and now >= self.fault.until_at)


class Faults:
    """The rules in force; asked at every place where something may go wrong.

    Args: `now` is the virtual clock.
    """

    def __init__(self, chance: Chance, now: Callable[[], datetime]) -> None:
        self._chance = chance
        self._now = now
        self._rules: list[_Rule] = []
        self._added: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        """Put a rule in force; rules are tried in the order they were added."""
        with self._lock:
            key = (fault.place, fault.name)
            self._added[key] += 1
            dice = self._chance.stream(f"fault {fault.place} {fault.name} {self._added[key]}")
            self._rules.append(_Rule(fault, dice))

    def clear(self) -> None:
        """Remove all rules."""
        with self._lock:
            self._rules.clear()

    def reset(self) -> None:
        """Remove all rules and forget that there were any: with it goes `Chance.restart`."""
        with self._lock:
            self._rules.clear()
            self._added.clear()

    def take(self, place: str) -> Fault | None:
        """The fault that happens now at `place`, counted down; None most of the time."""
        with self._lock:
            now = self._now()
            due = [rule for rule in self._rules if rule.fault.place == place and rule.due(now)]
            if due and due[0].left is not None:
                due[0].left -= 1
            self._rules = [rule for rule in self._rules if not rule.over(now)]
            return due[0].fault if due else None

    def active(self) -> list[Fault]:
        """The rules as they stand, `times` being what is left, for the fault panel."""
        with self._lock:
            return [replace(rule.fault, times=rule.left) for rule in self._rules]
