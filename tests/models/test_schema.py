from __future__ import annotations

import importlib
import pkgutil
import shutil
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection, inspect, select, text
from sqlalchemy.exc import IntegrityError

import models
from billing.embedded import seed
from models import schema
from models.account_import import AccountImport, AccountImportRow
from models.base import Base
from models.db.engine import Database
from models.ledger import Entry

NOW = datetime(2026, 3, 10, 4, 0, tzinfo=UTC)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    """A database without any table."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path / 'empty 空.db'}"
    else:
        url = request.getfixturevalue("postgres_url")
    database = Database(url)
    yield database
    database.dispose()


@pytest.fixture
def empty_like_it(
    any_database: Database, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Database]:
    """A database without any table beside `any_database`, of the same kind."""
    sqlite = any_database.dialect == "sqlite"
    made = Database(
        f"sqlite:///{tmp_path / 'bare.db'}" if sqlite else request.getfixturevalue("postgres_url")
    )
    yield made
    made.dispose()


def tables(database: Database) -> set[str]:
    with database.connection() as connection:
        return set(inspect(connection).get_table_names()) - {"alembic_version"}


def definitions(database: Database) -> list[tuple[object, ...]]:
    query = {
        "sqlite": "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY 1, 2",
        "postgresql": "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1",
    }
    with database.connection() as connection:
        return [tuple(row) for row in connection.execute(text(query[database.dialect]))]


def test_up_down_up_ends_where_the_first_up_ended(any_database: Database) -> None:
    first = definitions(any_database)
    schema.downgrade(any_database, "base")
    assert tables(any_database) == set()
    schema.upgrade(any_database)
    assert definitions(any_database) == first


# SQLite's indexes on expressions cannot be reflected; the lookup in another case has a test of its own.
unreflected = pytest.mark.filterwarnings(
    "ignore:Skipped unsupported reflection of expression-based index",
    "ignore:autogenerate skipping metadata-specified expression-based index",
)


@unreflected
def test_the_history_makes_exactly_the_tables_of_the_models(any_database: Database) -> None:
    with any_database.connection() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": True}
        )
        assert compare_metadata(context, schema.METADATA) == []


@unreflected
def test_checks_and_partial_indexes_are_the_same_as_in_the_models(
    any_database: Database, empty_like_it: Database
) -> None:
    # compare_metadata looks at neither of them.
    migrated = _walls(any_database)
    with empty_like_it.engine.begin() as connection:
        Base.metadata.create_all(connection)
    assert migrated == _walls(empty_like_it)
    assert any("unbound_at IS NULL" in str(wall) for wall in migrated)


def _walls(database: Database) -> list[str]:
    with database.connection() as connection:
        inspector = inspect(connection)
        return sorted(
            [
                f"{table} {check['name']} {check['sqltext']}"
                for table in inspector.get_table_names()
                for check in inspector.get_check_constraints(table)
            ]
            + [
                f"{table} {index['name']} {index['unique']} {_condition(connection, index)}"
                for table in inspector.get_table_names()
                for index in inspector.get_indexes(table)
            ]
        )


def _condition(connection: Connection, index: object) -> str:
    options = index["dialect_options"] if isinstance(index, dict) and "dialect_options" in index else {}
    return str(options.get(f"{connection.dialect.name}_where", ""))


def test_a_second_upgrade_changes_nothing(any_database: Database) -> None:
    schema.upgrade(any_database)
    schema.check(any_database)


def test_two_processes_may_upgrade_at_the_same_time(empty: Database) -> None:
    failures: list[BaseException] = []
    others = [Database(empty.url) for _ in range(3)]

    def run(database: Database) -> None:
        try:
            schema.upgrade(database)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion below
            failures.append(error)

    threads = [threading.Thread(target=run, args=(database,)) for database in others]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for database in others:
        database.dispose()
    assert failures == []
    schema.check(empty)


def test_many_may_be_the_first_to_open_a_new_file(tmp_path: Path) -> None:
    """Without the retry about every tenth of these rounds says "database is locked"."""

    def look(start: threading.Barrier, url: str) -> None:
        database = Database(url)
        start.wait(10)
        with database.connection() as connection:
            connection.execute(text("SELECT 1"))
        database.dispose()

    with ThreadPoolExecutor(4) as threads:
        for number in range(60):
            start, url = threading.Barrier(4), f"sqlite:///{tmp_path / f'{number}.db'}"
            list(threads.map(look, [start] * 4, [url] * 4))


def test_a_failing_migration_leaves_nothing_behind(empty: Database) -> None:
    with empty.engine.begin() as connection:
        connection.execute(text("CREATE TABLE daily_usage (id INTEGER)"))
    with pytest.raises(Exception, match="daily_usage"):
        schema.upgrade(empty)
    assert tables(empty) == {"daily_usage"}
    assert schema.current(empty) is None


def test_check_names_the_revision_found_and_the_one_wanted(empty: Database) -> None:
    with pytest.raises(schema.SchemaMismatch) as caught:
        schema.check(empty)
    assert (caught.value.found, caught.value.wanted) == (None, schema.newest())


def test_foreign_keys_are_checked_again_after_an_upgrade(tmp_path: Path) -> None:
    database = Database(f"sqlite:///{tmp_path / 'keys.db'}", pool_size=1)
    schema.upgrade(database)
    with pytest.raises(IntegrityError), database.engine.begin() as connection:
        connection.execute(text("INSERT INTO usage_day VALUES ('nobody', '2026-01-01', 0, 1, 1, 0)"))
    database.dispose()


def test_the_history_runs_from_a_folder_with_any_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = tmp_path / "校园 50%s net"
    shutil.copytree(
        Path(schema.__file__).parent, odd / "models", ignore=shutil.ignore_patterns("__pycache__")
    )
    monkeypatch.setattr(schema, "__file__", str(odd / "models" / "schema.py"))
    database = Database(f"sqlite:///{tmp_path / 'odd.db'}")
    schema.upgrade(database)
    schema.check(database)
    database.dispose()


def test_every_module_with_tables_is_known_to_the_schema() -> None:
    # Modules are imported here to see their tables; the schema alone must have named all of them.
    known = {module.__name__ for module in schema.TABLE_MODULES}
    for found in pkgutil.iter_modules(models.__path__, "models."):
        importlib.import_module(found.name)
    with_tables = {mapper.class_.__module__ for mapper in Base.registry.mappers}
    assert with_tables == known


def test_the_ledger_cannot_be_changed_behind_our_back(any_database: Database) -> None:
    with any_database.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO ledger_entry (id, key, kind, memo, at) VALUES (1, 'k', 'x', '', '2026-01-01')")
        )
        connection.execute(
            text("INSERT INTO ledger_posting (id, entry_id, book, amount_fen) VALUES (1, 1, 'b', 5)")
        )
    for statement in (
        "UPDATE ledger_posting SET amount_fen = 6",
        "DELETE FROM ledger_posting",
        "UPDATE ledger_entry SET memo = 'other'",
        "DELETE FROM ledger_entry",
    ):
        with pytest.raises(IntegrityError, match="append-only"), any_database.engine.begin() as connection:
            connection.execute(text(statement))


def test_openings_from_before_the_imports_belong_to_one_of_their_own(any_database: Database) -> None:
    with any_database.transaction() as session:
        seed.seed_demo_accounts(session, [seed.DemoAccount("A1", "李", balance_fen=1234)], NOW)
    schema.downgrade(any_database, "0011")
    schema.upgrade(any_database)
    with any_database.reading() as session:
        (made,) = session.scalars(select(AccountImport))
        (row,) = session.scalars(select(AccountImportRow))
        entry_id = session.scalar(select(Entry.id).where(Entry.key == "opening:A1"))
    assert (made.status, made.prepared_by, made.rows, made.total_fen) == ("APPLIED", "system", 1, 1234)
    assert (row.account_no, row.balance_fen, row.entry_id) == ("A1", 1234, entry_id)
