"""Reading rows by the million: in steps of ids, as plain tuples, in flat memory."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import Connection, Select, func, select
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql import ColumnElement

from models.db import Database

STEP = 10_000

Rows = list[tuple[Any, ...]]


def in_steps(
    database: Database,
    query: Select[*tuple[Any, ...]],
    number: InstrumentedAttribute[int],
    *where: ColumnElement[bool],
) -> Iterator[Rows]:
    """The rows of `query` where `where` holds, step by step; each step is a short read of its own.

    Args:
        number: the primary key to go along. Steps are of its values, not of rows: there is nothing
            to sort, and the key leads straight to each.
        where: on the table of `number`; an index should serve it, for the first and the last key.
    The columns must be text and whole numbers: they come as the driver gives them.
    """
    with database.connection() as connection:
        ends: Sequence[int | None] = connection.execute(
            select(func.min(number), func.max(number)).where(*where)
        ).one()
    first, last = ends
    if first is None or last is None:
        return
    for start in range(first, last + 1, STEP):
        with database.connection() as connection:
            yield _plain(connection, query.where(*where, number.between(start, start + STEP - 1)))


def _plain(connection: Connection, query: Select[*tuple[Any, ...]]) -> Rows:
    result = connection.execute(query)
    # The driver's own tuples: wrapping a million of them costs as much as reading them.
    return [] if result.cursor is None else result.cursor.fetchall()  # type: ignore[return-value]
