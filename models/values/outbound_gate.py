"""A gate for calls to others that strangers can trigger: few at a time, none while the other side is down.

A page that waits for a slow login server holds a server thread. The gate keeps enough threads for the
pushes of WeChat, whatever happens on the other side.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from models.errors import Unavailable, Unknown


class OutboundGate:
    """At most `slots` calls at once in this process, and a circuit breaker. Thread-safe.

    Args:
        name: of the other side, for errors.
        slots: calls in flight; further callers are refused at once instead of waiting.
        failures: consecutive calls without an answer that open the breaker.
        pause_s: how long an open breaker refuses every call; then one call is let through as a probe.
        slow_s: a call that takes longer counts as one without an answer.
        monotonic: the clock, in seconds.
    """

    def __init__(
        self,
        name: str,
        *,
        slots: int = 2,
        failures: int = 5,
        pause_s: float = 10.0,
        slow_s: float = 3.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._slots = slots
        self._failures = failures
        self._pause_s = pause_s
        self._slow_s = slow_s
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._in_flight = 0
        self._failed = 0
        self._closed_until_s = 0.0

    @contextmanager
    def call(self) -> Iterator[None]:
        """Make one call inside the block. Raises: Unavailable - no free slot, or the breaker is open."""
        self._enter()
        began_s = self._monotonic()
        answered = False
        try:
            yield
            answered = True
        except (Unavailable, Unknown):
            raise
        except BaseException:
            # A refusal is an answer.
            answered = True
            raise
        finally:
            slow = self._monotonic() - began_s > self._slow_s
            self._leave(answered=answered and not slow)

    def _enter(self) -> None:
        with self._lock:
            if self._monotonic() < self._closed_until_s:
                raise Unavailable(f"{self._name} does not answer; calls are paused")
            # After a pause a single probe decides.
            slots = self._slots if self._failed < self._failures else 1
            if self._in_flight >= slots:
                raise Unavailable(f"{self._name}: too many calls in flight")
            self._in_flight += 1

    def _leave(self, *, answered: bool) -> None:
        with self._lock:
            self._in_flight -= 1
            self._failed = 0 if answered else self._failed + 1
            if self._failed >= self._failures:
                self._closed_until_s = self._monotonic() + self._pause_s
