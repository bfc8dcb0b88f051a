"""Finding the header of a table and what each of its columns is."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from models.values.tables.errors import TableRefused
from models.values.tables.text import clean, excerpt

# Banks put a title and an account number above the header.
HEADER_WITHIN: Final = 20
# A unit that changes nothing; 金额(万元) and 金额(分) are other columns.
_UNIT: Final = re.compile(r"[(\[](?:元|人民币|人民币元|单位:元|单位:人民币元|rmb|cny)[)\]]$|/元$")


@dataclass(frozen=True)
class Header:
    """Where our columns stand: our name -> place, and the titles as the file writes them."""

    places: Mapping[str, int]
    titles: tuple[str, ...]

    def title(self, column: str) -> str:
        """Return the title in the file of our column, or our name where the file has none."""
        return self.titles[self.places[column]] if column in self.places else column


def find_header(
    cells: Sequence[str], columns: Mapping[str, Sequence[str]], required: Collection[str]
) -> Header | None:
    """Return the header if this row has every required column, else None.

    Raises:
        TableRefused: two columns of the file are the same one of ours.
    """
    names = [normal_title(cell) for cell in cells]
    matches = {ours: _matching(names, known) for ours, known in columns.items()}
    if not all(matches[ours] for ours in required):
        return None
    titles = tuple(clean(cell) for cell in cells)
    for ours, found in matches.items():
        if len(found) > 1:
            both = "、".join(f"“{excerpt(titles[place])}”" for place in found)
            raise TableRefused(f"{columns[ours][0]}有多列（{both}），不知道以哪一列为准")
    while titles and not titles[-1]:
        titles = titles[:-1]
    return Header({ours: found[0] for ours, found in matches.items() if found}, titles)


def _matching(names: Sequence[str], known: Sequence[str]) -> list[int]:
    wanted = {normal_title(name) for name in known}
    return [place for place, name in enumerate(names) if name in wanted]


def missing(titles: Collection[str], columns: Mapping[str, Sequence[str]], required: Sequence[str]) -> str:
    """Return which required columns these titles lack, by the first of their names."""
    names = {normal_title(title) for title in titles}
    lacking = [ours for ours in required if not names & {normal_title(name) for name in columns[ours]}]
    return "、".join(columns[ours][0] for ours in lacking)


def normal_title(cell: str) -> str:
    """Return a title as it is compared: width, case, blanks and the unit 元 do not count."""
    plain = unicodedata.normalize("NFKC", cell).casefold()
    bare = "".join(c for c in plain if not c.isspace() and unicodedata.category(c) not in ("Cf", "Cc"))
    return _UNIT.sub("", bare)
