"""The migration that makes one day of a clerk's spellings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from models import schema
from models.db.engine import Database

BEFORE = "0011"
DAY = (
    "INSERT INTO counter_day (clerk, business_on, booked_cash_fen, booked_transfer_fen, held_cash_fen, "
    "returned_cash_fen, counted_cash_fen, closed_at) "
    "VALUES (:clerk, '2026-03-10', :fen, 0, 0, 0, :counted, :closed)"
)
CLOSED = "2026-03-10 10:00:00+00:00"


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def database(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Database]:
    sqlite = request.param == "sqlite"
    url = f"sqlite:///{tmp_path / 'days.db'}" if sqlite else request.getfixturevalue("postgres_url")
    made = Database(url)
    schema.upgrade(made, BEFORE)
    yield made
    made.dispose()


def days(database: Database) -> list[tuple[object, ...]]:
    query = (
        "SELECT clerk, clerk_key, booked_cash_fen, counted_cash_fen, closed_at IS NULL "
        "FROM counter_day ORDER BY id"
    )
    with database.connection() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def insert(database: Database, *rows: tuple[str, int, int | None]) -> None:
    with database.engine.begin() as connection:
        for clerk, fen, counted in rows:
            closed = None if counted is None else CLOSED
            values = {"clerk": clerk, "fen": fen, "counted": counted, "closed": closed}
            connection.execute(text(DAY), values)


def test_closed_days_of_one_clerk_are_summed_up(database: Database) -> None:
    insert(database, ("anna", 1000, 900), ("Anna（窗口）", 500, 500), ("bert", 1, 1))
    schema.upgrade(database, "0016")
    assert [day[:4] for day in days(database)] == [("anna", "anna", 1500, 1400), ("bert", "bert", 1, 1)]


def test_a_day_that_one_spelling_left_open_is_open_as_a_whole(database: Database) -> None:
    insert(database, ("张三", 1000, 900), ("张 三", 0, None))
    schema.upgrade(database, "0016")
    assert [tuple(map(str, day[:4])) for day in days(database)] == [("张三", "张三", "0", "None")]
    assert [bool(day[4]) for day in days(database)] == [True]
