"""Redis as something that may be away: quick time-outs and a breaker, so that nobody waits twice."""

from __future__ import annotations

import hashlib
import os
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError, RedisError
from redis.retry import Retry

from models.errors import Unavailable

CONNECT_TIMEOUT_S = 0.2
READ_TIMEOUT_S = 0.3
# After a failure nobody tries again for this long.
OPEN_S = 1.0


class RedisDown(Unavailable):
    """Redis did not answer, or did not a moment ago."""


def connect(url: str) -> Redis:
    """A client that fails in a moment instead of waiting; nothing is opened yet."""
    return Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=READ_TIMEOUT_S,
        # A pooled connection may be older than the server; a server that hangs is not asked twice.
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        max_connections=256,
    )


class Script:
    """A Lua script known by its digest."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 - Redis' name for the script


class RedisGate:
    """Asks Redis, or raises RedisDown at once while the breaker is open.

    Commands go straight over connections of the client's pool that are kept here: the client's own
    bookkeeping around a command costs four times as much as the command.
    """

    def __init__(self, redis: Redis, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._pool = redis.connection_pool
        self._monotonic = monotonic
        self._open_until_s = 0.0
        self._idle: deque[Any] = deque()
        self._process = os.getpid()

    def ask(self, *command: str | int) -> Any:
        """What Redis answers to one command; any trouble with it is a RedisDown and opens the breaker."""
        if self._open_until_s and self._monotonic() < self._open_until_s:
            raise RedisDown("breaker")
        try:
            answer = self._ask(command)
        except NoScriptError:
            raise
        except (RedisError, OSError) as error:
            self._open_until_s = self._monotonic() + OPEN_S
            raise RedisDown(type(error).__name__) from error
        self._open_until_s = 0.0
        return answer

    def run(self, script: Script, keys: Sequence[str], *arguments: str | int) -> Any:
        """What the script returns; it is loaded when the server does not know it yet."""
        try:
            return self.ask("EVALSHA", script.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            return self.ask("EVAL", script.text, len(keys), *keys, *arguments)

    def _ask(self, command: tuple[str | int, ...]) -> Any:
        if self._process != os.getpid():
            # Sockets inherited from a parent process belong to the parent.
            self._idle, self._process = deque(), os.getpid()
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = self._pool.get_connection()
        try:
            packed = connection.pack_command(*command)
            try:
                return _exchange(connection, packed)
            except RedisConnectionError:
                # The connection may be older than the server: once more, on a new one.
                return _exchange(connection, packed)
        finally:
            # After an error it is closed, and opened again by its next use.
            self._idle.append(connection)


def _exchange(connection: Any, packed: Any) -> Any:
    connection.send_packed_command(packed, check_health=False)
    return connection.read_response()


def text_of(value: object) -> str | None:
    """A Redis value as text, whether or not the client decodes."""
    if value is None:
        return None
    return value.decode() if isinstance(value, bytes) else str(value)
