"""Redis as something that may be away: quick time-outs and a breaker, so that nobody waits twice."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

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

R = TypeVar("R")


class RedisDown(Unavailable):
    """Redis did not answer, or did not a moment ago."""


def connect(url: str) -> Redis:
    """A client that fails in a moment instead of waiting; nothing is opened yet.

    One retry, for connection errors only: a pooled connection may be older than the server.
    """
    return Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_TIMEOUT_S,
        socket_timeout=READ_TIMEOUT_S,
        retry=Retry(NoBackoff(), 1, supported_errors=(RedisConnectionError,)),
        max_connections=256,
    )


class Script:
    """A Lua script known by its digest."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 - Redis' name for the script


class RedisGate:
    """Calls Redis, or raises RedisDown at once while the breaker is open."""

    def __init__(self, redis: Redis, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._redis = redis
        self._monotonic = monotonic
        self._open_until_s = 0.0

    def call(self, command: Callable[[Redis], R]) -> R:
        """What `command` returns; any trouble with Redis is a RedisDown and opens the breaker."""
        if self._open_until_s and self._monotonic() < self._open_until_s:
            raise RedisDown("breaker")
        try:
            answer = command(self._redis)
        except (RedisError, OSError) as error:
            self._open_until_s = self._monotonic() + OPEN_S
            raise RedisDown(type(error).__name__) from error
        self._open_until_s = 0.0
        return answer

    def run(self, script: Script, keys: Sequence[str], *arguments: str | int) -> Any:
        """What the script returns; it is loaded when the server does not know it yet."""
        return self.call(lambda redis: _run(redis, script, keys, arguments))


def _run(redis: Redis, script: Script, keys: Sequence[str], arguments: Sequence[str | int]) -> Any:
    try:
        return redis.evalsha(script.sha, len(keys), *keys, *arguments)
    except NoScriptError:
        return redis.eval(script.text, len(keys), *keys, *arguments)


def text_of(value: object) -> str | None:
    """A Redis value as text, whether or not the client decodes."""
    if value is None:
        return None
    return value.decode() if isinstance(value, bytes) else str(value)
