"""The rows of `goals.toml`: read, measured, compared."""

from __future__ import annotations

import operator
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
GOALS = Path(__file__).parent / "goals.toml"
NOT_MEASURED = "not measured"

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}
_GOAL = re.compile(r"(<=|>=|==|<|>) ?(-?\d+(?:\.\d+)?)")
_LINE = re.compile(r"^([a-z][a-z0-9_]*): (-?\d+(?:\.\d+)?)$", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """One promise; `source` is the command that measures it, empty where there is none yet."""

    name: str
    goal: str
    unit: str
    source: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be compared. Raises: ValueError."""
        if not _GOAL.fullmatch(self.goal):
            raise ValueError(f"{self.name}: a goal is a comparison and a number, not {self.goal!r}")

    def is_met(self, value: float) -> bool:
        """Return True if the value keeps the promise."""
        found = _GOAL.fullmatch(self.goal)
        assert found is not None
        return _COMPARISONS[found[1]](value, float(found[2]))


@dataclass(frozen=True)
class Verdict:
    """A row with what was measured; None: nothing was."""

    row: Row
    value: float | None

    @property
    def kept(self) -> bool:
        """Whether it was measured and met."""
        return self.value is not None and self.row.is_met(self.value)

    def line(self) -> str:
        """One line for people."""
        value = NOT_MEASURED if self.value is None else f"{self.value:g}"
        sign = "ok  " if self.kept else "MISS"
        return f"{sign} {self.row.name}: {value} (goal {self.row.goal} {self.row.unit})"


def load(path: Path = GOALS) -> list[Row]:
    """Read the rows. Raises: ValueError, TypeError - a row that cannot be used, or a name twice."""
    rows = [Row(**row) for row in tomllib.loads(path.read_text(encoding="utf-8"))["row"]]
    names = [row.name for row in rows]
    if len(set(names)) != len(names):
        raise ValueError("a name stands twice")
    return rows


def values_in(output: str) -> dict[str, float]:
    """Return the figures that a measurement printed, one `name: value` a line."""
    return {name: float(value) for name, value in _LINE.findall(output)}


def run(source: str) -> str:
    """Run a measurement. Returns: what it printed, also when it failed."""
    command = shlex.split(source)
    if command[0] == "python":
        command[0] = sys.executable
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout


def check(rows: Iterable[Row], measure: Callable[[str], str] = run) -> list[Verdict]:
    """Measure every row; a source that serves several rows runs once."""
    measured: dict[str, dict[str, float]] = {}
    verdicts = []
    for row in rows:
        if row.source and row.source not in measured:
            measured[row.source] = values_in(measure(row.source))
        verdicts.append(Verdict(row, measured.get(row.source, {}).get(row.name)))
    return verdicts
