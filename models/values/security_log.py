"""Security events: structured lines, at most one per kind, source and minute, and counters.

An attack leaves a trace with its source, and cannot fill the disk with it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from enum import StrEnum

import structlog

from models.clock import Clock

LINE_EVERY_S = 60
SOURCES_MAX = 2000
# Sources beyond the bound of one minute share a line.
OTHERS = "others"

log = structlog.get_logger("security")


class SecurityEvent(StrEnum):
    """What happened."""

    PUSH_REFUSED = "push_refused"
    CALLBACK_REFUSED = "callback_refused"
    LOGIN = "login"
    LOGIN_REFUSED = "login_refused"
    LOGOUT = "logout"
    BOUND = "bound"
    UNBOUND = "unbound"
    LIMIT_REACHED = "limit_reached"
    CSRF_REFUSED = "csrf_refused"
    CAMPUS_REFUSED = "campus_refused"
    HOST_REFUSED = "host_refused"


class SecurityLog:
    """Write events. Thread-safe; memory is bounded by the sources of one minute.

    Args:
        count: called with a kind and how many events it stands for, each time a line is written.
    """

    def __init__(self, clock: Clock, count: Callable[[str, int], None] = lambda _kind, _number: None) -> None:
        self._clock = clock
        self._count = count
        self._lock = threading.Lock()
        self._minute = 0
        # Events since the last line, by kind and source, of this minute.
        self._unwritten: dict[tuple[str, str], int] = {}

    def record(self, event: SecurityEvent, source: str, **facts: str | int) -> None:
        """Record one event. `source` is the client's address; `facts` are ids and codes, no secrets."""
        minute = int(self._clock().timestamp()) // LINE_EVERY_S
        lines: list[tuple[str, str, int]] = []
        with self._lock:
            if minute != self._minute:
                lines = [(kind, where, number) for (kind, where), number in self._unwritten.items() if number]
                self._minute, self._unwritten = minute, {}
            key = (event.value, source)
            if key not in self._unwritten and len(self._unwritten) >= SOURCES_MAX:
                key = (event.value, OTHERS)
            first = key not in self._unwritten
            self._unwritten[key] = 0 if first else self._unwritten[key] + 1
        for kind, where, number in lines:
            self._write(kind, where, number, repeated=True)
        if first:
            self._write(event.value, key[1], 1, **facts)

    def _write(self, kind: str, source: str, number: int, **facts: str | int | bool) -> None:
        log.warning("security", kind=kind, source=source, count=number, **facts)
        self._count(kind, number)
