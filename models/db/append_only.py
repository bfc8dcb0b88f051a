"""Tables whose rows are never changed or deleted, and whether the database still sees to it."""

from __future__ import annotations

from sqlalchemy import Connection, text

# Kept so by triggers of the migrations, and by privileges where the service has a role of its own.
APPEND_ONLY = (
    "audit_anchor",
    "journal",
    "journal_seal",
    "ledger_entry",
    "ledger_posting",
    "ledger_seal",
    "lot_use",
    "opening_baseline",
    "purchase",
    "traffic_rule",
    "usage_sample",
)


_FUNCTION = (
    "BEGIN RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation'; END"
)


def unprotected(connection: Connection) -> list[str]:
    """The append-only tables whose triggers are missing, disabled or replaced."""
    if connection.dialect.name == "sqlite":
        query = text("SELECT sql FROM sqlite_master WHERE type = 'trigger'")
        written = set(connection.scalars(query))
        return [
            table
            for table in APPEND_ONLY
            if not {_sqlite_trigger(table, verb) for verb in ("UPDATE", "DELETE")} <= written
        ]
    # 'O' and 'A': fires in the sessions of the service. 58: before UPDATE, DELETE and TRUNCATE, by statement.
    query = text(
        "SELECT c.relname, p.prosrc FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid "
        "JOIN pg_proc p ON p.oid = t.tgfoid WHERE t.tgname = c.relname || '_append_only' "
        "AND t.tgenabled IN ('O', 'A') AND t.tgtype = 58 AND t.tgqual IS NULL AND t.tgattr = '' "
        "AND c.relnamespace = current_schema()::regnamespace"
    )
    kept = {table for table, source in connection.execute(query) if source.strip() == _FUNCTION}
    return [table for table in APPEND_ONLY if table not in kept]


def _sqlite_trigger(table: str, verb: str) -> str:
    return (
        f"CREATE TRIGGER {table}_no_{verb.lower()} BEFORE {verb} ON {table} "
        f"BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END"
    )
