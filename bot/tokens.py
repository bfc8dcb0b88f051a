"""A value that one process fetches and all share: the access token, the JS-SDK ticket."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable

from redis import Redis

from bot.redis_gate import RedisDown, RedisGate, Script, text_of
from models.errors import Unavailable

# The platform renews five minutes early; so do we.
MARGIN_S = 300
LOCK_S = 15
POLL_S = 0.05

# Another process may have stored a newer value, or hold the lock by now.
_DROP = Script("if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0")

Fetch = Callable[[], tuple[str, int]]


class SharedValue:
    """Fetched once for all threads and processes, kept in Redis until shortly before it expires.

    While Redis is away each process keeps its own copy.
    """

    def __init__(
        self, redis: Redis, key: str, fetch: Fetch, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """Remember how to get the value.

        Args:
            fetch: asks the platform; returns the value and its life in seconds.
        """
        self._gate = RedisGate(redis, monotonic)
        self._key = key
        self._lock_key = key + ":lock"
        self._fetch = fetch
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._copy = ""
        self._copy_until_s = 0.0

    def get(self) -> str:
        """The value, fetched when there is none.

        Raises:
            Unavailable: somebody else in this process has been fetching it for too long.
        """
        try:
            if value := self._stored():
                return value
        except RedisDown:
            if value := self._own_copy():
                return value
        if not self._lock.acquire(timeout=LOCK_S):
            raise Unavailable("still being fetched")
        try:
            return self._renew()
        finally:
            self._lock.release()

    def drop(self, value: str) -> None:
        """Forget this value, unless a newer one has taken its place."""
        if self._copy == value:
            self._copy = ""
        self._remove(self._key, value)

    def _renew(self) -> str:
        give_up_s = self._monotonic() + LOCK_S
        mine = secrets.token_hex(8)
        while True:
            try:
                locked = self._gate.ask("SET", self._lock_key, mine, "NX", "PX", int(LOCK_S * 1000))
                # Checked under the lock: whoever held it a moment ago has probably stored a value.
                value = self._stored()
            except RedisDown:
                return self._own_copy() or self._fetch_and_keep()
            # A holder that never comes back must not stop us; fetching twice does no harm.
            if value or locked or self._monotonic() > give_up_s:
                try:
                    return value or self._fetch_and_keep()
                finally:
                    if locked:
                        self._remove(self._lock_key, mine)
            time.sleep(POLL_S)

    def _fetch_and_keep(self) -> str:
        value, expires_in_s = self._fetch()
        keep_s = max(expires_in_s - MARGIN_S, expires_in_s // 2, 1)
        self._copy, self._copy_until_s = value, self._monotonic() + keep_s
        try:
            self._gate.ask("SET", self._key, value, "EX", keep_s)
        except RedisDown:
            return value
        return value

    def _stored(self) -> str | None:
        return text_of(self._gate.ask("GET", self._key))

    def _own_copy(self) -> str:
        return self._copy if self._monotonic() < self._copy_until_s else ""

    def _remove(self, key: str, value: str) -> None:
        try:
            self._gate.run(_DROP, [key], value)
        except RedisDown:
            return
