"""Reading rows by the million: as lines of text that the database puts together, in flat memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from operator import add
from typing import Any

from sqlalchemy import ColumnElement, Row, Select, String, cast, func, literal, select
from sqlalchemy.orm import InstrumentedAttribute

from models.db.engine import Database

STEP = 20_000
FIELD_END = "\t"
LINE_END = "\n"


def in_steps(
    database: Database,
    query: Select[*tuple[Any, ...]],
    number: InstrumentedAttribute[int],
    *where: ColumnElement[bool],
) -> Iterator[Row[*tuple[Any, ...]]]:
    """The one row of `query`, an aggregate, for each step through the rows where `where` holds.

    Args:
        number: the primary key to go along. Steps are of its values, not of rows: there is nothing
            to sort, and the key leads straight to each. Each is a short read of its own.
        where: on the table of `number`; an index should serve it, for the first and the last key.
    """
    with database.connection() as connection:
        # Counted as well: for the two ends alone PostgreSQL would walk along the key until `where` holds.
        ends: Sequence[int | None] = connection.execute(
            select(func.min(number), func.max(number), func.count()).where(*where)
        ).one()
    first, last, _ = ends
    if first is None or last is None:
        return
    for start in range(first, last + 1, STEP):
        with database.connection() as connection:
            yield connection.execute(query.where(*where, number.between(start, start + STEP - 1))).one()


def line_of(*columns: Any) -> ColumnElement[str]:
    """The columns of a row as one line of text, a tab between them."""
    # Casting what is text already would cost as much as reading it.
    texts: list[Any] = []
    for column in columns:
        texts += [literal(FIELD_END), column if isinstance(column.type, String) else cast(column, String)]
    line: ColumnElement[str] = reduce(add, texts[1:])
    return line


def lines(line: ColumnElement[str]) -> ColumnElement[str]:
    """All lines of a step as one text; NULL is no line. Take it apart with `taken_apart`."""
    return func.aggregate_strings(line, LINE_END)


def taken_apart(text: str | None) -> list[bytes]:
    """The lines that the database put together."""
    return text.encode().split(LINE_END.encode()) if text else []
