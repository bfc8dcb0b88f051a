"""How often the platform lets an account call each interface."""

from __future__ import annotations

from collections import Counter, deque
from datetime import timedelta, timezone

from sandbox.clock import VirtualClock
from sandbox.oa.errors import ApiError

SHANGHAI = timezone(timedelta(hours=8))
CLEARS_PER_MONTH = 10

DAILY_LIMITS: dict[str, int] = {
    "/cgi-bin/token": 2_000,
    "/cgi-bin/stable_token": 500_000,
    "/cgi-bin/menu/create": 1_000,
    "/cgi-bin/menu/get": 10_000,
    "/cgi-bin/menu/delete": 1_000,
    "/cgi-bin/message/custom/send": 500_000,
    "/cgi-bin/message/custom/typing": 500_000,
    "/cgi-bin/message/template/send": 100_000,
    "/cgi-bin/message/mass/sendall": 100,
    "/cgi-bin/message/mass/send": 100,
    "/cgi-bin/message/mass/preview": 100,
    "/cgi-bin/qrcode/create": 100_000,
    "/cgi-bin/user/get": 500,
    "/cgi-bin/user/info": 5_000_000,
    "/cgi-bin/user/info/batchget": 5_000_000,
    "/cgi-bin/media/upload": 100_000,
}
"""Calls per day of a verified account; an interface that is not listed has no daily limit."""

MINUTE_LIMITS: dict[str, int] = {
    "/cgi-bin/stable_token": 10_000,
    "/cgi-bin/message/mass/sendall": 60,
    "/cgi-bin/message/mass/send": 60,
}
"""Calls per minute."""


class CallCounters:
    """Counts calls per Shanghai day and per running minute, on the virtual clock."""

    def __init__(self, clock: VirtualClock) -> None:
        self.daily_limits = dict(DAILY_LIMITS)
        self.minute_limits = dict(MINUTE_LIMITS)
        self._clock = clock
        self._day = ""
        self._used: Counter[str] = Counter()
        self._recent: dict[str, deque[float]] = {}
        self._clears: Counter[str] = Counter()

    def take(self, path: str) -> None:
        """Count one call; ApiError 45009 (day) or 45011 (minute) when none is left."""
        self._turn_day()
        self._check_minute(path)
        if self._used[path] >= self.daily_limits.get(path, 1 << 62):
            raise ApiError(45009)
        self._used[path] += 1

    def quota(self, path: str) -> dict[str, int]:
        """The answer of openapi/quota/get."""
        self._turn_day()
        if path not in self.daily_limits:
            raise ApiError(76021)
        limit, used = self.daily_limits[path], self._used[path]
        return {"daily_limit": limit, "used": used, "remain": max(0, limit - used)}

    def clear(self) -> None:
        """The account's own reset, ten times a month."""
        month = self._clock.now().astimezone(SHANGHAI).strftime("%Y-%m")
        if self._clears[month] >= CLEARS_PER_MONTH:
            raise ApiError(48006)
        self._clears[month] += 1
        self._used.clear()

    def _check_minute(self, path: str) -> None:
        limit = self.minute_limits.get(path)
        if limit is None:
            return
        now = self._clock.timestamp()
        recent = self._recent.setdefault(path, deque())
        while recent and recent[0] <= now - 60:
            recent.popleft()
        if len(recent) >= limit:
            raise ApiError(45011)
        recent.append(now)

    def _turn_day(self) -> None:
        day = self._clock.now().astimezone(SHANGHAI).strftime("%Y-%m-%d")
        if day != self._day:
            self._day = day
            self._used.clear()
