"""SQLAlchemy compiles each statement once for an engine; every test has engines of its own.

A millisecond for each statement of each test was a third of the processor time of all tests.
"""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, create_engine

from models import db

# More statements than one process has.
_STATEMENTS = 5000


class SharedStatements:
    """Engines of one kind share the dialect and what was compiled for it."""

    def __init__(self) -> None:
        self._first: dict[tuple[str, str | None], Engine] = {}

    def engine(self, url: Any, **options: Any) -> Engine:
        """What `create_engine` makes, with the statements of earlier tests already compiled."""
        made = create_engine(url, query_cache_size=_STATEMENTS, **options)
        first = self._first.setdefault((made.dialect.name, options.get("isolation_level")), made)
        # A dialect learns of its server at the first connection.
        if first is not made and first.dialect.server_version_info is not None:
            made.dialect = first.dialect
            made.pool._dialect = first.dialect
            made._compiled_cache = first._compiled_cache
        return made


def share(patch: pytest.MonkeyPatch) -> None:
    """From now on databases of this process compile each statement once."""
    patch.setattr(db, "create_engine", SharedStatements().engine)
