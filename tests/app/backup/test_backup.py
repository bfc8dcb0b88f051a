"""`campusnet backup` and `campusnet restore`: verified, private, and nothing half-done."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import func, select

from app.backup import postgres
from app.backup.archive import BackupFailed, backups_in, read_manifest
from app.backup.make import make_backup
from app.backup.postgres import Programs
from app.cli import main
from models import schema
from models.clock import utc_now
from models.db.engine import Database
from models.ledger import Account
from models.recovery import BackupRun, Recovery, RecoveryStatus
from tests.app.backup.conftest import PASSWORD, Installation, programs

ON_POSTGRES = pytest.mark.parametrize(
    "installed", [pytest.param("postgresql", marks=pytest.mark.postgres)], indirect=True
)


def run(*words: str | Path) -> Result:
    return CliRunner().invoke(main, [str(word) for word in words])


def backed_up(installed: Installation) -> Path:
    told = run("backup", "--config", installed.path)
    assert told.exit_code == 0, told.output
    return backups_in(installed.config.backup.dir)[-1]


def restored(installed: Installation, folder: Path) -> Result:
    return run("restore", "--config", installed.on_empty(), "--by", "anna", folder)


def one_line(told: Result) -> str:
    """The error, which is one line and no traceback."""
    assert told.exit_code == 1, told.output
    assert isinstance(told.exception, SystemExit), told.exception
    lines = told.output.strip().splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def test_a_backup_is_restored_into_an_empty_database_and_waits_for_recovery(installed: Installation) -> None:
    folder = backed_up(installed)
    told = restored(installed, folder)
    assert told.exit_code == 0, told.output
    database = Database(installed.empty_url)
    schema.check(database)
    with database.reading() as session:
        assert session.get_one(Account, "2400101001").balance_fen == 1234
        (recovery,) = session.scalars(select(Recovery))
        assert recovery.status == RecoveryStatus.OPEN
        assert recovery.backup_no == folder.name
        assert recovery.since == read_manifest(folder).started_at
    database.dispose()


def test_a_verified_backup_is_noted_where_doctor_and_metrics_look(installed: Installation) -> None:
    folder = backed_up(installed)
    database = Database(installed.config.database.url)
    with database.reading() as session:
        (noted,) = session.scalars(select(BackupRun))
    database.dispose()
    assert noted.backup_no == folder.name
    assert noted.started_at == read_manifest(folder).started_at


@pytest.mark.usefixtures("open_umask")
def test_only_the_owner_can_read_it_and_no_secret_is_in_it(installed: Installation) -> None:
    folder = backed_up(installed)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    config = installed.config
    secrets = [
        config.site.secret_key.get_secret_value(),
        config.wechat.app_secret.get_secret_value(),
        config.pay.api_v3_key.get_secret_value(),
        "redis-password",
        PASSWORD,
    ]
    settings = (folder / "config.json").read_text(encoding="utf-8")
    assert json.loads(settings)["pay"]["mch_id"] == config.pay.mch_id
    for path in folder.iterdir():
        content = path.read_bytes()
        assert not [secret for secret in secrets if secret.encode() in content], path


def test_a_database_that_is_not_empty_is_left_alone(installed: Installation) -> None:
    folder = backed_up(installed)
    told = run("restore", "--config", installed.path, "--by", "anna", folder)
    assert "不是空的" in one_line(told)


@pytest.mark.parametrize("name", ["database", "config.json", "manifest.json"])
def test_a_changed_file_is_refused_before_anything_is_touched(installed: Installation, name: str) -> None:
    folder = backed_up(installed)
    path = next(path for path in folder.iterdir() if path.name.startswith(name))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    told = one_line(restored(installed, folder))
    assert "SHA-256" in told or "清单" in told
    _check_untouched(installed)


def test_a_missing_file_is_refused(installed: Installation) -> None:
    folder = backed_up(installed)
    (folder / "config.json").unlink()
    assert "无法读取" in one_line(restored(installed, folder))
    assert "无法读取" in one_line(restored(installed, folder / "nowhere"))
    _check_untouched(installed)


def test_a_backup_of_a_newer_program_is_refused(installed: Installation) -> None:
    folder = backed_up(installed)
    _edit(folder, schema_revision="9999")
    assert "无法识别" in one_line(restored(installed, folder))
    _check_untouched(installed)


def test_what_was_restored_is_counted(installed: Installation) -> None:
    folder = backed_up(installed)
    counts = dict(read_manifest(folder).counts)
    _edit(folder, counts={**counts, "account": counts["account"] + 1})
    assert "与清单不一致" in one_line(restored(installed, folder))


def test_old_backups_are_removed_after_a_new_one_was_verified(installed: Installation) -> None:
    folders = [backed_up(installed) for _ in range(3)]
    assert len({folder.name for folder in folders}) == 3
    assert len(backups_in(installed.config.backup.dir)) == installed.config.backup.keep


def test_a_failed_backup_leaves_nothing_and_removes_nothing(
    installed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = {backed_up(installed), backed_up(installed)}

    def fail(*_: object) -> None:
        raise BackupFailed("磁盘已满")

    monkeypatch.setattr("app.backup.make.check_parts", fail)
    for _ in range(3):
        assert "磁盘已满" in one_line(run("backup", "--config", installed.path))
    assert set(installed.config.backup.dir.iterdir()) == folders
    database = Database(installed.config.database.url)
    with database.reading() as session:
        assert session.scalar(select(func.count()).select_from(BackupRun)) == 2
    database.dispose()


def test_a_folder_that_cannot_be_written_is_one_line(installed: Installation, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "无法写入" in one_line(run("backup", "--config", installed.path, "--to", tmp_path / "file" / "x"))


@ON_POSTGRES
def test_the_password_is_in_no_command_line(installed: Installation, tmp_path: Path) -> None:
    spy = tmp_path / "bin"
    spy.mkdir()
    for name in ("pg_dump", "pg_restore"):
        (spy / name).write_text(
            f'#!/bin/sh\necho "$0 $*" >> {tmp_path}/seen\nenv | grep -c ^PGPASSWORD= >> {tmp_path}/env\n'
            f'exec {programs().with_name(name)} "$@"\n'
        )
        (spy / name).chmod(0o755)
    section = installed.config.backup.model_copy(update={"pg_dump": str(spy / "pg_dump")})
    make_backup(installed.config.model_copy(update={"backup": section}), clock=utc_now)
    seen = (tmp_path / "seen").read_text()
    assert "--format=custom" in seen
    assert PASSWORD not in seen
    assert set((tmp_path / "env").read_text().split()) == {"1"}


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo 'pg_dump (PostgreSQL) 9.6.24'", "早于服务器"),
        ("echo 'mysqldump 8'", "不是 PostgreSQL 的程序"),
        ('[ "$1" != --version ] && { echo "no space" >&2; exit 3; }; echo "(PostgreSQL) 99.1"', "no space"),
        (None, "无法运行"),
    ],
)
@ON_POSTGRES
def test_a_program_that_cannot_be_used_is_named(
    installed: Installation, tmp_path: Path, script: str | None, words: str
) -> None:
    for name in ("pg_dump", "pg_restore"):
        if script is not None:
            (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / name).chmod(0o755)
    section = installed.config.backup.model_copy(update={"pg_dump": str(tmp_path / "pg_dump")})
    with pytest.raises(BackupFailed, match=words):
        make_backup(installed.config.model_copy(update={"backup": section}), clock=utc_now)
    assert backups_in(installed.config.backup.dir) == []


def test_pg_restore_lies_beside_pg_dump() -> None:
    assert Programs("pg_dump", "postgresql:///x").pg_restore == "pg_restore"
    assert Programs("/opt/pg/bin/pg_dump", "postgresql:///x").pg_restore == "/opt/pg/bin/pg_restore"
    found = Programs("pg_dump", "postgresql+psycopg://u:p@h:5433/d?sslmode=verify-full").environment()
    wanted = {"PGHOST": "h", "PGPORT": "5433", "PGUSER": "u", "PGPASSWORD": "p", "PGDATABASE": "d"}
    assert {**wanted, "PGSSLMODE": "verify-full"}.items() <= found.items()
    assert postgres.DUMP.endswith(".dump")


def _edit(folder: Path, **changes: object) -> None:
    path = folder / "manifest.json"
    path.write_text(json.dumps({**json.loads(path.read_text(encoding="utf-8")), **changes}), encoding="utf-8")


def _check_untouched(installed: Installation) -> None:
    database = Database(installed.empty_url)
    with database.connection() as connection:
        assert schema.current(database) is None
        assert connection is not None
    database.dispose()
