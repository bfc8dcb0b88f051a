"""Rows as a file holds them, before their columns are known."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Damaged:
    """A cell whose text is not certain, and why."""

    reason: str


@dataclass(frozen=True, slots=True)
class RawRow:
    """The line in the file and the cells from the left; `problem` makes the whole row an error."""

    line_no: int
    cells: Sequence[str | Damaged]
    problem: str = ""

    @property
    def is_empty(self) -> bool:
        """True if no cell holds anything."""
        return not any(isinstance(cell, Damaged) or cell.strip() for cell in self.cells)
