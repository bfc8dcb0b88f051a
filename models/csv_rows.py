"""Reading a table that somebody exported: UTF-8 with or without a mark, or GB18030; by header, row by row."""

from __future__ import annotations

import codecs
import csv
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models.errors import Malformed

ENCODINGS = ("utf-8-sig", "gb18030")
# Banks put a title and an account number above the header.
HEADER_WITHIN = 20
READ_BYTES = 64 * 1024
CELL_MAX = 1000


@dataclass(frozen=True)
class Row:
    """One row: the file's line number for people, and the cells by our own column names, stripped."""

    line_no: int
    cells: dict[str, str]

    def __getitem__(self, column: str) -> str:
        """The cell, empty where the file has no such column."""
        return self.cells.get(column, "")


def read_rows(path: Path, columns: Mapping[str, Sequence[str]], *, needed: Sequence[str]) -> Iterator[Row]:
    """The rows below the header, in flat memory; empty rows are left out.

    Args:
        columns: our name of a column -> the names it may have in the file.
        needed: ours without which the file is of no use.
    Raises: Malformed - no such header, no such encoding, or no CSV.
    """
    with path.open(encoding=encoding_of(path), newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            places = _header(reader, columns, needed)
            for raw in reader:
                if not any(cell.strip() for cell in raw):
                    continue
                cells = {
                    name: raw[place].strip()[:CELL_MAX] for name, place in places.items() if place < len(raw)
                }
                yield Row(reader.line_num, cells)
        except csv.Error as error:
            raise Malformed(f"line {reader.line_num}: {error}") from None


def encoding_of(path: Path) -> str:
    """The first of our encodings in which the whole file can be read. Raises: Malformed."""
    for name in ENCODINGS:
        if _readable(path, name):
            return name
    raise Malformed("the file is neither UTF-8 nor GB18030")


def _readable(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        with path.open("rb") as file:
            while piece := file.read(READ_BYTES):
                decoder.decode(piece)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return False
    return True


def _header(
    reader: Iterator[list[str]], columns: Mapping[str, Sequence[str]], needed: Sequence[str]
) -> dict[str, int]:
    for _, raw in zip(range(HEADER_WITHIN), reader, strict=False):
        names = [cell.strip().casefold() for cell in raw]
        places = {
            ours: names.index(theirs.casefold())
            for ours, known in columns.items()
            for theirs in reversed(known)
            if theirs.casefold() in names
        }
        if all(name in places for name in needed):
            return places
    wanted = "、".join(columns[name][0] for name in needed)
    raise Malformed(f"no header with the columns {wanted} in the first {HEADER_WITHIN} lines")
