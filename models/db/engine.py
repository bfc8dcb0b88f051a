"""Engine, sessions and the one transaction helper."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from models.db import postgres
from models.db.postgres import Limits
from models.errors import Conflict
from models.prepared import Prepared

SQLITE_BUSY_TIMEOUT_MS = 10_000
SQLITE_RETRY_S = 0.01
# What is raised when the database does not answer, or has no connection to spare.
NO_ANSWER = (OperationalError, InterfaceError, PoolTimeout)


class Database:
    """One engine and two ways in: `transaction()` to change, `reading()` to look.

    SQLite takes its write lock at the start of a transaction (BEGIN IMMEDIATE), so that two
    writers wait for one another instead of failing half-way; readers never block (WAL).
    """

    def __init__(self, url: str, *, pool_size: int = 10, limits: Limits | None = None) -> None:
        """Open nothing yet.

        Args:
            limits: what the sessions of PostgreSQL wait for at most.
        """
        self.url = url
        limits = limits or Limits()
        self.engine = _engine(url, pool_size, limits)
        self._readers = self.engine.execution_options(campusnet_read=True)
        # Nothing is begun or rolled back on this one: each SELECT stands for itself.
        self._bare = _engine(url, pool_size, limits, bare=True)
        self._write = sessionmaker(self.engine, expire_on_commit=False)
        self._read = sessionmaker(self._readers, expire_on_commit=False)

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.engine.dialect.name

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """Commit when the block returns, roll back when it raises. Never nest, never call out inside.

        Raises: Conflict - another session holds a row that is needed, and nothing was changed.
        """
        with _named_errors(), self._write.begin() as session:
            yield session

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A session that only looks; nothing it does is committed."""
        with _named_errors(), self._read() as session:
            yield session

    @contextmanager
    def connection(self) -> Iterator[Connection]:
        """A bare read connection for the few queries of the hot path."""
        with _named_errors(), self._readers.connect() as connection:
            yield connection

    def look(self, prepared: Prepared, **values: Any) -> list[tuple[Any, ...]]:
        """The rows of a prepared SELECT: the few reads of the hot path."""
        return prepared.rows(self._bare, values)

    @property
    def engines(self) -> tuple[Engine, Engine]:
        """Each has a pool of its own: of transactions and sessions, and of `look`."""
        return self.engine, self._bare

    def dispose(self) -> None:
        """Close pooled connections (before a fork, at the end)."""
        for engine in self.engines:
            engine.dispose()


@contextmanager
def _named_errors() -> Iterator[None]:
    """A row that stays locked is a Conflict; a session that the server ended is one that does not answer."""
    try:
        yield
    except DBAPIError as error:
        code = postgres.sqlstate_of(error)
        if code in postgres.ROW_HELD:
            raise Conflict(f"another session holds a row that is needed ({code})") from error
        if code in postgres.SESSION_ENDED and not isinstance(error, OperationalError):
            raise OperationalError(error.statement, None, error.orig or error) from error
        raise


def _engine(url: str, pool_size: int, limits: Limits, *, bare: bool = False) -> Engine:
    parsed = make_url(url)
    # Errors are logged, and what a statement was about may be somebody's openid.
    extra: dict[str, Any] = {"hide_parameters": True}
    if bare:
        # Autocommit has nothing to reset; the driver's rollback would be a round trip on PostgreSQL.
        extra |= {"isolation_level": "AUTOCOMMIT", "pool_reset_on_return": None}
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(url, pool_size=pool_size, max_overflow=20, pool_timeout=5, **extra)
        event.listen(engine, "connect", _sqlite_connect)
        if not bare:
            event.listen(engine, "begin", _sqlite_begin)
        return engine
    if parsed.drivername == "postgresql":
        parsed = parsed.set(drivername="postgresql+psycopg")
    return create_engine(
        parsed,
        pool_size=pool_size,
        max_overflow=20,
        pool_timeout=5,
        pool_pre_ping=True,
        creator=postgres.creator(parsed, limits),
        **extra,
    )


def _sqlite_connect(connection: Any, _record: Any) -> None:
    # The driver's own BEGIN comes too late and is always DEFERRED; `_sqlite_begin` sends ours.
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_TIMEOUT_MS}")
    _switch_to_wal(cursor)
    # FULL: a commit that was acknowledged survives a power cut.
    for pragma in ("synchronous=FULL", "foreign_keys=ON"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _switch_to_wal(cursor: sqlite3.Cursor) -> None:
    # The first connections to a new file all want to switch it. SQLite answers all but one of them
    # with "locked" at once, whatever the busy timeout is: waiting would be a deadlock.
    give_up_s = time.monotonic() + SQLITE_BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode != sqlite3.SQLITE_BUSY or time.monotonic() > give_up_s:
                raise
            time.sleep(SQLITE_RETRY_S)
        else:
            return


def _sqlite_begin(connection: Connection) -> None:
    read = connection.get_execution_options().get("campusnet_read", False)
    connection.exec_driver_sql("BEGIN" if read else "BEGIN IMMEDIATE")
