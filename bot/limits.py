"""Rate limits: fixed windows by subject, shared by all entry points."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from redis import Redis

from bot.redis_gate import RedisDown, RedisGate, Script
from models.errors import LimitReached

MAX_LOCAL_KEYS = 10_000
TOO_OFTEN = "操作太频繁了，请稍后再试"

# The window starts with the first hit; its length is set then and never prolonged.
_HIT = Script("""
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return count
""")


@dataclass(frozen=True)
class Limit:
    """At most `limit` of `what` within `window_s` seconds for each subject."""

    what: str
    limit: int
    window_s: int


# Answers to "whose account is this?", in the chat and on pages together: enough for a dormitory, too few
# for a list of the university.
NAME_LOOKUPS = (Limit("name", 20, 600), Limit("name-day", 60, 86_400))


class RateLimiter:
    """Fixed windows, shared through Redis; counted in this process while Redis is away."""

    def __init__(self, redis: Redis, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._gate = RedisGate(redis, monotonic)
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._local: dict[str, tuple[float, int]] = {}

    def hit(self, key: str, *, limit: int, window_s: int) -> None:
        """Count one.

        Raises:
            LimitReached: this was more than `limit` within `window_s` seconds.
        """
        try:
            count = int(self._gate.run(_HIT, [f"campusnet:limit:{key}"], window_s))
        except RedisDown:
            count = self._hit_locally(key, window_s)
        if count > limit:
            raise LimitReached(TOO_OFTEN)

    def hit_all(self, limits: Iterable[Limit], who: str) -> None:
        """Count one for `who` against each of these limits. Raises: LimitReached."""
        for limit in limits:
            self.hit(f"{limit.what}:{who}", limit=limit.limit, window_s=limit.window_s)

    def _hit_locally(self, key: str, window_s: int) -> int:
        now_s = self._monotonic()
        with self._lock:
            if len(self._local) >= MAX_LOCAL_KEYS:
                self._local = {name: seen for name, seen in self._local.items() if seen[0] > now_s}
            if len(self._local) >= MAX_LOCAL_KEYS:
                self._local.clear()  # a flood of keys: memory matters more than their counts
            until_s, count = self._local.get(key, (0.0, 0))
            if until_s <= now_s:
                until_s, count = now_s + window_s, 0
            self._local[key] = (until_s, count + 1)
            return count + 1
