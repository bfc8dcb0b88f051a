"""`campusnet doctor`: what is wrong is named, and nothing else stops it."""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from app import config as configuration
from app import setup_file
from app.cli import main
from app.doctor import examine
from app.doctor_finding import Finding
from app.metrics import HouseCollector
from bot.redis_gate import connect
from bot.replies import ReplyStore
from models.clock import utc_now
from models.db.engine import Database
from models.recovery import BackupRun, last_verified_at
from payments.audit.keys import new_key
from payments.recovery.opening import open_recovery
from tests.bot.bot_servers import RedisServer


def found(path: Path) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(path)}


def test_each_part_is_looked_at_whatever_is_wrong_with_the_others(path: Path) -> None:
    well = {name: finding.well for name, finding in found(path).items()}
    assert well == {
        "configuration": True, "private files": True, "keys": True, "database": True, "books": True,
        "accounts": True, "backup": True, "recovery": True, "redis": False, "wechat": False,
        "wechatpay": False, "identity": True, "journal": True, "anchors": True, "role": True,
    }  # fmt: skip
    assert all(finding.well or finding.remedy for finding in found(path).values())
    # Neither key nor anchors: the installation works, and is told what to do.
    assert {name for name, finding in found(path).items() if finding.warning} == {"journal", "anchors"}


def test_a_balance_that_is_not_the_sum_of_its_entries_is_found(path: Path, database_url: str) -> None:
    database = Database(database_url)
    with database.transaction() as session:
        session.execute(
            text(
                "INSERT INTO account (account_no, name, kind, department, active, balance_fen, created_at) "
                "VALUES ('2400101009', '李小明', 'undergraduate', '', 1, 500, '2026-03-10 00:00:00.000000')"
            )
        )
    database.dispose()
    books = found(path)["books"]
    assert not books.well
    assert "2400101009" in books.detail


def test_accounts_that_become_equal_are_listed_by_upgrade_and_doctor(path: Path, database_url: str) -> None:
    database = Database(database_url)
    with database.transaction() as session:
        session.execute(
            text(
                "INSERT INTO account (account_no, name, kind, department, active, balance_fen, created_at) "
                "VALUES ('B1', '李', 'staff', '', 1, 0, '2026-03-10 00:00:00.000000'), "
                "('b1', '王', 'staff', '', 1, 0, '2026-03-10 00:00:00.000000')"
            )
        )
    done = CliRunner().invoke(main, ["db", "upgrade", "--config", str(path)])
    assert (done.exit_code, "B1、b1" in done.output) == (0, True)
    finding = found(path)["accounts"]
    assert (finding.well, "B1、b1" in finding.detail) == (False, True)
    with database.reading() as session:
        assert (
            len(session.execute(text("SELECT account_no FROM account WHERE lower(account_no) = 'b1'")).all())
            == 2
        )
    database.dispose()


def test_an_old_backup_and_an_unfinished_recovery_are_found(path: Path, database_url: str) -> None:
    database = Database(database_url)
    now = utc_now()
    with database.transaction() as session:
        session.add(
            BackupRun(
                backup_no="b1",
                started_at=now - timedelta(hours=27),
                verified_at=now,
                size_bytes=1,
                manifest_sha256="0" * 64,
            )
        )
        open_recovery(session, since=now, backup_no="b1", actor="anna", now=now)
    with database.reading() as session:
        assert last_verified_at(session) == now - timedelta(hours=27)
    collector = HouseCollector(database, lambda: now)
    ages = [s.value for m in collector.collect() for s in m.samples if s.name.endswith("backup_age_seconds")]
    database.dispose()
    assert ages == [27 * 3600]
    findings = found(path)
    assert not findings["backup"].well
    assert "27 hours" in findings["backup"].detail
    assert not findings["recovery"].well


@pytest.mark.parametrize("mode", [0o604, 0o644, 0o602, 0o666, 0o601])
@pytest.mark.parametrize("name", ["config.toml", "merchant_key_pem.pem", "app.db"])
def test_files_that_every_user_of_the_machine_can_open_are_named(path: Path, name: str, mode: int) -> None:
    file = path.parent / name
    before = file.stat().st_mode
    file.chmod(mode)
    try:
        finding = found(path)["private files"]
    finally:
        file.chmod(before)
    assert (finding.well, name in finding.detail) == (False, True)


def test_weak_settings_are_named(path: Path) -> None:
    text_before = path.read_text(encoding="utf-8")
    changed = re.sub(r"message_mode = '\w+'", "message_mode = 'plain'", text_before)
    changed = re.sub(r"(\[redis\]\nurl = )'[^']*'", r"\1'redis://10.1.2.3:6379/0'", changed)
    path.write_text(changed, encoding="utf-8")
    try:
        findings = found(path)
    finally:
        path.write_text(text_before, encoding="utf-8")
    assert not findings["message mode"].well
    assert not findings["redis password"].well


def test_a_console_that_sends_json_is_named_with_what_to_change(path: Path) -> None:
    server = RedisServer()
    text_before = path.read_text(encoding="utf-8")
    url = rf"\1'{server.url}'"
    path.write_text(re.sub(r"(\[redis\]\nurl = )'[^']*'", url, text_before), encoding="utf-8")
    try:
        assert "push format" not in found(path)
        store = ReplyStore(connect(server.url))
        store.note_json_push(int(utc_now().timestamp()))
        finding = found(path)["push format"]
        assert (finding.well, "JSON" in finding.detail, "XML" in finding.remedy) == (False, True, True)
        store.forget_json_pushes()
        assert "push format" not in found(path)
    finally:
        path.write_text(text_before, encoding="utf-8")
        server.close()


@pytest.mark.parametrize("statement", [None, "DELETE FROM alembic_version"])
def test_a_database_without_tables_is_named_and_ends_the_look(
    path: Path, database_url: str, statement: str | None
) -> None:
    if statement is None:
        (path.parent / database_url.rpartition("/")[2]).unlink()
    else:
        database = Database(database_url)
        with database.transaction() as session:
            session.execute(text(statement))
        database.dispose()
    seen = found(path)
    assert (seen["database"].well, seen["database"].remedy) == (False, "campusnet db upgrade")
    assert "accounts" not in seen


def test_a_secret_file_that_everyone_can_read_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = path.parent / "audit_key"
    secret.write_text(f"{new_key().line}\n", encoding="ascii")
    secret.chmod(0o644)
    monkeypatch.setenv("CAMPUSNET_AUDIT__KEY_FILE", "audit_key")
    assert "audit_key (0644)" in found(path)["private files"].detail


def test_an_error_of_the_configuration_shows_no_secret(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = new_key(journal_from=9)
    monkeypatch.setenv("CAMPUSNET_AUDIT__KEY", f"{first.line};{new_key().line}")
    finding = found(path)["configuration"]
    assert not finding.well
    with pytest.raises(ValueError, match="begins before") as error:
        configuration.load(path)
    assert first.secret.hex()[:12] not in finding.detail + str(error.value)


def test_a_fresh_token_is_one_that_the_console_takes(tmp_path: Path) -> None:
    setup_file.write_example(tmp_path / "config.toml")
    token = tomllib.loads((tmp_path / "config.toml").read_text(encoding="utf-8"))["wechat"]["token"]
    assert re.fullmatch("[0-9a-f]{32}", token)
