"""Reads of the hot path: a SELECT compiled once, run on a pooled driver connection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from typing import Any

from sqlalchemy import Engine, Select
from sqlalchemy.exc import OperationalError

Convert = Callable[[Any], Any] | None


class Prepared:
    """A SELECT with bind parameters; text and converters are worked out once for each dialect."""

    def __init__(self, statement: Select[*tuple[Any, ...]]) -> None:
        self._statement = statement
        self._plans: dict[str, _Plan] = {}

    def rows(self, engine: Engine, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        """The rows, in Python types. `engine` must be in autocommit: nothing is begun or rolled back."""
        plan = self._plans.get(engine.dialect.name)
        if plan is None:
            plan = self._plans[engine.dialect.name] = _Plan(self._statement, engine)
        return plan.rows(engine, values)


class _Plan:
    def __init__(self, statement: Select[*tuple[Any, ...]], engine: Engine) -> None:
        dialect = engine.dialect
        compiled = statement.compile(dialect=dialect)
        self._driver_error = dialect.loaded_dbapi.Error
        self._text = compiled.string
        self._order = compiled.positiontup
        self._fixed = {n: b.value for n, b in compiled.binds.items() if not b.required}
        self._binds = {
            name: bind.type.dialect_impl(dialect).bind_processor(dialect)
            for name, bind in compiled.binds.items()
        }
        converts = [
            c.type.dialect_impl(dialect).result_processor(dialect, None) for c in statement.selected_columns
        ]
        self._converts = [(place, convert) for place, convert in enumerate(converts) if convert]

    def rows(self, engine: Engine, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        parameters = self._parameters(values)
        try:
            # The pool speaks of the driver's errors when it cannot open a connection, too.
            with closing(engine.raw_connection()) as connection:
                cursor = connection.cursor()
                cursor.execute(self._text, parameters)
                return [self._convert(row) for row in cursor.fetchall()]
        except self._driver_error as error:
            # Callers know SQLAlchemy's errors, whichever way a statement went.
            raise OperationalError(self._text, None, error, hide_parameters=True) from error

    def _parameters(self, values: Mapping[str, Any]) -> Any:
        given = {name: self._bind(name, values) for name in self._binds}
        return given if self._order is None else tuple(given[name] for name in self._order)

    def _bind(self, name: str, values: Mapping[str, Any]) -> Any:
        value = values.get(name, self._fixed.get(name))
        convert = self._binds[name]
        return convert(value) if convert else value

    def _convert(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        if not self._converts:
            return row
        made = list(row)
        for place, convert in self._converts:
            made[place] = convert(made[place])
        return tuple(made)
