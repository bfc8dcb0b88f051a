"""Many rows in one statement: PostgreSQL takes each column as one array, SQLite a list of rows.

A statement for each row costs a driver more than it costs the database; one with a parameter for
each value has to be read anew for each number of rows.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    CursorResult,
    FromClause,
    Insert,
    Select,
    Table,
    Update,
    any_,
    bindparam,
    column,
    func,
    insert,
    literal,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute, Session

_POSTGRESQL = "postgresql"


@dataclass(frozen=True)
class Many:
    """A change of many rows: `of_columns` takes arrays (PostgreSQL), `of_row` one row at a time."""

    of_columns: Insert | Update
    of_row: Insert | Update

    def run(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> CursorResult[Any]:
        """Do it for at least one row; all rows have the same names."""
        if connection.dialect.name == _POSTGRESQL:
            columns = {name: [row[name] for row in rows] for name in rows[0]}
            return connection.execute(self.of_columns, columns)
        return connection.execute(self.of_row, rows)


def inserting(table: Table, names: Sequence[str], *returned: str) -> Many:
    """New rows with these columns. `returned` comes back for each of them, in no order."""
    of_columns = postgresql.insert(table).from_select(names, _given(table, names))
    of_row = insert(table)
    if returned:
        columns = [table.c[name] for name in returned]
        return Many(of_columns.returning(*columns), of_row.returning(*columns))
    return Many(of_columns, of_row)


def beginning(table: Table, names: Sequence[str], key: Sequence[str], where: ColumnElement[bool]) -> Many:
    """As `inserting`, but a row that a partial unique index (`key`, `where`) knows already stays as it is."""
    return Many(
        postgresql.insert(table)
        .from_select(names, _given(table, names))
        .on_conflict_do_nothing(index_elements=key, index_where=where),
        sqlite.insert(table).on_conflict_do_nothing(index_elements=key, index_where=where),
    )


def keeping(table: Table, names: Sequence[str], key: Sequence[str]) -> Many:
    """As `inserting`, but a row whose `key` is there already stays as it is."""
    return Many(
        postgresql.insert(table)
        .from_select(names, _given(table, names))
        .on_conflict_do_nothing(index_elements=key),
        sqlite.insert(table).on_conflict_do_nothing(index_elements=key),
    )


def adding(table: Table, key: Sequence[str], sums: Sequence[str]) -> Many:
    """Rows named by `key`, begun where they are missing, with `sums` added where they are not.

    No two rows of one run may have the same key.
    """
    names = [*key, *sums]
    columns = postgresql.insert(table).from_select(names, _given(table, names))
    row = sqlite.insert(table)
    return Many(
        columns.on_conflict_do_update(
            index_elements=key, set_={name: table.c[name] + columns.excluded[name] for name in sums}
        ),
        row.on_conflict_do_update(
            index_elements=key, set_={name: table.c[name] + row.excluded[name] for name in sums}
        ),
    )


def moving(table: Table, *, sets: Sequence[str] = (), adds: Sequence[str] = ()) -> Many:
    """Rows named by `number`, their id: some columns set, some added to."""
    values = _source(table, {"number": "id", **{name: name for name in (*sets, *adds)}})
    return Many(
        update(table)
        .where(table.c.id == values.c.number)
        .values(
            {name: values.c[name] for name in sets} | {name: table.c[name] + values.c[name] for name in adds}
        ),
        update(table)
        .where(table.c.id == bindparam("number"))
        .values(
            {name: bindparam(name) for name in sets}
            | {name: table.c[name] + bindparam(name) for name in adds}
        ),
    )


def one_of(
    session: Session, wanted: InstrumentedAttribute[Any], values: Collection[Any]
) -> ColumnElement[bool]:
    """Whether a column has one of the values: one parameter on PostgreSQL, whatever their number."""
    if session.connection().dialect.name == _POSTGRESQL:
        return wanted == any_(literal(list(values), ARRAY(wanted.type)))
    return wanted.in_(values)


def _given(table: Table, names: Sequence[str]) -> Select[Any]:
    return select(*_source(table, {name: name for name in names}).c)


def _source(table: Table, names: Mapping[str, str]) -> FromClause:
    """Parameters as a table; `names` says for each which column it is like."""
    arrays = [bindparam(name, type_=ARRAY(table.c[like].type)) for name, like in names.items()]
    columns = [column(name, table.c[like].type) for name, like in names.items()]
    return func.unnest(*arrays).table_valued(*columns, name="given").render_derived()
