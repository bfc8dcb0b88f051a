"""How much processor time a server's processes have used: what a busy machine cannot distort much."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

PROC = Path("/proc")
# Fields of /proc/<pid>/stat after the name in brackets: state, parent, ... utime, stime.
PARENT, USER, SYSTEM = 1, 11, 12


def used_s(pid: int) -> float | None:
    """Seconds used by a process and those it started; None where there is no /proc."""
    if not (PROC / str(pid) / "stat").exists():
        return None
    family, total = {pid}, 0
    for other, fields in sorted(_processes()):
        if other in family or int(fields[PARENT]) in family:
            family.add(other)
            total += int(fields[USER]) + int(fields[SYSTEM])
    return total / os.sysconf("SC_CLK_TCK")


def ran_s(pids: Iterable[int]) -> float | None:
    """Seconds used by these processes alone, to the microsecond; None where the system does not tell."""
    try:
        found = [(PROC / str(pid) / "schedstat").read_text(encoding="ascii").split()[0] for pid in pids]
    except OSError:
        return None
    return sum(int(nanoseconds) for nanoseconds in found) / 1e9


def _processes() -> list[tuple[int, list[str]]]:
    found = []
    for folder in PROC.iterdir():
        if not folder.name.isdigit():
            continue
        try:
            text = (folder / "stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # it ended meanwhile
        found.append((int(folder.name), text.rpartition(")")[2].split()))
    return found
