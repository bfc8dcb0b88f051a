"""What PostgreSQL says of itself: how large everything is, and what it had to read as a whole."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from sqlalchemy import func, select, text

from models.db.engine import Database
from models.usage import UsageSample

# Smaller ones are read as a whole because that is quicker.
MANY_ROWS = 5000
LARGEST = 12
_MB = 1024 * 1024
# By the indexes that the pages use, an account after the other: what they read is then in memory.
_LOOKS = (
    """SELECT count(balance_fen), count(used_bytes) FROM account LEFT JOIN LATERAL (
        SELECT used_bytes FROM traffic_lot WHERE traffic_lot.account_no = account.account_no
            AND ends_at > timestamptz '2026-11-01' OFFSET 0) found ON true""",
    """SELECT count(found.account_no) FROM person LEFT JOIN LATERAL (
        SELECT account_no FROM binding WHERE person_id = person.id AND unbound_at IS NULL OFFSET 0
        ) found ON true WHERE openid > ''""",
    """SELECT sum(up_bytes) FROM account JOIN LATERAL (
        SELECT up_bytes FROM accounting_session one WHERE one.account_no = account.account_no
            AND started_at > timestamptz '2026-10-01' OFFSET 0) found ON true""",
    """SELECT sum(up_bytes) FROM account JOIN LATERAL (
        SELECT up_bytes FROM usage_day one WHERE one.account_no = account.account_no OFFSET 0
        ) found ON true""",
    """SELECT sum(found.price_fen) FROM account JOIN LATERAL (
        SELECT price_fen FROM purchase WHERE purchase.account_no = account.account_no
        ORDER BY id DESC OFFSET 0
        ) found ON true""",
    """SELECT count(found.at) FROM account JOIN LATERAL (
        SELECT entry.at FROM ledger_posting JOIN ledger_entry entry ON entry.id = entry_id
        WHERE book = 'account:' || account.account_no OFFSET 0) found ON true""",
)


def look_at_everybody(database: Database) -> None:
    """Read what the pages read of every account once: the state after a day of work.

    On the very connections that are measured. A server process that touches a page of the shared
    buffers for the first time waits for the kernel to map it, however long the page was in memory.
    """
    for engine in database.engines:
        with closing(engine.raw_connection()) as connection:
            cursor = connection.cursor()
            cursor.execute("SET statement_timeout = 0")
            for way in ("seqscan", "hashjoin", "mergejoin", "bitmapscan", "indexonlyscan"):
                cursor.execute(f"SET enable_{way} = off")
            for look in _LOOKS:
                cursor.execute(look)
            cursor.execute("RESET ALL")
            # What this read as a whole is not to be counted later.
            cursor.execute("SELECT pg_stat_force_next_flush()")
            connection.commit()


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
