"""Imports of accounts: who ran them, who approved them, and that every fen of them is accounted for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from app.cli import main
from billing.embedded import importing, ledger, seed
from billing.embedded.importing import ImportRules, import_accounts
from models.account_import import AccountImport, AccountImportRow, ImportStatus
from models.db.engine import Database
from models.errors import Refused
from models.journal import JournalRow
from models.ledger import Account, Entry, Posting
from models.values.actor import Actor
from sandbox.credentials import Credentials
from tests.rig import make_config, toml

NOW = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
ANNA, BERT = Actor.from_name("anna"), Actor.from_name("bert")
HEADER = "学号,姓名,类别,余额"
RULES = ImportRules(max_balance_fen=100_000, approve_above_fen=5_000)
SMALL = ("2400101001,李小明,undergraduate,20.00", "2400101002,王芳,staff,0")
LARGE = ("2400101003,周建国,staff,50.01",)


@pytest.fixture
def database(any_database: Database) -> Database:
    with any_database.transaction() as session:
        seed.seed_catalogue(session)
    return any_database


def write(folder: Path, rows: Sequence[str], name: str = "accounts.csv", header: str = HEADER) -> Path:
    path = folder / name
    path.write_text("\r\n".join([header, *rows, ""]), encoding="utf-8")
    return path


def run(database: Database, path: Path, *, actor: Actor = ANNA, now: datetime = NOW) -> importing.Report:
    return import_accounts(database, path, actor=actor, now=now, rules=RULES)


def journal(database: Database) -> list[tuple[str, str, int | None]]:
    with database.reading() as session:
        rows = session.scalars(select(JournalRow).order_by(JournalRow.id))
        return [(row.what, row.actor, row.facts.get("amount_fen")) for row in rows]


def balances(database: Database) -> dict[str, int]:
    with database.reading() as session:
        return dict(session.execute(select(Account.account_no, Account.balance_fen)).all())


def check_openings(database: Database) -> None:
    """Every opening entry belongs to one row of one import, with its amount, and the totals are theirs."""
    with database.reading() as session:
        entries = {
            entry_id: (book, fen)
            for entry_id, book, fen in session.execute(
                select(Entry.id, Posting.book, Posting.amount_fen)
                .join(Posting, Posting.entry_id == Entry.id)
                .where(Entry.kind == seed.OPENING, Posting.book != seed.OPENING_BOOK)
            )
        }
        rows = session.scalars(select(AccountImportRow).where(AccountImportRow.entry_id.is_not(None))).all()
        assert {row.entry_id: (f"account:{row.account_no}", row.balance_fen) for row in rows} == entries
        for done in session.scalars(
            select(AccountImport).where(AccountImport.status == ImportStatus.APPLIED)
        ):
            opened = select(func.count(), func.sum(AccountImportRow.balance_fen)).where(
                AccountImportRow.import_id == done.id, AccountImportRow.opened_at.is_not(None)
            )
            assert session.execute(opened).one() == (done.rows, done.total_fen)
        assert ledger.wrong_balances(session) == []


def test_a_small_import_records_who_ran_it(database: Database, tmp_path: Path) -> None:
    report = run(database, write(tmp_path, SMALL))
    assert (report.opened, report.balance_fen, report.needs_approval) == (2, 2000, False)
    assert journal(database) == [("import-prepared", "anna", 2000), ("import-applied", "anna", 2000)]
    (done,) = importing.imports(database)
    assert (done.status, done.prepared_by, done.approved_by, done.total_fen) == (
        "APPLIED",
        "anna",
        None,
        2000,
    )
    check_openings(database)


def test_a_large_import_opens_nothing_before_another_operator_approves(
    database: Database, tmp_path: Path
) -> None:
    path = write(tmp_path, LARGE)
    report = run(database, path)
    assert (report.needs_approval, report.opened, balances(database)) == (True, 1, {})
    import_id = report.import_id or 0
    # Again, by anyone: the same import still waits, and there is no second one.
    assert run(database, path, actor=BERT).import_id == import_id
    assert balances(database) == {}
    for same in ("anna", "Anna", "ａｎｎａ", "anna\u200b", "an na"):
        with pytest.raises(Refused):
            importing.approve(database, import_id, actor=Actor.from_name(same), now=NOW, rules=RULES)
    with pytest.raises(Refused):
        importing.approve(database, import_id, actor=Actor.system(), now=NOW, rules=RULES)
    assert balances(database) == {}
    assert importing.approve(database, import_id, actor=BERT, now=NOW, rules=RULES).opened == 1
    assert balances(database) == {"2400101003": 5001}
    (done,) = importing.imports(database)
    assert (done.prepared_by, done.approved_by, done.status) == ("anna", "bert", "APPLIED")
    assert [what for what, *_ in journal(database)] == [
        "import-prepared",
        "import-approved",
        "import-applied",
    ]
    with pytest.raises(importing.NoSuchImport):
        importing.approve(database, import_id, actor=BERT, now=NOW, rules=RULES)
    assert run(database, path).known == 1
    check_openings(database)


def test_many_small_imports_are_one_large_one(database: Database, tmp_path: Path) -> None:
    first = write(tmp_path, ["2400101011,李,staff,30.00"], "one.csv")
    second = write(tmp_path, ["2400101012,王,staff,20.01"], "two.csv")
    assert not run(database, first).needs_approval
    assert run(database, second).needs_approval
    assert "2400101012" not in balances(database)
    # A month later the first one counts no more.
    later = run(database, second, now=NOW + timedelta(days=31))
    assert (later.needs_approval, later.opened) == (False, 1)
    check_openings(database)


def test_an_import_that_was_given_up_opens_nothing(database: Database, tmp_path: Path) -> None:
    import_id = run(database, write(tmp_path, LARGE)).import_id or 0
    importing.withdraw(database, import_id, actor=ANNA, now=NOW)
    with pytest.raises(importing.NoSuchImport):
        importing.approve(database, import_id, actor=BERT, now=NOW, rules=RULES)
    assert balances(database) == {}


def test_what_was_opened_before_the_approval_is_an_error_and_not_opened_twice(
    database: Database, tmp_path: Path
) -> None:
    import_id = run(database, write(tmp_path, [*LARGE, "t1,赵,staff,1"])).import_id or 0
    run(database, write(tmp_path, ["T1,赵,staff,2"], "other.csv"))
    report = importing.approve(database, import_id, actor=BERT, now=NOW, rules=RULES)
    assert (report.opened, report.faulty, report.faults[0].startswith("第 3 行")) == (1, 1, True)
    assert balances(database) == {"2400101003": 5001, "T1": 200}
    (done, *_) = [row for row in importing.imports(database) if row.id == import_id]
    assert (done.status, done.rows, done.total_fen) == ("APPLIED", 1, 5001)
    check_openings(database)


@pytest.mark.parametrize(
    "row",
    [
        'ZZ000001,张三,staff,"1000000"',
        'ZZ000001,张三,staff,"20,00"',
        "ZZ000001,张三,staff,1e3",
        "ZZ000001,张三,staff,1_000",
        "ZZ000001,张三,staff,(20)",
        "2.4001E+11,张三,staff,0",
        "2400101001@elsewhere,张三,staff,0",
        "ZZ000001,张?,staff,0",
    ],
)
def test_a_row_that_is_not_certain_stops_the_whole_table(
    database: Database, tmp_path: Path, row: str
) -> None:
    """No money is made by a comma, an exponent or a balance above the bound."""
    report = run(database, write(tmp_path, [*SMALL, row]))
    assert (report.faulty, report.faults[0].startswith("第 4 行")) == (1, True)
    assert (balances(database), journal(database), importing.imports(database)) == ({}, [], [])


def test_spreadsheet_spellings_open_the_number_inside(database: Database, tmp_path: Path) -> None:
    rows = [
        "2400101011.0,李,staff,0",
        '"=""2400101013""",王,staff,0',
        "'2400101014,周,staff,0",
        "2400101015@cmcc,吴,staff,0",
    ]
    assert run(database, write(tmp_path, rows)).opened == 4
    assert sorted(balances(database)) == ["2400101011", "2400101013", "2400101014", "2400101015"]
    # The same accounts in other spellings are there already.
    again = run(
        database, write(tmp_path, [row.replace("24001010", "２４００１０１０") for row in rows], "again.csv")
    )
    assert (again.known, again.opened) == (4, 0)
    twice = run(database, write(tmp_path, ["T9,李,staff,0", "t9,李,staff,0"], "twice.csv"))
    assert (twice.faulty, "T9" in balances(database)) == (1, False)


