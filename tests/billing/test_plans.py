"""What is read does not grow with the campus: plans over more rows than a table scan would be quick for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, insert, text

from billing.embedded import ledger, sessions
from billing.embedded.accounting import Accounting
from billing.embedded.engine import EmbeddedBilling
from billing.embedded.records import NasRestart
from models.db.engine import Database
from models.ledger import Entry, Posting
from models.usage import AccountingSession, EndReason
from tests.billing.fixed_clock import FixedClock
from tests.billing.network import Nas

PREFIX = {"sqlite": "EXPLAIN QUERY PLAN ", "postgresql": "EXPLAIN "}
ENDED, OPEN = 4000, 300


@contextmanager
def plans(database: Database) -> Iterator[list[str]]:
    """The plans of what is read meanwhile, a line each, as they are where rows are too many to be scanned."""
    lines: list[str] = []

    def explain(connection: Connection, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if not statement.startswith("SELECT"):
            return
        if connection.dialect.name == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")
        cursor.execute(PREFIX[connection.dialect.name] + statement, parameters)
        lines.extend(str(row[-1]) for row in cursor.fetchall())

    event.listen(database.engine, "before_cursor_execute", explain)
    try:
        yield lines
    finally:
        event.remove(database.engine, "before_cursor_execute", explain)


def analyze(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("ANALYZE"))


@pytest.fixture
def many_sessions(any_database: Database, billing: EmbeddedBilling, clock: FixedClock) -> Database:
    """Far more sessions that ended than are open, the open ones last."""
    assert billing.find_account("A1")
    rows = [
        {
            "account_no": "A1", "nas": "BRAS-01", "session_no": f"s{number}", "up_bytes": 0, "down_bytes": 0,
            "started_at": clock(), "nas_started_at": clock(), "last_at": clock(),
            "ended_at": clock() if number < ENDED else None,
            "end_reason": EndReason.STOP if number < ENDED else None,
        }
        for number in range(ENDED + OPEN)
    ]  # fmt: skip
    with any_database.engine.begin() as connection:
        connection.execute(insert(AccountingSession), rows)
    analyze(any_database)
    return any_database


@pytest.mark.parametrize(
    "read",
    [
        lambda billing: billing.usage("A1"),
        lambda billing: billing.sessions("A1"),
        lambda billing: billing.sessions("A1", before=billing.sessions("A1")[0].mark),
        lambda billing: billing.exchange_log("A1"),
        lambda billing: billing.exchange_log("A1", before=9),
        lambda billing: billing.statement("A1"),
        lambda billing: billing.statement("A1", before=9),
    ],
    ids=["usage", "sessions", "sessions deep", "swaps", "swaps deep", "statement", "statement deep"],
)
def test_no_page_walks_a_table(
    billing: EmbeddedBilling,
    any_database: Database,
    clock: FixedClock,
    read: Callable[[EmbeddedBilling], Any],
) -> None:
    billing.credit("A1", 500, key="c1")
    Accounting(any_database, clock).take([Nas(clock() - timedelta(hours=1)).interim(300, 10, 20)])
    with plans(any_database) as lines:
        assert read(billing) is not None
    assert lines
    assert not [line for line in lines if line.startswith("SCAN") or "Seq Scan" in line], lines


def test_the_sum_of_a_book_is_read_from_its_index_alone(
    billing: EmbeddedBilling, any_database: Database
) -> None:
    for number in range(3):
        billing.credit("A1", 500, key=f"c{number}")
    with plans(any_database) as lines, any_database.reading() as session:
        assert ledger.sum_until(session, ledger.book_of("A1"), 1000) == 1500
    assert any("Index Only Scan" in line or "COVERING INDEX" in line for line in lines), lines


@pytest.mark.parametrize("why", ["restart", "sweep"])
def test_sessions_to_end_are_found_among_the_open_ones(
    many_sessions: Database, clock: FixedClock, why: str
) -> None:
    later = clock() + timedelta(hours=1)
    with plans(many_sessions) as lines, many_sessions.transaction() as session:
        if why == "restart":
            found = sessions.close_nas(session, NasRestart("BRAS-01", later))
        else:
            found = sessions.close_stale(session, later)
    assert found == OPEN
    assert any("ix_accounting_session_open" in line for line in lines), lines


def test_the_credits_of_a_day_are_found_by_their_time(
    billing: EmbeddedBilling, any_database: Database, clock: FixedClock
) -> None:
    past = [
        {"id": number, "key": f"credit:old{number}", "kind": "credit", "memo": "",
         "at": clock() - timedelta(days=30)}
        for number in range(1, 3000)
    ]  # fmt: skip
    legs = [{"entry_id": 1, "book": "account:A1", "amount_fen": 1}]
    with any_database.engine.begin() as connection:
        connection.execute(insert(Entry), past)
        connection.execute(insert(Posting), legs)
        connection.execute(
            insert(Entry), [past[0] | {"id": 3000 + n, "key": f"k{n}", "at": clock()} for n in range(20)]
        )
    analyze(any_database)
    with plans(any_database) as lines:
        assert list(billing.movements_between(clock(), clock() + timedelta(hours=1)))
    assert any("ix_ledger_entry_at" in line for line in lines[:3]), lines
