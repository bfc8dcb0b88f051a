"""What `campusnet doctor` says about one thing that it looked at."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """One thing looked at; `remedy` is what to do when it is not well, or when `warning` is set."""

    name: str
    well: bool
    detail: str
    remedy: str = ""
    warning: bool = False
