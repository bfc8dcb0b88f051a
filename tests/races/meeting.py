"""Bringing two threads to the same line of code at the same moment, on two real connections."""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from sqlalchemy import make_url

from models.db.engine import Database

PATIENCE_S = 20.0


class Meeting:
    """Whoever reaches the line waits until the other has reached it, too, or hangs on a lock of ours.

    With its guard in place the second one hangs on the lock; without it both have read the same state.
    """

    def __init__(self, database: Database) -> None:
        url = make_url(database.url)
        host = url.query["host"]
        self._target = f"host={host} user=postgres dbname={url.database}"
        self._arrived = 0
        self._changed = threading.Condition()

    def at(self, patch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
        """Meet whenever `owner.name` is about to be called."""
        call = getattr(owner, name)

        @functools.wraps(call)
        def meeting(*args: Any, **more: Any) -> Any:
            self.here()
            return call(*args, **more)

        patch.setattr(owner, name, meeting)

    def here(self) -> None:
        """Wait for the other one. Raises: TimeoutError - it never came."""
        with self._changed:
            self._arrived += 1
            self._changed.notify_all()
        deadline = time.monotonic() + PATIENCE_S
        with psycopg.connect(self._target, autocommit=True) as watch:
            while time.monotonic() < deadline:
                with self._changed:
                    if self._arrived > 1 or self._changed.wait_for(lambda: self._arrived > 1, 0.02):
                        return
                if _somebody_hangs(watch):
                    return
        raise TimeoutError("nobody came to the meeting")


def _somebody_hangs(watch: psycopg.Connection[Any]) -> bool:
    row = watch.execute(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    ).fetchone()
    return row is not None and row[0] > 0


def together(*journeys: Callable[[], object]) -> list[object]:
    """Run all at once. Returns: what each returned, or the exception that it raised."""

    def run(journey: Callable[[], object]) -> object:
        try:
            return journey()
        except Exception as error:  # noqa: BLE001 - an exception is a result here
            return error

    with ThreadPoolExecutor(max_workers=len(journeys)) as pool:
        return list(pool.map(run, journeys))
