"""One month of one student: free traffic, slow, a package, slow again, a special, and the next month."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from billing.embedded import seed
from billing.embedded.accounting import Accounting
from billing.embedded.engine import EmbeddedBilling
from billing.interface import SlowReason
from models.clock import CAMPUS_ZONE
from models.db.engine import Database
from models.errors import PackageStillRunning
from models.package import GrantPolicy, LotKind, Package
from tests.billing.fixed_clock import FixedClock
from tests.billing.network import Nas

GB = 10**9
ACCOUNT = "A1"


def campus(day: int, hour: int = 12, month: int = 3) -> datetime:
    """A moment of 2026 as campus clocks show it."""
    return datetime(2026, month, day, hour, tzinfo=CAMPUS_ZONE)


class Life:
    """The student's line, account and calendar."""

    def __init__(self, database: Database, clock: FixedClock, billing: EmbeddedBilling) -> None:
        self.clock = clock
        self.billing = billing
        self._accounting = Accounting(database, clock)

    def on(self, day: int, month: int = 3) -> None:
        """It is noon of this day."""
        self.clock.now = campus(day, month=month)

    def download(self, size_bytes: int) -> None:
        """Be on line for an hour, up to now."""
        session = Nas(self.clock.now - timedelta(hours=1), ACCOUNT, session=f"s-{self.clock.now:%m%d}")
        self._accounting.take([session.start(), session.stop(3600, down=size_bytes)])

    def swap(self, code: str, price_fen: int) -> None:
        """Swap on the portal."""
        key = f"{code}-{self.clock.now:%m%d}"
        self.billing.exchange(ACCOUNT, code, key=key, price_fen=price_fen)

    def left_gb(self) -> float:
        return self.billing.balance(ACCOUNT).left_bytes / GB

    def slow(self) -> tuple[SlowReason, ...]:
        """Why the line is slow; nothing at full speed."""
        balance = self.billing.balance(ACCOUNT)
        assert balance.throttled == bool(balance.slow_because)
        return balance.slow_because


@pytest.fixture
def life(any_database: Database, clock: FixedClock, billing: EmbeddedBilling) -> Life:
    with any_database.transaction() as session:
        seed.seed_catalogue(session)
        policy = GrantPolicy(
            kind="*", effective_from=campus(1, month=1), quota_bytes=30 * GB, throttled_kbps=2000
        )
        special = Package(
            code="S1", name="3月特惠", price_fen=900, quota_bytes=40 * GB, validity_months=1, special=True,
            sale_from=campus(20), sale_until=campus(27), stock_left=10, limit_each=1,
        )  # fmt: skip
        session.add_all([policy, special])
    billing.credit(ACCOUNT, 5_000, key="opening")
    return Life(any_database, clock, billing)


def test_a_month_from_the_free_traffic_to_the_next_one(life: Life) -> None:
    life.on(1)
    assert (life.left_gb(), life.slow()) == (30, ())

    life.on(8)
    life.download(31 * GB)
    assert (life.left_gb(), life.slow()) == (0, (SlowReason.GRANT_USED_UP,))

    life.on(9)
    life.swap("P05", 500)
    assert (life.left_gb(), life.slow()) == (8, ())

    life.on(12)
    life.download(5 * GB)
    with pytest.raises(PackageStillRunning, match=r"3\.0 GB"):
        life.swap("P10", 1000)

    life.on(15)
    life.download(10 * GB)
    assert (life.left_gb(), life.slow()) == (0, (SlowReason.GRANT_USED_UP, SlowReason.PACKAGE_USED_UP))
    assert "S1" not in [offer.code for offer in life.billing.catalogue()]

    life.on(21)
    assert life.billing.catalogue()[0].code == "S1"
    life.swap("S1", 900)
    assert (life.left_gb(), life.slow()) == (40, ())

    life.on(31)
    life.download(10 * GB)
    life.on(1, month=4)
    balance = life.billing.balance(ACCOUNT)
    assert [lot.kind for lot in balance.lots] == [LotKind.GRANT, LotKind.SPECIAL]
    assert (life.left_gb(), balance.balance_fen) == (60, 5_000 - 500 - 900)

    life.on(22, month=4)
    assert life.left_gb() == 30  # the special ended on the 21st, what was left of it is gone
    names = [record.package_name for record in life.billing.exchange_log(ACCOUNT)]
    assert names == ["3月特惠", "5元不限量套餐"]
    used = {day.on.day: day.used_bytes // GB for day in life.billing.usage(ACCOUNT, days=60)}
    assert used == {8: 31, 12: 5, 15: 10, 31: 10}
