"""A clock that can be moved forward, and jobs that happen when it reaches them."""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

log = logging.getLogger(__name__)


class VirtualClock:
    """Real time plus an offset that only grows."""

    def __init__(self) -> None:
        self._offset_s = 0.0

    def now(self) -> datetime:
        """Aware UTC."""
        return datetime.now(UTC) + timedelta(seconds=self._offset_s)

    def timestamp(self) -> float:
        """Seconds since 1970, virtual."""
        return time.time() + self._offset_s

    def advance(self, seconds: float) -> None:
        """Move the clock forward; `seconds` may not be negative."""
        if seconds < 0:
            raise ValueError("the clock only moves forward")
        self._offset_s += seconds


class Scheduler:
    """Runs callables at virtual times on one background thread, each in a thread of its own.

    A job that raises is logged and forgotten: the platform being simulated does not stop
    because one receiver misbehaves.
    """

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self._heap: list[tuple[float, int, Callable[[], object]]] = []
        self._serial = itertools.count()
        self._wake = threading.Condition()
        self._stopped = False
        self._running = 0
        self._thread = threading.Thread(target=self._loop, name="sandbox-scheduler", daemon=True)

    def start(self) -> None:
        """Start the thread; call once."""
        self._thread.start()

    def stop(self) -> None:
        """Forget what has not run yet."""
        with self._wake:
            self._stopped = True
            self._wake.notify_all()

    def after(self, seconds: float, job: Callable[[], object]) -> None:
        """Run `job` once the virtual clock has moved by `seconds`."""
        with self._wake:
            heapq.heappush(self._heap, (self.clock.timestamp() + seconds, next(self._serial), job))
            self._wake.notify_all()

    def advance(self, seconds: float) -> None:
        """Move the clock and start everything that becomes due."""
        self.clock.advance(seconds)
        with self._wake:
            self._wake.notify_all()

    def pending(self) -> int:
        """How many jobs wait for their time or are running now."""
        with self._wake:
            return len(self._heap) + self._running

    def clear(self) -> None:
        """Drop every waiting job (used by reset)."""
        with self._wake:
            self._heap.clear()

    def _loop(self) -> None:
        while True:
            with self._wake:
                while not self._stopped and not self._due():
                    self._wake.wait(self._sleep_s())
                if self._stopped:
                    return
                _, _, job = heapq.heappop(self._heap)
                self._running += 1
            threading.Thread(target=self._run, args=(job,), daemon=True).start()

    def _due(self) -> bool:
        return bool(self._heap) and self._heap[0][0] <= self.clock.timestamp()

    def _sleep_s(self) -> float | None:
        return max(0.0, self._heap[0][0] - self.clock.timestamp()) if self._heap else None

    def _run(self, job: Callable[[], object]) -> None:
        try:
            job()
        except Exception:
            log.exception("scheduled job failed")
        finally:
            with self._wake:
                self._running -= 1
