"""Making a backup: dump, counts, configuration, manifest, read back, renamed, noted in the database."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine, func, inspect, select, table, text
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError

from app.backup import postgres, sqlite
from app.backup.archive import (
    CONFIG,
    MANIFEST,
    BackupFailed,
    Manifest,
    check_parts,
    new_backup_no,
    new_folder,
    part_of,
    read_manifest,
    remove_old,
    write_text,
)
from app.backup.postgres import Programs
from app.config import Config
from models.clock import Clock
from models.db.engine import Database
from models.recovery import BackupRun

# Tables whose rows are counted: money, and what explains it.
COUNTED = (
    "orders",
    "payment_attempt",
    "payment_fact",
    "credit",
    "allocation",
    "refund",
    "payout",
    "payout_part",
    "swap_intent",
    "account",
    "ledger_entry",
    "ledger_posting",
    "purchase",
    "counter_booking",
    "journal",
    "journal_seal",
    "review_item",
    "outbox",
)


@dataclass(frozen=True)
class Made:
    """A complete backup: its folder, and old ones that were removed for it."""

    folder: Path
    manifest: Manifest
    removed: list[Path]


def make_backup(config: Config, *, clock: Clock, parent: Path | None = None) -> Made:
    """Back up the configured database into a new folder below `parent`, or below `[backup] dir`.

    Raises: BackupFailed - nothing is left behind then.
    """
    database = Database(config.database.url)
    try:
        return _make(config, database, clock, parent or config.backup.dir)
    except SQLAlchemyError as error:
        raise BackupFailed(f"数据库无法读取：{_first_line(error)}") from None
    finally:
        database.dispose()


def _make(config: Config, database: Database, clock: Clock, parent: Path) -> Made:
    started_at = clock()
    backup_no = new_backup_no(started_at)
    with new_folder(parent, backup_no) as folder:
        facts = _facts(config, database, folder)
        write_text(folder / CONFIG, config_without_secrets(config))
        manifest = Manifest(
            backup_no=backup_no,
            started_at=started_at,
            finished_at=clock(),
            application=version("campusnet"),
            dialect=database.dialect,
            parts={path.name: part_of(path) for path in sorted(folder.iterdir())},
            **facts,
        )
        write_text(folder / MANIFEST, manifest.as_json())
        check_parts(folder, read_manifest(folder))
    final = parent / backup_no
    with database.transaction() as session:
        session.add(
            BackupRun(
                backup_no=backup_no,
                started_at=started_at,
                verified_at=clock(),
                size_bytes=sum(part.size_bytes for part in manifest.parts.values()),
                manifest_sha256=part_of(final / MANIFEST).sha256,
            )
        )
    return Made(final, manifest, remove_old(parent, final, config.backup.keep, clock()))


def _facts(config: Config, database: Database, folder: Path) -> dict[str, Any]:
    """Write the database into the folder. Returns: what the manifest says about it."""
    if database.dialect == "postgresql":
        return _dump(config, folder)
    return _copy(config, folder)


@contextmanager
def _as_owner(config: Config) -> Iterator[Database]:
    database = Database(owner_url(config))
    try:
        yield database
    finally:
        database.dispose()


def _dump(config: Config, folder: Path) -> dict[str, Any]:
    programs = Programs(config.backup.pg_dump, owner_url(config))
    with _as_owner(config) as owner, postgres.snapshot(owner) as (connection, name):
        major = postgres.server_major(connection)
        client = postgres.check_version(programs, programs.pg_dump, major)
        postgres.check_version(programs, programs.pg_restore, major)
        facts = facts_of(connection) | {
            "server": f"PostgreSQL {connection.execute(text('SHOW server_version')).scalar_one()}",
            "client": client,
        }
        postgres.dump(programs, name, folder)
    postgres.read_back(programs, folder)
    return facts


def _copy(config: Config, folder: Path) -> dict[str, Any]:
    sqlite.copy(config.database.url, folder)
    engine = create_engine(URL.create("sqlite", database=str(folder / sqlite.COPY)))
    try:
        with engine.connect() as connection:
            release = connection.execute(text("SELECT sqlite_version()")).scalar_one()
            return facts_of(connection) | {"server": f"SQLite {release}", "client": f"SQLite {release}"}
    finally:
        engine.dispose()


def facts_of(connection: Connection) -> dict[str, Any]:
    """Return revision and row counts of a database. Raises: BackupFailed - it was never upgraded."""
    revision = MigrationContext.configure(connection).get_current_revision()
    if revision is None:
        raise BackupFailed("数据库中没有 campusnet 的数据表")
    return {"schema_revision": revision, "counts": counts_of(connection)}


def counts_of(connection: Connection) -> dict[str, int]:
    """Return how many rows the tables about money have."""
    there = set(inspect(connection).get_table_names())
    return {
        name: connection.execute(select(func.count()).select_from(table(name))).scalar_one()
        for name in COUNTED
        if name in there
    }


def config_without_secrets(config: Config) -> str:
    """Return the settings as JSON, secrets and the passwords of addresses masked."""
    return json.dumps(_masked(config.model_dump(mode="json")), ensure_ascii=False, indent=1) + "\n"


def _masked(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _masked(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_masked(one) for one in value]
    return _without_password(value) if isinstance(value, str) and "://" in value else value


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    if parts.password is None and "password" not in parts.query:
        return url
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"***@{host}", query="").geturl()


def owner_url(config: Config) -> str:
    """Return the address that may read and make every table: the owner's, where it has a role of its own."""
    return config.database.owner_url or config.database.url


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200]
