"""Moving in from a table: everything or nothing, once, in flat memory."""

from __future__ import annotations

import tracemalloc
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import func, select

from app.cli import main
from billing.embedded import importing, ledger, policies, seed
from billing.embedded.engine import EmbeddedBilling
from billing.embedded.importing import ImportRules, Report, import_accounts
from models.db.engine import Database
from models.ledger import Account, Entry, Posting
from models.package import Package, TrafficLot
from models.values.actor import Actor
from models.values.tables.errors import TableRefused
from sandbox.credentials import Credentials
from tests.billing.fixed_clock import FixedClock
from tests.rig import make_config, toml

NOW = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)
ANNA = Actor.from_name("anna")
ANY_TOTAL = ImportRules(approve_above_fen=10**10)
HEADER = "学号,姓名,类别,部门,余额,套餐,剩余流量,到期日"
LI = "2400101001,李小明,undergraduate,计算机,12.34,P10,3.50,2026-03-31"
WANG = "2400101002,王芳,staff,,0,,,"
ROWS = (LI, WANG)


@pytest.fixture
def database(any_database: Database) -> Database:
    with any_database.transaction() as session:
        seed.seed_catalogue(session)
    return any_database


@pytest.fixture
def quick(sqlite_database: Database) -> Database:
    with sqlite_database.transaction() as session:
        seed.seed_catalogue(session)
    return sqlite_database


def write(folder: Path, rows: Sequence[str], encoding: str = "utf-8", header: str = HEADER) -> Path:
    path = folder / "accounts.csv"
    path.write_bytes("\r\n".join([header, *rows, ""]).encode(encoding))
    return path


def count(database: Database, table: type[Account | Entry | Posting | TrafficLot]) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def check_books(database: Database) -> None:
    with database.reading() as session:
        assert ledger.wrong_balances(session) == []
        assert not session.scalar(select(func.sum(Posting.amount_fen)))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_accounts_balances_and_packages_move_in(database: Database, tmp_path: Path, encoding: str) -> None:
    report = import_accounts(database, write(tmp_path, ROWS, encoding), actor=ANNA, now=NOW)
    assert report == Report(opened=2, balance_fen=1234, packages=1)
    billing = EmbeddedBilling(database, FixedClock(NOW))
    assert billing.name_matches("2400101001", "李小明")
    balance = billing.balance("2400101001")
    assert balance.balance_fen == 1234
    assert balance.package is not None
    assert (balance.package.left_bytes, balance.package.name) == (3_500_000_000, "10元不限量套餐")
    # Until the end of the last day, in campus time.
    assert balance.package.ends_at == datetime(2026, 3, 31, 16, 0, tzinfo=UTC)
    assert billing.balance("2400101002").balance_fen == 0
    check_books(database)
    with database.reading() as session:
        opening = select(func.sum(Posting.amount_fen)).where(Posting.book == "clearing:opening")
        assert session.scalar(opening) == -1234


def test_a_second_run_changes_nothing_also_after_money_moved(database: Database, tmp_path: Path) -> None:
    path = write(tmp_path, ROWS)
    import_accounts(database, path, actor=ANNA, now=NOW)
    EmbeddedBilling(database, FixedClock(NOW)).credit("2400101001", 500, key="C1")
    before = [count(database, table) for table in (Account, Entry, Posting, TrafficLot)]
    assert import_accounts(database, path, actor=ANNA, now=NOW) == Report(known=2)
    assert [count(database, table) for table in (Account, Entry, Posting, TrafficLot)] == before
    check_books(database)


def test_a_dry_run_says_the_same_and_writes_nothing(quick: Database, tmp_path: Path) -> None:
    path = write(tmp_path, ROWS)
    tried = import_accounts(quick, path, actor=ANNA, now=NOW, dry_run=True)
    assert (count(quick, Account), count(quick, Entry)) == (0, 0)
    assert import_accounts(quick, path, actor=ANNA, now=NOW) == tried


@pytest.mark.parametrize(
    "row",
    [
        ",李小明,undergraduate,,0,,,",
        "24 001,李小明,undergraduate,,0,,,",
        f"{'9' * 33},李小明,undergraduate,,0,,,",
        "学号,李小明,undergraduate,,0,,,",
        "2400101009,,undergraduate,,0,,,",
        "2400101009,李小明,,,0,,,",
        f"2400101009,{'李' * 65},undergraduate,,0,,,",
        "2400101009,李\u200b明,undergraduate,,0,,,",
        "2400101009,李小明,undergraduate,,-1,,,",
        "2400101009,李小明,undergraduate,,1.234,,,",
        "2400101009,李小明,undergraduate,,,,,",
        "2400101009,李小明,undergraduate,,0,P99,1,2026-03-31",
        "2400101009,李小明,undergraduate,,0,P10,20.01,2026-03-31",
        "2400101009,李小明,undergraduate,,0,P10,0,2026-03-31",
        "2400101009,李小明,undergraduate,,0,P10,1,2026-03-09",
        "2400101009,李小明,undergraduate,,0,P10,1,31/3/2026",
        "2400101009,李小明,undergraduate,,0,P10,1,",
        "2400101009,李小明,undergraduate,,0,,1,2026-03-31",
        "2400101009",
        WANG,
        "2400101009,#REF!,undergraduate,,0,,,",
        "2400101009,-,undergraduate,,0,,,",
        "2400101009,123456,undergraduate,,0,,,",
        "-2400101009,李小明,undergraduate,,0,,,",
        "+2400101009,李小明,undergraduate,,0,,,",
    ],
)
def test_one_wrong_row_is_told_by_line_and_nothing_is_written(
    quick: Database, tmp_path: Path, row: str
) -> None:
    report = import_accounts(quick, write(tmp_path, [*ROWS, row]), actor=ANNA, now=NOW)
    assert report.faulty == 1
    assert report.faults[0].startswith("第 4 行")
    assert "李" not in report.faults[0]
    tried = import_accounts(quick, tmp_path / "accounts.csv", actor=ANNA, now=NOW, dry_run=True)
    assert tried.faults == report.faults
    assert (count(quick, Account), count(quick, Entry), count(quick, TrafficLot)) == (0, 0, 0)