AMOUNTS = st.sampled_from(["0", "1", "20.00", "￥5", "20,00", "1e3", "-1", "1,000.00", "1000.01", "", "0.5"])
ACCOUNTS = st.sampled_from(
    ["24001", "24002", "24003.0", "２４００４", "2.4E+5", "b1", "B1", "b2@cmcc", "x y", ""]
)
PERSONS = st.sampled_from(["李", "王\U0002ec0b", "", "张?"])


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=40)
@given(st.lists(st.tuples(ACCOUNTS, PERSONS, AMOUNTS), min_size=1, max_size=8))
def test_any_table_opens_the_sum_of_its_rows_or_names_each_other_row(
    sqlite_database: Database, tmp_path: Path, rows: list[tuple[str, str, str]]
) -> None:
    before = balances(sqlite_database)
    path = write(tmp_path, [f'{account},{name},staff,"{amount}"' for account, name, amount in rows])
    rules = ImportRules(max_balance_fen=100_000, approve_above_fen=10**10)
    report = import_accounts(sqlite_database, path, actor=ANNA, now=NOW, rules=rules)
    after = balances(sqlite_database)
    lines = [int(fault.split()[1]) for fault in report.faults]
    assert len(lines) == len(set(lines)) == report.faulty
    assert report.opened + report.known + report.faulty == len(rows)
    if report.faulty:
        assert after == before
    else:
        assert sum(after.values()) - sum(before.values()) == report.balance_fen
        assert len(after) - len(before) == report.opened
    check_openings(sqlite_database)


def test_the_command_prepares_and_another_operator_approves(
    sqlite_database: Database, tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CAMPUSNET_IMPORT__APPROVE_ABOVE_FEN", "5000")
    made = make_config(
        tmp_path,
        credentials,
        site="http://127.0.0.1:9",
        platform="http://127.0.0.1:9",
        database_url=sqlite_database.url,
        redis_url="redis://127.0.0.1:1/0",
    )
    config = str(toml(made, tmp_path))

    def campusnet(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(main, ["import", *arguments, "--config", config])
        return done.exit_code, done.output

    code, output = campusnet(str(write(tmp_path, LARGE)), "--by", "张三")
    assert (code, "尚未开户" in output) == (0, True)
    assert "待批准" in campusnet("list")[1]
    assert campusnet("approve", "1", "--by", "张 三")[0] == 1
    assert campusnet("approve", "1", "--by", "李四")[1].startswith("开户 1，期初余额合计 50.01 元")
    assert "李四" in campusnet("list")[1]
    assert campusnet(str(tmp_path / "accounts.csv"))[0] == 2
