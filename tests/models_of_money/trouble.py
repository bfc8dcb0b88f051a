"""What goes wrong by chance while several threads work: lost commits, a slow billing, a line that is cut."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

import requests
from requests.adapters import HTTPAdapter
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from billing.interface import BillingBackend
from models.db.engine import Database
from models.errors import Unavailable, Unknown
from sandbox.credentials import Credentials
from tests.models_of_money.in_process import Counterpart

# The lease of a worker, and a call that takes longer.
LEASE_S, SLOW_S = 1.0, 1.3
MONEY_CALLS = frozenset({"credit", "reverse", "withdraw", "exchange"})


class AnswerLostError(OperationalError):
    """The server has committed, and its answer did not arrive."""


class Trouble:
    """Decides by chance whether something goes wrong, until it has ended."""

    def __init__(self, number: int) -> None:
        self._chance = random.Random(number)
        self._lock = threading.Lock()
        self._ended = False

    def happens(self, probability: float) -> bool:
        with self._lock:
            return self._chance.random() < probability and not self._ended

    def end(self) -> None:
        self._ended = True


class LossyDatabase(Database):
    """A database whose answers to COMMIT are lost with this probability."""

    def __init__(self, url: str, trouble: Trouble, probability: float) -> None:
        super().__init__(url, pool_size=30)
        self._trouble, self._probability = trouble, probability

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        with super().transaction() as session:
            yield session
        if self._trouble.happens(self._probability):
            raise AnswerLostError("COMMIT", {}, Exception("server closed the connection unexpectedly"))


class TroubledBilling:
    """The embedded engine, whose money calls are slow, are not sent, or lose their answer."""

    def __init__(self, inner: BillingBackend, trouble: Trouble) -> None:
        self._inner, self._trouble = inner, trouble

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        return partial(self._through, found) if name in MONEY_CALLS else found

    def as_backend(self) -> BillingBackend:
        return cast("BillingBackend", self)

    def _through(self, call: Callable[..., Any], *args: Any, **more: Any) -> Any:
        if self._trouble.happens(0.03):
            time.sleep(SLOW_S)
        if self._trouble.happens(0.04):
            raise Unavailable("not sent")
        receipt = call(*args, **more)
        if self._trouble.happens(0.05):
            raise Unknown("the answer is lost")
        return receipt


class TroubledCounterpart(Counterpart):
    """The pay platform for several threads; connections are refused and answers cut off."""

    def __init__(self, credentials: Credentials, trouble: Trouble) -> None:
        super().__init__(credentials)
        self.lock = threading.RLock()
        self._trouble = trouble

    def answer(self, adapter: HTTPAdapter, request: requests.PreparedRequest) -> requests.Response:
        if self._trouble.happens(0.02):
            raise requests.ConnectTimeout("nobody listens")
        with self.lock:
            answered = super().answer(adapter, request)
        if self._trouble.happens(0.03):
            raise requests.ConnectionError("the line was cut")
        return answered
