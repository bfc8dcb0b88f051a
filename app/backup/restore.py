"""Restoring a backup: verified before, into an empty database only, verified after, then to be recovered."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import inspect, text
from sqlalchemy.exc import SQLAlchemyError

from app.backup import postgres, sqlite
from app.backup.archive import MANIFEST, BackupFailed, Manifest, check_parts, read_manifest
from app.backup.make import facts_of, owner_url
from app.backup.postgres import Programs
from app.config import Config
from billing.embedded.ledger import wrong_balances
from models import schema
from models.clock import Clock
from models.db.engine import Database
from payments.audit.invariants import check
from payments.recovery.opening import open_recovery


@dataclass(frozen=True)
class Restored:
    """What was restored; `findings` are disagreements of the books, empty when all is well."""

    manifest: Manifest
    findings: list[str]


def restore_backup(config: Config, source: Path, *, by: str, clock: Clock) -> Restored:
    """Fill the configured, empty database from a backup, and open its recovery.

    Raises: BackupFailed - the backup is damaged or of another kind, the database is not empty, or what was
        restored is not what the manifest says.
    """
    folder = source.parent if source.name == MANIFEST else source
    manifest = read_manifest(folder)
    check_parts(folder, manifest)
    database = Database(owner_url(config))
    try:
        if manifest.dialect != database.dialect:
            raise BackupFailed(f"备份来自 {manifest.dialect}，[database] url 指向 {database.dialect}")
        _check_revision(manifest)
        _check_empty(database)
        _load(config, database, folder)
        database.dispose()
        return _open(database, manifest, by=by, clock=clock)
    except SQLAlchemyError as error:
        raise BackupFailed(f"数据库无法使用：{str(error).splitlines()[0][:200]}") from None
    finally:
        database.dispose()


def _check_revision(manifest: Manifest) -> None:
    if not schema.is_known(manifest.schema_revision):
        raise BackupFailed(
            f"备份的数据表版本 {manifest.schema_revision} 无法识别："
            f"请先安装 {manifest.application} 或更新的程序"
        )


def _check_empty(database: Database) -> None:
    if database.dialect == "sqlite":
        path = sqlite.path_of(database.url)
        if not path.exists() or not path.stat().st_size:
            return
    with database.connection() as connection:
        tables = inspect(connection).get_table_names()
    if tables:
        raise BackupFailed("数据库不是空的，不能恢复：请新建一个空数据库，并在 [database] url 中指向它")


def _load(config: Config, database: Database, folder: Path) -> None:
    if database.dialect == "sqlite":
        sqlite.check(folder / sqlite.COPY)
        sqlite.load(folder, config.database.url)
        return
    programs = Programs(config.backup.pg_dump, owner_url(config))
    with database.connection() as connection:
        major = postgres.server_major(connection)
    postgres.check_version(programs, programs.pg_restore, major)
    postgres.load(programs, folder)
    # Statistics are in no dump: without them the first queries read whole tables.
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SET statement_timeout = 0"))
        connection.execute(text("ANALYZE"))


def _open(database: Database, manifest: Manifest, *, by: str, clock: Clock) -> Restored:
    with database.connection() as connection:
        if database.dialect == "postgresql":
            connection.execute(text("SET statement_timeout = 0"))
        found = facts_of(connection)
    expected = {"schema_revision": manifest.schema_revision, "counts": dict(manifest.counts)}
    if found != expected:
        raise BackupFailed("恢复后的数据与清单不一致，不能使用：请删除这个数据库后重试")
    schema.upgrade(database)
    with database.reading() as session:
        findings = [*check(session)]
        findings += [f"账户 {number} 的余额与分录不一致" for number in wrong_balances(session)]
    with database.transaction() as session:
        open_recovery(session, since=manifest.started_at, backup_no=manifest.backup_no, actor=by, now=clock())
    return Restored(manifest, findings)