@pytest.mark.parametrize("row", [LI.replace("李小明", "王小明"), LI.replace("12.34", "12.35")])
def test_an_account_that_is_there_with_other_facts_is_a_fault(
    quick: Database, tmp_path: Path, row: str
) -> None:
    import_accounts(quick, write(tmp_path, ROWS), actor=ANNA, now=NOW)
    report = import_accounts(
        quick, write(tmp_path, [row, "2400101003,张三,staff,,5,,,"]), actor=ANNA, now=NOW
    )
    assert report.faulty == 1
    assert count(quick, Account) == 2
    check_books(quick)


def test_a_run_that_was_cut_off_leaves_whole_batches_and_is_finished_by_the_next(
    quick: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"24001{number:05d},学生,undergraduate,,1.00,P05,,2026-03-31" for number in range(25)]
    path = write(tmp_path, rows)
    monkeypatch.setattr(importing, "BATCH", 10)
    written, batches = importing.open_rows, 0

    def sometimes(*arguments: Any) -> None:
        nonlocal batches
        batches += 1
        written(*arguments)
        if batches == 2:
            raise OSError("the machine is gone")

    monkeypatch.setattr(importing, "open_rows", sometimes)
    with pytest.raises(OSError, match="gone"):
        import_accounts(quick, path, actor=ANNA, now=NOW)
    assert (count(quick, Account), count(quick, Entry), count(quick, TrafficLot)) == (10, 10, 10)
    check_books(quick)
    report = import_accounts(quick, path, actor=ANNA, now=NOW)
    assert (report.opened, report.known, count(quick, TrafficLot)) == (15, 10, 25)
    check_books(quick)


def test_a_table_without_its_columns_is_refused(quick: Database, tmp_path: Path) -> None:
    with pytest.raises(TableRefused):
        import_accounts(quick, write(tmp_path, ROWS, header="a,b,c"), actor=ANNA, now=NOW)


def test_a_special_moves_in_as_one(quick: Database, tmp_path: Path) -> None:
    with quick.transaction() as session:
        session.add(
            Package(
                code="S1",
                name="特惠",
                price_fen=100,
                quota_bytes=10**9,
                validity_months=1,
                special=True,
                sale_from=NOW,
            )
        )
    import_accounts(quick, write(tmp_path, [LI.replace("P10,3.50", "S1,")]), actor=ANNA, now=NOW)
    with quick.reading() as session:
        assert session.scalars(select(TrafficLot.kind)).one() == "special"


@pytest.mark.long
@pytest.mark.parametrize(("left", "left_bytes"), [("", 20 * 2**30), ("19.50", 39 * 2**29)])
def test_what_is_left_is_counted_in_the_gb_of_the_rule_in_force(
    quick: Database, tmp_path: Path, left: str, left_bytes: int
) -> None:
    with quick.transaction() as session:
        policies.add_rule(
            session,
            policies.Changes(bytes_per_gb=2**30),
            effective_from=NOW - timedelta(days=1),
            actor="周建国",
            now=NOW - timedelta(days=2),
        )
    rows = [f"2400101001,李小明,undergraduate,计算机,12.34,P10,{left},2026-03-31"]
    assert import_accounts(quick, write(tmp_path, rows), actor=ANNA, now=NOW).packages == 1
    with quick.reading() as session:
        assert session.scalar(select(TrafficLot.total_bytes)) == left_bytes


@pytest.mark.long
def test_memory_does_not_grow_with_the_table(quick: Database, tmp_path: Path) -> None:
    def peak(first: int, rows: int) -> int:
        path = write(
            tmp_path, [f"{number},学生,undergraduate,,1.00,,," for number in range(first, first + rows)]
        )
        tracemalloc.start()
        report = import_accounts(quick, path, actor=ANNA, now=NOW, rules=ANY_TOTAL)
        taken = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert report.opened == rows
        return taken

    # What is compiled once is not counted.
    peak(1_000_000, 2000)
    assert peak(3_000_000, 8000) < 1.5 * peak(2_000_000, 2000)


def test_the_command_tries_refuses_and_imports(
    quick: Database, tmp_path: Path, credentials: Credentials
) -> None:
    made = make_config(
        tmp_path,
        credentials,
        site="http://127.0.0.1:9",
        platform="http://127.0.0.1:9",
        database_url=quick.url,
        redis_url="redis://127.0.0.1:1/0",
    )
    config, no_package = toml(made, tmp_path), LI.replace("P10,3.50,2026-03-31", ",,")

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(main, ["import", *arguments, "--by", "anna", "--config", str(config)])
        return done.exit_code, done.output

    path = str(write(tmp_path, [no_package, WANG]))
    assert run(path, "--dry-run") == (
        0,
        "试运行：开户 2，期初余额合计 12.34 元，在用套餐 0，此前已导入 0，有误 0\n",
    )
    assert run(path)[1].startswith("开户 2")
    assert "此前已导入 2" in run(path)[1]
    code, output = run(str(write(tmp_path, ["x"])))
    assert (code, "第 2 行" in output, "什么都没有写入" in output) == (1, True, True)
