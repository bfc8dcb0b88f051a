"""What PostgreSQL says of itself: how large everything is, and what it had to read as a whole."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select, text

from models.db import Database
from models.usage import UsageSample

# Smaller ones are read as a whole because that is quicker.
MANY_ROWS = 5000
LARGEST = 12
_MB = 1024 * 1024


def records_kept(database: Database) -> int:
    """All reports."""
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(UsageSample)) or 0


def tables_mb(database: Database) -> list[str]:
    """The largest tables without their indexes, a row each, and the database as a whole."""
    whole = text("SELECT pg_database_size(current_database())")
    with database.connection() as connection:
        total = connection.execute(whole).scalar_one()
    return [f"scale_database_mb: {total // _MB}", *_sizes(database, "r", "table")]


def indexes_mb(database: Database) -> list[str]:
    """The largest indexes, a row each."""
    return _sizes(database, "i", "index")


def sequential_scans(database: Database) -> int:
    """How often a large table was read from end to end; complete for connections that are closed."""
    query = text(
        "SELECT sum(seq_scan) FROM pg_stat_user_tables JOIN pg_class ON pg_class.oid = relid "
        "WHERE reltuples > :many"
    )
    return int(_rows(database, query, {"many": MANY_ROWS})[0][0] or 0)


def backends(database: Database) -> list[int]:
    """The processes of the server that serve this database."""
    query = text("SELECT pid FROM pg_stat_activity WHERE datname = current_database()")
    return [row[0] for row in _rows(database, query, {})]


def _sizes(database: Database, kind: str, word: str) -> list[str]:
    query = text(
        "SELECT relname, pg_relation_size(oid) FROM pg_class "
        "WHERE relkind = :kind AND relnamespace = 'public'::regnamespace ORDER BY 2 DESC LIMIT :largest"
    )
    found = _rows(database, query, {"kind": kind, "largest": LARGEST})
    return [f"scale_{word}_{name}_mb: {size // _MB}" for name, size in found if size >= _MB]


def _rows(database: Database, query: Any, given: dict[str, Any]) -> list[tuple[Any, ...]]:
    with database.connection() as connection:
        return [tuple(row) for row in connection.execute(query, given)]
