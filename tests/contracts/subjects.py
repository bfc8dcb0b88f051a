"""Every billing backend that the contract suite runs over, with the accounts LI and WANG."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import pytest

from billing.interface import BillingBackend
from billing.registry import DemoAccount, build, seed_demo
from models.db.engine import Database
from tests.billing.fixed_clock import FixedClock
from tests.vendor_billing import VendorBilling

T = TypeVar("T")

LI = DemoAccount("2400101001", "李小明", balance_fen=1234, daily_gb=(1, 0, 2))
WANG = DemoAccount("2400101002", "王芳")
NOBODY = "2499999999"


@dataclass(frozen=True)
class Subject:
    """A back end that knows LI and WANG and nobody else, and the clock it lives by."""

    backend: BillingBackend
    clock: FixedClock


def embedded_on_sqlite(request: pytest.FixtureRequest) -> Subject:
    return _embedded(request.getfixturevalue("seeded_on_sqlite"))


def embedded_on_postgresql(request: pytest.FixtureRequest) -> Subject:
    return _embedded(request.getfixturevalue("seeded_on_postgresql"))


def seed(database: Database) -> None:
    """The accounts of LI and WANG, as of the clock's beginning."""
    seed_demo(database, [LI, WANG], now=FixedClock()())
    database.dispose()


def _embedded(database: Database) -> Subject:
    clock = FixedClock()
    return Subject(build("embedded", database=database, clock=clock), clock)


def vendor(request: pytest.FixtureRequest) -> Subject:
    """A backend with a confirmation window instead of closed keys."""
    clock = FixedClock()
    return Subject(VendorBilling(request.getfixturevalue("seeded_on_sqlite"), clock), clock)


def vendor_that_prepares(request: pytest.FixtureRequest) -> Subject:
    """A backend that issues an identifier before each call."""
    clock = FixedClock()
    return Subject(VendorBilling(request.getfixturevalue("seeded_on_sqlite"), clock, prepare=True), clock)


Factory = Callable[[pytest.FixtureRequest], Subject]
SUBJECTS = [
    pytest.param(embedded_on_sqlite, id="embedded-sqlite"),
    pytest.param(embedded_on_postgresql, id="embedded-postgresql", marks=pytest.mark.postgres),
    pytest.param(vendor, id="vendor"),
]
# Those that need what the other tests of the contract do not give: an identifier with each call.
SUBJECTS_OF_CALLS = [*SUBJECTS, pytest.param(vendor_that_prepares, id="vendor-prepares")]


def at_once(calls: list[Callable[[], T]]) -> list[T]:
    """Run all calls in threads that start together; the first failure is raised here."""
    start = threading.Barrier(len(calls))
    done: list[T] = []
    failures: list[BaseException] = []

    def run(call: Callable[[], T]) -> None:
        start.wait()
        try:
            done.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again below, in the test's thread
            failures.append(error)

    threads = [threading.Thread(target=run, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return done
