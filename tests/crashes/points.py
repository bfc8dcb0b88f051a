"""Places where a process may die: around every commit, every outgoing call, every step of billing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import pytest
import requests
from requests.adapters import HTTPAdapter
from sqlalchemy.orm import Session

from billing.interface import BillingBackend
from models.db.engine import Database
from models.errors import Refused

# What moves money, or asks whether it was moved.
BILLING_CALLS = frozenset(
    {
        "credit",
        "find_credit",
        "reverse",
        "find_reversal",
        "exchange",
        "find_exchange",
        "withdraw",
        "find_withdrawal",
        "close_key",
        "adjust",
        "find_adjustment",
    }
)


class Crash(BaseException):
    """The process is gone. No `except Exception` may notice it, as none would notice a SIGKILL."""


class Points:
    """Counts the places passed by one thread; dies at the one that was armed."""

    def __init__(self) -> None:
        self.passed: list[str] = []
        self._armed: int | None = None
        self._thread = threading.get_ident()

    def arm(self, index: int | None) -> None:
        """Die at the place with this index from now on (0 is the next one); None: live."""
        self.passed = []
        self._armed = index

    def here(self, name: str) -> None:
        """Pass a place, or die there. Raises: Crash."""
        if threading.get_ident() != self._thread:
            return
        self.passed.append(name)
        if self._armed is not None and len(self.passed) > self._armed:
            self._armed = None
            raise Crash(name)


def around_commits(points: Points, database: Database) -> None:
    """From now on every transaction of this database passes a place before and after its commit."""
    commit = database.transaction

    @contextmanager
    def transaction() -> Iterator[Session]:
        with commit() as session:
            yield session
            points.here("before commit")
        points.here("after commit")

    database.transaction = transaction  # type: ignore[method-assign]  # one object, for one test


def around_calls(points: Points, patch: pytest.MonkeyPatch) -> None:
    """Every HTTP call of this thread passes a place before it is sent and after it was answered."""
    send = HTTPAdapter.send

    def watched(self: HTTPAdapter, request: requests.PreparedRequest, *rest: Any, **more: Any) -> Any:
        points.here(f"before {request.method}")
        answer = send(self, request, *rest, **more)
        # Read it here: the other side has done its part before we die.
        points.here(f"after {request.method}")
        return answer

    patch.setattr(HTTPAdapter, "send", watched)


class WatchedBilling:
    """A billing back end whose money calls pass a place before and after; `faults` happen in turn.

    A fault `before` answers without doing, `after` does it and then answers with the error. Those of
    `faults_of` happen to the call of that name only, and before all others.
    """

    def __init__(self, inner: BillingBackend, points: Points) -> None:
        self._inner = inner
        self._points = points
        self.faults: list[tuple[str, Exception]] = []
        self.faults_of: dict[str, list[tuple[str, Exception]]] = {}

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return partial(self._through, name, found) if name in BILLING_CALLS else found

    def as_backend(self) -> BillingBackend:
        return cast("BillingBackend", self)

    def _through(self, name: str, call: Callable[..., Any], *args: Any, **more: Any) -> Any:
        self._points.here(f"before {name}")
        when, error = self._next_fault(name)
        if error is not None and when == "before":
            raise error
        receipt = call(*args, **more)
        self._points.here(f"after {name}")
        if error is not None:
            raise error
        return receipt

    def _next_fault(self, name: str) -> tuple[str, Exception | None]:
        if own := self.faults_of.get(name):
            return own.pop(0)
        # A question may stay unanswered, but it is never refused: that fault waits for an order.
        if not self.faults or (name.startswith("find_") and isinstance(self.faults[0][1], Refused)):
            return "", None
        return self.faults.pop(0)
