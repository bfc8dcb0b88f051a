"""Commands, jobs, metrics and doctor around the checks of the books."""

from __future__ import annotations

import re
import stat
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import select, text

from app import wiring
from app.cli import main
from app.doctor import examine
from app.doctor_finding import Finding
from app.metrics import HouseCollector
from app.opening import open_config
from models.clock import utc_now
from models.db.engine import Database
from models.journal import JournalSeal, note
from payments.audit import anchor, hash_chain
from payments.audit.keys import AuditKeys
from payments.periodic import run_due


def run(path: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, [*arguments, "--config", str(path)])


def found(path: Path) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(path)}


def add_key(path: Path) -> Result:
    """As an operator does it, the line for the configuration included."""
    done = CliRunner().invoke(main, ["init", "--audit-key", "--to", str(path)])
    line = re.search(r"^.*(key_file = \S+)$", done.output, re.MULTILINE)
    if line is not None:
        written = path.read_text(encoding="utf-8")
        path.write_text(written.replace("[audit]\nkey = ''", f"[audit]\n{line[1]}"), encoding="utf-8")
    return done


def spoil(url: str) -> None:
    database = Database(url)
    with database.transaction() as session:
        session.execute(
            text(
                "INSERT INTO account (account_no, name, kind, department, active, balance_fen, created_at) "
                "VALUES ('2400101009', '李小明', 'undergraduate', '', 1, 500, '2026-03-10 00:00:00.000000')"
            )
        )
    database.dispose()


def test_init_makes_a_key_that_only_its_owner_can_read(tmp_path: Path) -> None:
    target = tmp_path / "config.toml"
    assert CliRunner().invoke(main, ["init", "--to", str(target)]).exit_code == 0
    key_file = tmp_path / "audit_key"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert tomllib.loads(target.read_text(encoding="utf-8"))["audit"]["key_file"] == key_file.name
    (key,) = AuditKeys.parse(key_file.read_text(encoding="ascii")).keys
    assert (key.journal_from, key.ledger_from) == (1, 1)
    target.unlink()
    # A key is never overwritten.
    assert CliRunner().invoke(main, ["init", "--to", str(target)]).exit_code == 1
    assert AuditKeys.parse(key_file.read_text(encoding="ascii")).keys == (key,)


def test_a_running_installation_gets_its_first_key_and_later_another_one(
    path: Path, database_url: str
) -> None:
    house = wiring.build(open_config(path))
    with house.database.transaction() as session:
        note(session, "test", order_no=None, actor="test", now=utc_now())
    hash_chain.seal(house.web)
    house.close()
    assert found(path)["journal"].warning
    assert "restart web and workers" in add_key(path).output
    assert stat.S_IMODE((path.parent / "audit_key").stat().st_mode) == 0o600
    assert (found(path)["journal"].well, found(path)["journal"].warning) == (True, False)
    assert "key_file" not in add_key(path).output
    assert found(path)["journal"].well
    database = Database(database_url)
    with database.reading() as session:
        sealed_with = list(session.scalars(select(JournalSeal.key_id).order_by(JournalSeal.position)))
    database.dispose()
    keys = AuditKeys.parse((path.parent / "audit_key").read_text(encoding="ascii"))
    assert sealed_with == [None, *(key.key_id for key in keys.keys)]


def test_a_lost_key_is_said_so_before_another_one_begins(path: Path) -> None:
    add_key(path)
    written = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r"key_file = '?\"?audit_key'?\"?", "key = ''", written), encoding="utf-8")
    (path.parent / "audit_key").rename(path.parent / "gone")
    done = CliRunner().invoke(main, ["init", "--audit-key", "--to", str(path)])
    assert (done.exit_code, "--lost-key" in done.output) == (1, True)
    assert not (path.parent / "audit_key").exists()
    assert CliRunner().invoke(main, ["init", "--audit-key", "--lost-key", "--to", str(path)]).exit_code == 0


def test_the_nightly_job_is_among_the_jobs_of_a_worker(path: Path, database_url: str) -> None:
    spoil(database_url)
    now = [utc_now()]
    house = wiring.build(open_config(path), clock=lambda: now[0])
    run_due(house.web, house.periodic)
    now[0] += timedelta(days=1, minutes=1)
    run_due(house.web, {"book-check": house.periodic["book-check"]})
    metrics = {
        (sample.name, sample.labels.get("check", "")): sample.value
        for family in HouseCollector(house.database, house.web.clock).collect()
        for sample in family.samples
    }
    house.close()
    assert metrics["campusnet_book_check_failures", "all"] == 1
    assert metrics["campusnet_book_check_failures", "balances"] == 1
    assert metrics["campusnet_book_check_age_seconds", ""] == 0
    assert metrics["campusnet_accounts_held", ""] == 1


def test_doctor_names_the_place_and_holds_nothing(path: Path, database_url: str) -> None:
    spoil(database_url)
    books = found(path)["books"]
    assert not books.well
    assert "the balance of 2400101009 is 500 fen, its entries sum to 0" in books.detail
    assert "release-hold" in books.remedy
    database = Database(database_url)
    with database.reading() as session:
        assert session.scalar(text("SELECT COUNT(*) FROM account_hold")) == 0
    database.dispose()


def test_the_command_checks_now_with_the_consequences(path: Path, database_url: str) -> None:
    assert run(path, "doctor", "--books").output == "accounts held: 0\n"
    spoil(database_url)
    done = run(path, "doctor", "--books")
    assert (done.exit_code, "✗ balances: 1\naccounts held: 1\n" in done.output) == (1, True)


def test_anchors_that_were_kept_elsewhere_are_compared(path: Path, tmp_path: Path) -> None:
    saved = tmp_path / "mailbox"
    line = anchor.Anchor(utc_now(), "host", anchor.Head(7, "a" * 64), anchor.Head()).text(None)
    saved.write_text(f"Subject: campusnet\n\n{line}\n", encoding="utf-8")
    done = run(path, "doctor", "--anchors", str(saved))
    assert "✗ anchors: the journal no longer has seal 7" in done.output
    assert run(path, "doctor", "--books", "--anchors", str(saved)).exit_code == 1


@pytest.mark.parametrize("key", ["short", "k1 zz 1 1"])
def test_a_key_that_is_none_stops_the_start(path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    monkeypatch.setenv("CAMPUSNET_AUDIT__KEY", key)
    done = run(path, "doctor", "--books")
    assert (done.exit_code, "audit.key" in done.output) == (1, True)
    assert key not in done.output


def test_the_key_may_come_from_the_environment(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMPUSNET_AUDIT__KEY", f"k1 {'ab' * 32} 1 1;k2 {'cd' * 32} 9 2")
    house = wiring.build(open_config(path))
    assert [key.key_id for key in house.web.audit.keys.keys] == ["k1", "k2"]
    assert "ab" * 32 not in repr(house.config)
    house.close()
