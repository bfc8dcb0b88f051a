"""Lists that go on where the last page ended, by the id of its last row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from flask import request

PAGE = 20
MAX_ID = 2**63 - 1

Row = TypeVar("Row")


@dataclass(frozen=True)
class Page(Generic[Row]):
    """`rows` of one page; `more` when older ones follow, `first` when nothing newer comes before."""

    rows: Sequence[Row]
    more: bool
    first: bool


def before_id() -> int | None:
    """The id that the list is to go on after; whatever is no id begins at the top."""
    before = request.args.get("before", type=int)
    return before if before is not None and 0 < before <= MAX_ID else None


def page_of(found: Sequence[Row], *, first: bool, size: int = PAGE) -> Page[Row]:
    """One page of rows that were asked for with a limit of `size` + 1."""
    return Page(found[:size], more=len(found) > size, first=first)
