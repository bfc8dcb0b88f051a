from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event, func, select

from billing.embedded import usage
from billing.embedded.engine import EmbeddedBilling
from billing.embedded.seed import seed_grant_policy
from models import prepared
from models.db.engine import Database
from models.package import TrafficLot
from tests.billing.fixed_clock import FixedClock

LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)
GB = 10**9


Before = Callable[[Engine, str, Any], None]


@contextmanager
def before_prepared(do: Before) -> Iterator[None]:
    """Call `do` before each prepared read: those pass SQLAlchemy's own events by."""
    original = prepared._Plan.rows

    def rows(plan: prepared._Plan, engine: Engine, values: Mapping[str, Any]) -> list[tuple[Any, ...]]:
        do(engine, plan._text, plan._parameters(values))
        return original(plan, engine, values)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prepared._Plan, "rows", rows)
        yield


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """SQL sent inside the block, without BEGIN."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_more: Any) -> None:
        if not statement.startswith("BEGIN"):
            seen.append(statement)

    event.listen(database.engine, "before_cursor_execute", note)
    try:
        with before_prepared(lambda _engine, text, _parameters: seen.append(text)):
            yield seen
    finally:
        event.remove(database.engine, "before_cursor_execute", note)


def set_policy(database: Database, **values: Any) -> None:
    with database.transaction() as session:
        seed_grant_policy(session, **{"effective_from": LONG_AGO, "quota_bytes": 30 * GB, **values})


def lots(database: Database) -> int:
    with database.reading() as session:
        return session.scalar(select(func.count()).select_from(TrafficLot)) or 0


def test_the_grant_of_the_month_is_opened_by_the_first_look_only(
    billing: EmbeddedBilling, any_database: Database
) -> None:
    set_policy(any_database)
    assert lots(any_database) == 0
    first, second = billing.balance("A1"), billing.balance("A1")
    assert first == second
    assert [(lot.kind, lot.left_bytes) for lot in first.lots] == [("grant", 30 * GB)]
    assert lots(any_database) == 1
    billing.balance("A2")
    assert lots(any_database) == 2


def test_the_grant_runs_for_the_campus_month(billing: EmbeddedBilling, any_database: Database) -> None:
    set_policy(any_database)
    (grant,) = billing.balance("A1").lots
    assert grant.starts_at == datetime(2026, 2, 28, 16, 0, tzinfo=UTC)
    assert grant.ends_at == datetime(2026, 3, 31, 16, 0, tzinfo=UTC)


def test_a_new_month_brings_a_new_full_grant(
    billing: EmbeddedBilling, any_database: Database, clock: FixedClock
) -> None:
    set_policy(any_database)
    billing.balance("A1")
    with any_database.transaction() as session:
        usage.record_usage(session, "A1", 30 * GB, clock())
    clock.now = datetime(2026, 3, 31, 15, 59, 59, tzinfo=UTC)
    assert billing.balance("A1").throttled
    clock.now = datetime(2026, 3, 31, 16, 0, tzinfo=UTC)
    assert billing.balance("A1").left_bytes == 30 * GB


def test_looking_from_eight_sides_opens_one_grant(billing: EmbeddedBilling, any_database: Database) -> None:
    set_policy(any_database)
    start = threading.Barrier(8)
    seen: list[int] = []

    def look() -> None:
        start.wait()
        seen.append(billing.balance("A1").left_bytes)

    threads = [threading.Thread(target=look) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [30 * GB] * 8
    assert lots(any_database) == 1


def test_a_rule_for_the_group_beats_the_rule_for_all(
    billing: EmbeddedBilling, any_database: Database
) -> None:
    set_policy(any_database)
    set_policy(any_database, kind="staff", quota_bytes=50 * GB)
    assert billing.balance("A1").left_bytes == 30 * GB
    assert billing.balance("A2").left_bytes == 50 * GB


def test_a_new_rule_counts_from_the_month_after(
    billing: EmbeddedBilling, any_database: Database, clock: FixedClock
) -> None:
    set_policy(any_database)
    set_policy(any_database, effective_from=datetime(2026, 3, 5, tzinfo=UTC), quota_bytes=40 * GB)
    assert billing.balance("A1").left_bytes == 30 * GB
    clock.now += timedelta(days=31)
    assert billing.balance("A1").left_bytes == 40 * GB


def test_an_invented_grant_says_so(billing: EmbeddedBilling, any_database: Database) -> None:
    set_policy(any_database)
    set_policy(any_database, kind="staff", example=False)
    assert "示例" in billing.balance("A1").lots[0].name
    assert "示例" not in billing.balance("A2").lots[0].name


def test_without_a_rule_there_is_money_and_no_traffic(billing: EmbeddedBilling) -> None:
    balance = billing.balance("A1")
    assert (balance.balance_fen, balance.lots, balance.throttled) == (0, (), True)


def test_a_balance_is_one_statement_and_writes_nothing(
    billing: EmbeddedBilling, any_database: Database
) -> None:
    set_policy(any_database)
    billing.balance("A1")
    with statements(any_database) as seen:
        billing.balance("A1")
    assert len(seen) == 1
    assert seen[0].startswith("SELECT")


def test_a_balance_without_any_rule_takes_two_statements(
    billing: EmbeddedBilling, any_database: Database
) -> None:
    with statements(any_database) as seen:
        billing.balance("A1")
    assert [statement.split()[0] for statement in seen] == ["SELECT", "SELECT"]


def test_a_balance_never_walks_a_table(billing: EmbeddedBilling, any_database: Database) -> None:
    # The cost with a million accounts is that of a few index look-ups.
    plans: list[str] = []
    prefix = {"sqlite": "EXPLAIN QUERY PLAN ", "postgresql": "EXPLAIN "}[any_database.dialect]

    def explain(engine: Engine, statement: str, parameters: Any) -> None:
        with closing(engine.raw_connection()) as connection:
            cursor = connection.cursor()
            if any_database.dialect == "postgresql":
                cursor.execute("SET enable_seqscan = off")
            cursor.execute(prefix + statement, parameters)
            plans.extend(str(row[-1]) for row in cursor.fetchall())

    with before_prepared(explain):
        billing.balance("A1")
    assert plans
    assert not [line for line in plans if line.startswith("SCAN") or "Seq Scan" in line], plans
