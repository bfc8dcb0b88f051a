"""The tables as one whole: bring a database to the newest revision, take it back, or say where it stands."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from models import (
    account_closing,
    account_import,
    accounting,
    adjustment,
    alert,
    allocation,
    audit,
    counter,
    journal,
    ledger,
    notice,
    order,
    outbox,
    package,
    payout,
    person,
    recovery,
    refund,
    review,
    schedule,
    statement,
    swap,
    usage,
    write_off,
)
from models.base import Base
from models.db import postgres, state
from models.db.engine import Database
from models.people import login_session

# Every module with tables; tests/models/test_schema.py fails when one is missing here.
TABLE_MODULES = (
    account_closing,
    account_import,
    accounting,
    adjustment,
    alert,
    allocation,
    audit,
    counter,
    journal,
    ledger,
    login_session,
    login_session,
    notice,
    order,
    outbox,
    package,
    payout,
    person,
    recovery,
    refund,
    review,
    schedule,
    state,
    statement,
    swap,
    usage,
    write_off,
)
METADATA = Base.metadata

# An arbitrary constant: two processes that start together upgrade one after the other.
_UPGRADE_LOCK = 4_657_011


class SchemaMismatch(Exception):
    """The database is not at the revision this code was written for; run `campusnet db upgrade`."""

    def __init__(self, found: str | None, wanted: str) -> None:
        super().__init__(f"database is at revision {found}, this code needs {wanted}")
        self.found = found
        self.wanted = wanted


def upgrade(database: Database, to: str = "head") -> None:
    """Bring the tables forward, all in one transaction; nothing happens when they are there already."""
    with _migrating(database) as (connection, config):
        config.attributes["connection"] = connection
        command.upgrade(config, to)


def downgrade(database: Database, to: str) -> None:
    """Take the tables back to a revision, `base` for none at all. Their data is lost."""
    with _migrating(database) as (connection, config):
        config.attributes["connection"] = connection
        command.downgrade(config, to)


def current(database: Database) -> str | None:
    """The revision the database is at, None when it was never upgraded."""
    with database.connection() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def newest() -> str:
    """The revision this code was written for."""
    head = ScriptDirectory.from_config(_config()).get_current_head()
    if head is None:
        raise LookupError("no migrations were installed")
    return head


def is_known(revision: str) -> bool:
    """Return True if this code can upgrade a database from that revision."""
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    return revision in known


def check(database: Database) -> None:
    """Return when the database is at the newest revision. Raises: SchemaMismatch."""
    found, wanted = current(database), newest()
    if found != wanted:
        raise SchemaMismatch(found, wanted)


def _config() -> Config:
    config = Config()
    # A percent sign in the path would be read as interpolation.
    folder = str(Path(__file__).parent / "migrations").replace("%", "%%")
    config.set_main_option("script_location", folder)
    return config


@contextmanager
def _migrating(database: Database) -> Iterator[tuple[Connection, Config]]:
    with database.engine.connect() as connection, _keys_unchecked(connection), connection.begin():
        if database.dialect != "postgresql":
            yield connection, _config()
            return
        with postgres.unlimited(connection):
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _UPGRADE_LOCK})
            yield connection, _config()


@contextmanager
def _keys_unchecked(connection: Connection) -> Iterator[None]:
    # Rebuilding a table on SQLite drops the old one; with foreign keys checked that would delete
    # or refuse the rows that point to it. The switch only works outside a transaction.
    if connection.dialect.name != "sqlite":
        yield
        return
    raw = connection.connection.cursor()
    raw.execute("PRAGMA foreign_keys=OFF")
    try:
        yield
    finally:
        raw.execute("PRAGMA foreign_keys=ON")
        raw.close()
