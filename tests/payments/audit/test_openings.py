"""Opening entries: each has an import behind it, and each import is the one that was journalled."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from billing.embedded import seed
from billing.embedded.importing import ImportRules, import_accounts
from models import schema
from models.audit import EVERY_ACCOUNT
from models.clock import utc_now
from models.db.engine import Database
from payments.audit.checks.finding import Finding
from payments.audit.checks.openings import check_openings
from tests.payments.audit.book_world import ACCOUNT, BookWorld
from tests.payments.audit.test_book_check import at, post
from tests.payments.refunds.refund_world import ANNA

TABLE = """学号,姓名,类别,余额
2500000001,李明,本科生,10.00
2500000002,王芳,本科生,25.50
2500000003,赵强,教工,0
"""


@pytest.fixture
def moved_in(books: BookWorld, tmp_path: Path) -> BookWorld:
    """Three accounts were imported by an operator, in production."""
    path = tmp_path / "accounts.csv"
    path.write_text(TABLE, encoding="utf-8")
    report = import_accounts(books.database, path, actor=ANNA, now=books.clock.now(), rules=ImportRules())
    assert (report.opened, report.balance_fen) == (3, 3550)
    books.seal()
    return books


def production(books: BookWorld) -> BookWorld:
    books.services = replace(books.services, audit=replace(books.services.audit, is_production=True))
    return books


def test_an_import_of_an_operator_is_sound(moved_in: BookWorld) -> None:
    assert moved_in.check() == {}


def invented(books: BookWorld) -> tuple[str, str]:
    """S8: plain inserts, no trigger dropped, no journal row."""
    post(books, f"opening:{ACCOUNT}", "opening", 100_000, "clearing:opening")
    return f"opening:{ACCOUNT}", f"100000 fen on {ACCOUNT}) belongs to no import"


def invented_with_a_row(books: BookWorld) -> tuple[str, str]:
    """The row of an import as well: the import no longer adds up."""
    invented(books)
    row_for(books, import_id=last_import(books))
    return f"import {last_import(books)}", "opened 4 accounts with 103550 fen, it says 3 with 3550 fen"


def invented_with_an_import_that_adds_up(books: BookWorld) -> tuple[str, str]:
    invented_with_a_row(books)
    with books.intruder() as raw:
        raw.execute(
            "UPDATE account_import SET rows = 4, total_fen = 103550 WHERE id = ?", (last_import(books),)
        )
    return f"import {last_import(books)}", "says 4 accounts with 103550 fen, the journal 3 with 3550 fen"


def invented_with_an_import_of_its_own(books: BookWorld) -> tuple[str, str]:
    invented(books)
    number = import_of(books, ANNA.name)
    row_for(books, import_id=number)
    return f"import {number}", "by anna has no row `import-applied` in the journal"


def amount_changed(books: BookWorld) -> tuple[str, str]:
    with books.intruder() as raw:
        for sign in (1, -1):
            raw.execute(
                "UPDATE ledger_posting SET amount_fen = ? WHERE amount_fen * ? > 0 AND entry_id = "
                "(SELECT id FROM ledger_entry WHERE key = 'opening:2500000001')",
                (sign * 900_000, sign),
            )
        raw.execute("UPDATE account SET balance_fen = 900000 WHERE account_no = '2500000001'")
    return "opening:2500000001", "is 900000 fen on 2500000001, its import says 1000 on 2500000001"


def amount_changed_everywhere(books: BookWorld) -> tuple[str, str]:
    amount_changed(books)
    with books.intruder() as raw:
        raw.execute("UPDATE account_import_row SET balance_fen = 900000 WHERE account_no = '2500000001'")
        raw.execute("UPDATE account_import SET total_fen = total_fen + 899000 WHERE prepared_by = 'anna'")
    return f"import {last_import(books)}", "the journal 3 with 3550 fen"


ATTACKS = [
    invented,
    invented_with_a_row,
    invented_with_an_import_that_adds_up,
    invented_with_an_import_of_its_own,
    amount_changed,
    amount_changed_everywhere,
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
def test_an_invented_opening_is_found_and_its_account_held(
    moved_in: BookWorld, attack: Callable[[BookWorld], tuple[str, str]]
) -> None:
    place, said = attack(moved_in)
    assert said in " ".join(at(place, "openings", moved_in.seen()))
    assert said in " ".join(at(place, "openings", moved_in.check()))
    assert {ACCOUNT, "2500000001"} & moved_in.held()
    assert EVERY_ACCOUNT not in moved_in.held()


def test_automatic_work_imports_nothing_in_production(moved_in: BookWorld) -> None:
    """An import that pretends to be older than the records of imports."""
    production(moved_in)
    assert look(moved_in) == []
    invented(moved_in)
    number = import_of(moved_in, "system")
    row_for(moved_in, import_id=number)
    found = {one.subject: one.detail for one in look(moved_in)}
    assert "was made by automatic work" in found[f"import {number}"]
    assert "1 openings of automatic work sum to 100000 fen, at the upgrade there were 0" in found["baseline"]


def test_an_opening_that_is_deleted_is_missed(moved_in: BookWorld) -> None:
    with moved_in.intruder() as raw:
        entry = "(SELECT id FROM ledger_entry WHERE key = 'opening:2500000001')"
        raw.execute(f"DELETE FROM ledger_posting WHERE entry_id = {entry}")  # noqa: S608
        raw.execute("DELETE FROM ledger_entry WHERE key = 'opening:2500000001'")
        raw.execute("UPDATE account SET balance_fen = 0 WHERE account_no = '2500000001'")
    said = "the ledger has no opening:2500000001 for 2500000001"
    assert said in moved_in.check()["entries", "opening:2500000001"]


def test_openings_from_before_imports_were_recorded_are_counted_by_the_upgrade(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'old.db'}")
    schema.upgrade(database, "0011")
    with database.transaction() as session:
        for number, fen in (("2300000001", 700), ("2300000002", 900)):
            old_account(session.connection().connection.dbapi_connection, number, fen)
    schema.upgrade(database)
    assert list(check_openings(database, is_production=True)) == []
    with database.transaction() as session:
        seed.seed_demo_accounts(session, [seed.DemoAccount("2300000003", "李", balance_fen=1)], utc_now())
    found = list(check_openings(database, is_production=True))
    assert {one.subject for one in found} == {"import 2", "baseline"}
    database.dispose()


def old_account(raw: object, number: str, fen: int) -> None:
    """An opened account as it was before the tables of imports."""
    assert isinstance(raw, sqlite3.Connection)
    at_ = "2026-01-01 00:00:00.000000"
    raw.execute("INSERT INTO account VALUES (?, '李', 'staff', '', 1, ?, ?)", (number, fen, at_))
    entry = raw.execute(
        "INSERT INTO ledger_entry (key, kind, memo, at) VALUES (?, 'opening', '', ?)",
        (f"opening:{number}", at_),
    ).lastrowid
    for book, amount in ((f"account:{number}", fen), ("clearing:opening", -fen)):
        raw.execute(
            "INSERT INTO ledger_posting (entry_id, book, amount_fen) VALUES (?, ?, ?)", (entry, book, amount)
        )


def look(books: BookWorld) -> list[Finding]:
    return list(check_openings(books.database, is_production=books.services.audit.is_production))


def last_import(books: BookWorld) -> int:
    with books.intruder() as raw:
        (number,) = raw.execute("SELECT MAX(id) FROM account_import").fetchone()
    return int(number)


def import_of(books: BookWorld, actor: str) -> int:
    with books.intruder() as raw:
        number = raw.execute(
            "INSERT INTO account_import (status, file_sha256, file_name, prepared_by, prepared_at, "
            "applied_at, rows, packages, total_fen) VALUES ('APPLIED', '', '', ?, "
            "'2026-01-01 00:00:00.000000', '2026-01-01 00:00:00.000000', 1, 0, 100000)",
            (actor,),
        ).lastrowid
    assert number is not None
    return number


def row_for(books: BookWorld, *, import_id: int) -> None:
    with books.intruder() as raw:
        raw.execute(
            "INSERT INTO account_import_row (import_id, line_no, account_no, name, kind, department, "
            "balance_fen, left_bytes, entry_id, opened_at) SELECT ?, 9, ?, '', '', '', 100000, 0, id, at "
            "FROM ledger_entry WHERE key = ?",
            (import_id, ACCOUNT, f"opening:{ACCOUNT}"),
        )
