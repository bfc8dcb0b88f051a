"""A host that disappears, or a link that swallows packets, holds neither a row nor a thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, OperationalError

from app.worker import Worker
from models.db import postgres
from models.db.engine import Database
from models.db.postgres import Limits
from models.errors import Conflict
from models.order import CreditStatus, Order
from models.outbox import OutboxStatus
from payments import credit
from tests.builders import World

pytestmark = pytest.mark.postgres

QUICK = Limits(statement_timeout_s=5.0, lock_timeout_s=0.2, idle_in_transaction_timeout_s=0.5)


@contextmanager
def opened(database: Database, limits: Limits) -> Iterator[Database]:
    """The same database under other limits."""
    made = Database(database.url, limits=limits)
    yield made
    made.dispose()


class DeadHost:
    """A host of ours that locks an order and is never heard of again; its session stays open."""

    def __init__(self, database: Database, limits: Limits) -> None:
        self._database = Database(database.url, limits=limits)
        self._connection = self._database.engine.connect()
        self.pid = self._connection.scalar(text("SELECT pg_backend_pid()"))

    def lock(self, order_no: str) -> None:
        """Stay idle inside a transaction that holds the row."""
        self._connection.execute(select(Order).where(Order.order_no == order_no).with_for_update())

    def speak(self) -> Any:
        """What the host meets should it come back."""
        return self._connection.execute(text("SELECT 1"))

    def forget(self) -> None:
        """Let go of what is left of the connection."""
        self._connection.invalidate()
        self._connection.close()
        self._database.dispose()


@pytest.fixture
def host(postgres_database: Database) -> Iterator[DeadHost]:
    made = DeadHost(postgres_database, Limits())
    yield made
    made.forget()


def worker_of(world: World) -> Worker:
    return Worker(world.services, {"credit": credit.deliver}, wait=lambda _: None)


def test_the_session_itself_carries_the_limits(postgres_database: Database) -> None:
    wanted = {
        "statement_timeout": "15s",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "15s",
        "TimeZone": "UTC",
    }
    with postgres_database.connection() as connection:
        found = {name: connection.scalar(text(f"SHOW {name}")) for name in wanted}
    assert found == wanted


def test_keepalives_and_the_user_timeout_are_set_on_both_sides_of_tcp(postgres_database: Database) -> None:
    """PostgreSQL shows 0 for them on a Unix socket, so what is asked for is looked at."""
    with postgres_database.connection() as connection:
        raw: Any = connection.connection.driver_connection
        told = raw.info.get_parameters()
    client = {"keepalives_idle": "10", "keepalives_interval": "5", "keepalives_count": "3"}
    assert {name: told[name] for name in client} == client
    assert told["tcp_user_timeout"] == "10000"
    for setting in ("tcp_keepalives_idle=10", "tcp_keepalives_count=3", "tcp_user_timeout=10000"):
        assert f"-c {setting}" in told["options"]


def test_a_payment_of_another_order_is_credited_while_one_is_locked(
    postgres_database: Database, host: DeadHost
) -> None:
    with opened(postgres_database, QUICK) as database:
        world = World(database)
        locked, other = world.paid(500), world.paid(600)
        with database.transaction() as session:
            first = text("UPDATE outbox SET next_at = next_at - interval '1 s' WHERE key = :key")
            session.execute(first, {"key": locked.order_no})
        lock_credit(host, locked.order_no)
        worker_of(world).run_once()
        assert world.credit(other).status == CreditStatus.CREDITED
        assert world.credit(locked).status == CreditStatus.PENDING
        item = world.item("credit", locked.order_no)
        assert item is not None
        assert (item.status, item.failures, item.lease_owner) == (OutboxStatus.READY, 0, None)
        assert "Conflict" in str(item.last_error)


def lock_credit(host: DeadHost, order_no: str) -> None:
    host.lock(order_no)
    host._connection.execute(
        text(
            "SELECT 1 FROM credit JOIN orders ON orders.id = credit.order_id WHERE order_no = :n FOR UPDATE"
        ),
        {"n": order_no},
    )


def test_a_locked_order_is_credited_once_the_dead_session_is_ended(postgres_database: Database) -> None:
    host = DeadHost(postgres_database, QUICK)
    try:
        with opened(postgres_database, Limits(lock_timeout_s=20.0)) as database:
            world = World(database)
            view = world.paid()
            lock_credit(host, view.order_no)
            # Waits for the row for as long as the server lets the dead session have it.
            worker_of(world).run_once()
            assert world.credit(view).status == CreditStatus.CREDITED
            with pytest.raises(DBAPIError, match="terminating connection"):
                host.speak()
    finally:
        host.forget()


def test_a_transaction_that_the_server_ended_is_tried_again_and_is_no_bug(
    postgres_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(postgres_database, QUICK) as database:
        world = World(database)
        view = world.paid()
        begin = credit._begin

        def frozen(*arguments: Any) -> Any:
            """The process is stopped inside a transaction for longer than the server waits."""
            with database.transaction() as session:
                session.execute(select(Order).with_for_update())
                pid = session.scalar(text("SELECT pg_backend_pid()"))
                with opened(postgres_database, Limits()) as server, server.transaction() as admin:
                    gone = text("SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = :pid")
                    while not admin.scalar(gone, {"pid": pid}):
                        admin.execute(text("SELECT pg_sleep(0.1), pg_stat_clear_snapshot()"))
                session.execute(select(Order))
            return begin(*arguments)

        monkeypatch.setattr(credit, "_begin", frozen)
        worker = worker_of(world)
        worker.run_once()
        item = world.item("credit", view.order_no)
        assert item is not None
        assert (item.status, item.failures) == (OutboxStatus.READY, 0)
        monkeypatch.setattr(credit, "_begin", begin)
        world.clock.forward(minutes=1)
        worker.run_once()
        assert world.credit(view).status == CreditStatus.CREDITED


def change_both(database: Database) -> None:
    with database.transaction() as session:
        session.execute(text("UPDATE credit SET reason = 'x'"))
        session.execute(text("UPDATE orders SET account_no = 'x'"))


def test_a_lock_that_is_not_given_up_is_a_conflict_and_changes_nothing(
    postgres_database: Database, host: DeadHost
) -> None:
    with opened(postgres_database, QUICK) as database:
        world = World(database)
        view = world.paid()
        host.lock(view.order_no)
        with pytest.raises(Conflict):
            change_both(database)
        assert world.credit(view).reason is None


def test_an_answer_that_never_comes_is_given_up(postgres_database: Database) -> None:
    """The link swallows packets: the statement has ended long ago, and nobody hears of it."""
    with opened(postgres_database, Limits(statement_timeout_s=30.0)) as database:
        with database.engine.connect() as connection:
            raw: Any = connection.connection.driver_connection
            raw.answer_timeout_s = 0.3
            with pytest.raises(OperationalError, match="no answer within") as caught:
                connection.execute(text("SELECT pg_sleep(3)"))
            assert caught.value.connection_invalidated
        with database.engine.connect() as connection:
            assert connection.scalar(text("SELECT 1")) == 1


def test_a_migration_may_take_longer(postgres_database: Database) -> None:
    with opened(postgres_database, Limits(statement_timeout_s=0.3, lock_timeout_s=0.1)) as database:
        with database.engine.connect() as connection, connection.begin():
            raw: Any = connection.connection.driver_connection
            assert raw.answer_timeout_s == pytest.approx(3.3)
            raw.answer_timeout_s = 0.2
            with postgres.unlimited(connection):
                connection.execute(text("SELECT pg_sleep(0.6)"))
            assert raw.answer_timeout_s == pytest.approx(0.2)
        with pytest.raises(OperationalError) as caught, database.engine.connect() as connection:
            connection.execute(text("SELECT pg_sleep(0.6)"))
        assert isinstance(caught.value.orig, psycopg.Error)
