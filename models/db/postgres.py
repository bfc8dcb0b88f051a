"""Sessions of PostgreSQL that end by themselves: no dead host keeps a row locked or a thread waiting.

The server ends a session that is idle inside a transaction, a statement that takes too long and a wait for
a lock; the client gives up an answer that does not come. Each is an error of the session, never of the
process: whoever worked on something tries it again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from sqlalchemy import URL, Connection, text
from sqlalchemy.exc import DBAPIError

T = TypeVar("T")

CONNECT_TIMEOUT_S = 3
# A dead peer of an idle connection is found after KEEPALIVE_IDLE_S + COUNT * INTERVAL_S: 25 s.
KEEPALIVE_IDLE_S, KEEPALIVE_INTERVAL_S, KEEPALIVE_COUNT = 10, 5, 3
# How much later than the server the client gives up: the server's own word says more.
ANSWER_MARGIN_S = 3.0

# lock_timeout, deadlock, serialization: the transaction changed nothing and may be done again.
ROW_HELD = frozenset({"55P03", "40P01", "40001"})
# idle_in_transaction_session_timeout and an administrator's end of a session.
SESSION_ENDED = frozenset({"25P03", "57P01", "57P02", "57P03", "57P05"})


@dataclass(frozen=True)
class Limits:
    """How long a session may wait, in seconds; `[database]` of the configuration."""

    statement_timeout_s: float = 15.0
    lock_timeout_s: float = 2.0
    idle_in_transaction_timeout_s: float = 15.0
    tcp_user_timeout_s: float = 10.0

    @property
    def answer_timeout_s(self) -> float:
        """When the client stops waiting for an answer: a link may swallow packets and stay open."""
        return self.statement_timeout_s + ANSWER_MARGIN_S


class NoAnswer(psycopg.OperationalError):
    """The server did not answer in time; what it did is unknown, and the connection is closed."""


class BoundedConnection(psycopg.Connection[Any]):
    """A connection whose every wait ends; `answer_timeout_s` is set after connecting."""

    answer_timeout_s: float | None = None

    def wait(self, gen: Generator[Any, Any, T], interval: float = 0.1, timeout: float | None = None) -> T:
        """Wait for the end of `gen`. Raises: NoAnswer."""
        if timeout is not None or self.answer_timeout_s is None:
            return super().wait(gen, interval, timeout)
        try:
            return super().wait(gen, interval, self.answer_timeout_s)
        except psycopg.errors._WaitTimeout as error:  # noqa: SLF001 - documented for callers of `wait`
            # Not `close`: it would say good-bye to a peer that does not listen.
            self.pgconn.finish()
            raise NoAnswer(f"no answer within {self.answer_timeout_s:g} s") from error


def creator(url: URL, limits: Limits) -> Callable[[], BoundedConnection]:
    """Return how to open a connection that waits for nothing longer than the limits say."""
    kind: Any = url.get_dialect()
    arguments, keywords = kind(dbapi=kind.import_dbapi()).create_connect_args(url)
    settings: dict[str, Any] = {**keywords, **connect_args(limits)}

    def connect() -> BoundedConnection:
        connection = BoundedConnection.connect(*arguments, **settings)
        connection.answer_timeout_s = limits.answer_timeout_s
        return connection

    return connect


def connect_args(limits: Limits) -> dict[str, Any]:
    """Return what libpq needs: the client's side of TCP, and the settings of the server's session."""
    user_timeout_ms = _ms(limits.tcp_user_timeout_s)
    settings = {
        "statement_timeout": _ms(limits.statement_timeout_s),
        "lock_timeout": _ms(limits.lock_timeout_s),
        "idle_in_transaction_session_timeout": _ms(limits.idle_in_transaction_timeout_s),
        # The server's side: without them it keeps the session of a dead host for two hours.
        "tcp_keepalives_idle": KEEPALIVE_IDLE_S,
        "tcp_keepalives_interval": KEEPALIVE_INTERVAL_S,
        "tcp_keepalives_count": KEEPALIVE_COUNT,
        "tcp_user_timeout": user_timeout_ms,
        "timezone": "UTC",
    }
    return {
        "connect_timeout": CONNECT_TIMEOUT_S,
        "keepalives": 1,
        "keepalives_idle": KEEPALIVE_IDLE_S,
        "keepalives_interval": KEEPALIVE_INTERVAL_S,
        "keepalives_count": KEEPALIVE_COUNT,
        "tcp_user_timeout": user_timeout_ms,
        "options": " ".join(f"-c {name}={value}" for name, value in settings.items()),
    }


@contextmanager
def unlimited(connection: Connection) -> Iterator[None]:
    """Lift every limit for the transaction that is open: a migration may rewrite a large table."""
    for name in ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout"):
        connection.execute(text(f"SET LOCAL {name} = 0"))
    driver: Any = connection.connection.driver_connection
    before, driver.answer_timeout_s = driver.answer_timeout_s, None
    try:
        yield
    finally:
        driver.answer_timeout_s = before


def sqlstate_of(error: DBAPIError) -> str | None:
    """Return the server's code of an error."""
    return getattr(error.orig, "sqlstate", None)


def _ms(seconds: float) -> int:
    return round(seconds * 1000)
