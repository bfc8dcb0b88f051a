"""`campusnet doctor`: what is wrong is named, and nothing else stops it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from sqlalchemy import text

from app.doctor import examine
from app.doctor_finding import Finding
from models.db.engine import Database


def found(path: Path) -> dict[str, Finding]:
    return {finding.name: finding for finding in examine(path)}


def test_each_part_is_looked_at_whatever_is_wrong_with_the_others(path: Path) -> None:
    well = {name: finding.well for name, finding in found(path).items()}
    assert well == {
        "configuration": True, "private files": True, "keys": True, "database": True, "books": True,
        "redis": False, "wechat": False,
        "wechatpay": False, "identity": True,
    }  # fmt: skip
    assert all(finding.well or finding.mend for finding in found(path).values())


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
