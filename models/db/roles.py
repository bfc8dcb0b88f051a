"""Privileges of the service's own database role on PostgreSQL: everything but the audit trail.

`grant` runs as the owner of the tables after each upgrade and may be repeated.
"""

from __future__ import annotations

from sqlalchemy import Connection, text

from models.db.append_only import APPEND_ONLY
from models.db.engine import Database

_READ_ONLY = ("alembic_version",)


class RoleMissing(Exception):
    """The server has no such role, or it is the owner itself."""


def grant(database: Database, role: str) -> None:
    """Let `role` work on the tables, and only add to the append-only ones.

    Args:
        database: opened as the owner of the tables.
    Raises: RoleMissing - no such role, or it is the role that asks.
    """
    with database.transaction() as session:
        connection = session.connection()
        if role == connection.scalar(text("SELECT current_user")):
            raise RoleMissing(f"{role} owns the tables: [database] url needs a role of its own")
        if connection.scalar(text("SELECT 1 FROM pg_roles WHERE rolname = :role"), {"role": role}) is None:
            raise RoleMissing(f"the server has no role {role}")
        for statement in _statements(connection, role):
            connection.execute(text(statement))


def weaknesses(connection: Connection) -> list[str]:
    """What this role could do to the audit trail; empty when it can only add to it."""
    row = connection.execute(
        text("SELECT current_user, (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)")
    ).one()
    if row[1]:
        return [f"{row[0]} is a superuser"]
    found = []
    owned = _tables(connection, "pg_has_role(current_user, c.relowner, 'MEMBER')")
    if owned:
        found.append(f"{row[0]} owns {', '.join(owned)}")
    changed = _tables(
        connection, "has_table_privilege(c.oid, 'UPDATE, DELETE, TRUNCATE, TRIGGER, REFERENCES')"
    )
    if rest := sorted(set(changed) - set(owned)):
        found.append(f"{row[0]} may change {', '.join(rest)}")
    may_create = "SELECT has_schema_privilege(current_user, current_schema(), 'CREATE')"
    if not owned and connection.scalar(text(may_create)):
        found.append(f"{row[0]} may create tables and functions")
    return found


def _statements(connection: Connection, role: str) -> list[str]:
    quote = connection.dialect.identifier_preparer.quote
    schema = quote(str(connection.scalar(text("SELECT current_schema()"))))
    name = quote(role)
    closed = ", ".join(quote(table) for table in APPEND_ONLY)
    read = ", ".join(quote(table) for table in _READ_ONLY)
    every = f"ALL TABLES IN SCHEMA {schema}"
    return [
        f"REVOKE CREATE ON SCHEMA {schema} FROM PUBLIC",
        f"REVOKE CREATE ON SCHEMA {schema} FROM {name}",
        f"GRANT USAGE ON SCHEMA {schema} TO {name}",
        f"REVOKE ALL ON {every} FROM PUBLIC",
        f"REVOKE ALL ON {every} FROM {name}",
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON {every} TO {name}",
        f"REVOKE UPDATE, DELETE ON {closed} FROM {name}",
        f"REVOKE INSERT, UPDATE, DELETE ON {read} FROM {name}",
        f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {name}",
        # Tables of a later upgrade, until its own grants: they can be read and added to.
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT, INSERT ON TABLES TO {name}",
        f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT USAGE, SELECT ON SEQUENCES TO {name}",
    ]


def _tables(connection: Connection, condition: str) -> list[str]:
    query = text(
        "SELECT c.relname FROM pg_class c WHERE c.relnamespace = current_schema()::regnamespace "  # noqa: S608
        f"AND c.relname = ANY(:tables) AND {condition} ORDER BY 1"
    )
    return list(connection.scalars(query, {"tables": list(APPEND_ONLY)}))
