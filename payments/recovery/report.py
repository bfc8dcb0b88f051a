"""What a recovery did: counts for the table, and everything that it could not explain."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import date
from typing import Any

UNEXPLAINED_KEPT = 200


@dataclass(frozen=True)
class Unexplained:
    """Something that an operator has to look at; each has a review item."""

    what: str
    number: str
    amount_fen: int
    reason: str


@dataclass
class Report:
    """Rows and fen by what was done with them, in one run."""

    rows: Counter[str] = field(default_factory=Counter)
    fen: Counter[str] = field(default_factory=Counter)
    unexplained: list[Unexplained] = field(default_factory=list)
    days_read: list[date] = field(default_factory=list)
    days_missing: list[date] = field(default_factory=list)
    findings: list[str] = field(default_factory=list)
    payouts_held: int = 0

    def count(self, what: str, amount_fen: int) -> None:
        """Count one payment or refund."""
        self.rows[what] += 1
        self.fen[what] += amount_fen

    def add(self, what: str, number: str, amount_fen: int, reason: str) -> None:
        """List something that could not be explained."""
        self.count("unexplained", amount_fen)
        self.unexplained.append(Unexplained(what, number, amount_fen, reason))

    @property
    def changed(self) -> int:
        """How many rows this run rebuilt or recorded."""
        return sum(rows for name, rows in self.rows.items() if name.endswith(("_rebuilt", "_recorded")))

    def as_json(self) -> dict[str, Any]:
        """Return the counts as they are kept with the recovery."""
        return {
            "rows": dict(self.rows),
            "fen": dict(self.fen),
            "unexplained": [vars(one) for one in self.unexplained[:UNEXPLAINED_KEPT]],
            "days_missing": [str(on) for on in self.days_missing],
            "findings": self.findings,
            "payouts_held": self.payouts_held,
        }
