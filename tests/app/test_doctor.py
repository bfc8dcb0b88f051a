"""`campusnet doctor`: what is wrong is named, and nothing else stops it."""

from __future__ import annotations

from pathlib import Path

from click.testing import CliRunner
from sqlalchemy import text

from app.cli import main
from app.doctor import Finding, examine
from models.db.engine import Database


def found(path: Path) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(path)}


def test_each_part_is_looked_at_whatever_is_wrong_with_the_others(path: Path) -> None:
    well = {name: finding.well for name, finding in found(path).items()}
    assert well == {
        "configuration": True, "keys": True, "database": True, "books": True, "accounts": True,
        "redis": False, "wechat": False, "wechatpay": False, "identity": True,
        "journal": True, "anchors": True, "role": True,
    }  # fmt: skip
    assert all(finding.well or finding.mend for finding in found(path).values())
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
