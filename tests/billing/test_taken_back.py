"""Late reports that move traffic to another day: what stood with a lot is given back to it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from billing.embedded.accounting import Accounting
from billing.embedded.engine import EmbeddedBilling
from models.clock import CAMPUS_ZONE
from models.db.engine import Database
from models.package import LotKind, TrafficLot
from tests.billing.fixed_clock import FixedClock
from tests.billing.network import Books, Nas


@pytest.fixture
def books(any_database: Database, billing: EmbeddedBilling) -> Books:
    assert billing.find_account("A1")
    return Books(
        any_database, Accounting(any_database, FixedClock(datetime(2026, 4, 20, tzinfo=CAMPUS_ZONE)))
    )


def test_what_is_taken_back_leaves_the_lot_of_its_day_however_late_that_lot_began(books: Books) -> None:
    """Two sessions over midnight, both moved to the day before; the package was bought between their ends."""
    midnight = datetime(2026, 3, 11, 0, 0, tzinfo=CAMPUS_ZONE)
    morning = Nas(midnight - timedelta(hours=1), session="morning")
    day = Nas(midnight - timedelta(hours=1), session="day")
    with books.database.transaction() as session:
        session.add(
            TrafficLot(
                account_no="A1", kind=LotKind.PACKAGE, total_bytes=5000, used_bytes=0,
                starts_at=midnight + timedelta(hours=12), ends_at=midnight + timedelta(days=30),
            )
        )  # fmt: skip
    books.take(morning.stop(10 * 3600, 0, 600), day.stop(16 * 3600, 0, 1600))
    assert (books.lots(), books.speeds()) == ({"package 03-11": 1500}, (1500, 700))
    # What goes back was throttled first: now the package holds what was used in the morning.
    books.take(day.interim(1800, 0, 1600))
    assert (books.lots(), books.speeds()) == ({"package 03-11": 540}, (540, 1660))
    books.take(morning.interim(1800, 0, 600))
    assert books.days() == {"2026-03-10": (0, 2200, 2200)}
    assert (books.lots(), books.speeds()) == ({"package 03-11": 0}, (0, 2200))
