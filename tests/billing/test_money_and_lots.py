"""Any order of credits, purchases, traffic, reversals and months: money is conserved, no lot is overdrawn."""

from __future__ import annotations

from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, make_url, select

from billing.embedded import exchange, ledger, seed, usage
from billing.embedded.accounts import open_account
from billing.embedded.engine import EmbeddedBilling
from models.db.engine import Database
from models.errors import Refused
from models.ledger import Account, Posting
from models.package import Counted, LotKind, MonthRule, Purchase, TrafficLot, TrafficRule
from tests.billing.fixed_clock import FixedClock

GB = 10**9
PRICES = {"P05": 500, "P10": 1000, "P20": 2000, "P30": 3000}
ACCOUNTS = ("A1", "A2")

account = st.sampled_from(ACCOUNTS)
steps = st.one_of(
    st.tuples(st.just("credit"), account, st.integers(400, 4000)),
    st.tuples(st.just("buy"), account, st.sampled_from(sorted(PRICES))),
    st.tuples(st.just("use"), account, st.integers(1, 70 * GB)),
    st.tuples(st.just("reverse"), account, st.integers(1, 4000)),
    st.tuples(st.just("wait"), account, st.sampled_from((1, 10, 31, 40))),
)


class Story:
    """Plays steps and keeps its own simple book of what must have come out."""

    def __init__(self, database: Database, *, carries_over: bool) -> None:
        self.database, self.clock = database, FixedClock()
        self.billing = EmbeddedBilling(database, self.clock)
        self.credits: list[tuple[str, str]] = []
        self.expected_fen = dict.fromkeys(ACCOUNTS, 0)
        self.spent_fen = self.number = 0
        with database.transaction() as session:
            seed.seed_catalogue(session)
            seed.seed_grant_policy(session)
            for account_no in ACCOUNTS:
                open_account(session, account_no=account_no, name="李", kind="staff", now=self.clock())
            session.add(
                TrafficRule(
                    effective_from=self.clock(),
                    bytes_per_gb=GB,
                    month_rule=MonthRule.SAME_DAY,
                    counted=Counted.BOTH,
                    ended_is_used_up=True,
                    rest_carries_over=carries_over,
                )
            )

    def play(self, verb: str, account_no: str, what: Any) -> None:
        self.number += 1
        with suppress(Refused):
            getattr(self, verb)(account_no, what)

    def credit(self, account_no: str, fen: int) -> None:
        self.billing.credit(account_no, fen, key=f"C{self.number}")
        self.credits.append((account_no, f"C{self.number}"))
        self.expected_fen[account_no] += fen

    def buy(self, account_no: str, code: str) -> None:
        seen = self.billing.preview_exchange(account_no, code)
        self.billing.exchange(account_no, code, key=f"X{self.number}", price_fen=PRICES[code])
        after = self.billing.balance(account_no)
        assert (after.balance_fen, after.left_bytes) == (seen.balance_after_fen, seen.left_after_bytes)
        self.expected_fen[account_no] -= PRICES[code]
        self.spent_fen += PRICES[code]

    def use(self, account_no: str, count: int) -> None:
        before = self.billing.balance(account_no)
        with self.database.transaction() as session:
            slow_bytes = usage.record_usage(session, account_no, count, self.clock())
        after = self.billing.balance(account_no)
        assert before.left_bytes - after.left_bytes == count - slow_bytes
        assert bool(after.slow_because) == after.throttled

    def reverse(self, account_no: str, fen: int) -> None:
        mine = [key for owner, key in self.credits if owner == account_no]
        if mine:
            self.billing.reverse(account_no, fen, key=f"V{self.number}", credit_key=mine[fen % len(mine)])
            self.expected_fen[account_no] -= fen

    def wait(self, _account_no: str, days: int) -> None:
        self.clock.now += timedelta(days=days)

    def check(self) -> None:
        with self.database.reading() as session:
            assert session.execute(select(func.sum(Posting.amount_fen))).scalar_one() in (None, 0)
            assert ledger.wrong_balances(session) == []
            rows = session.scalars(select(Account))
            assert {row.account_no: row.balance_fen for row in rows} == self.expected_fen
            assert min(self.expected_fen.values()) >= 0
            assert ledger.book_sum(session, exchange.INCOME) == self.spent_fen
            for lot in session.scalars(select(TrafficLot)):
                assert 0 <= lot.used_bytes <= lot.total_bytes
            bought = select(func.sum(TrafficLot.total_bytes)).where(TrafficLot.kind != LotKind.GRANT)
            # What was carried over left one lot for another: nothing came from nowhere.
            assert session.scalar(bought) == session.scalar(select(func.sum(Purchase.quota_bytes)))
            open_lots = select(func.count()).where(
                TrafficLot.kind != LotKind.GRANT, TrafficLot.closed_at.is_(None)
            )
            assert max(session.scalars(open_lots.group_by(TrafficLot.account_no)), default=0) <= 1


@pytest.fixture
def empty(sqlite_database: Database) -> bytes:
    """A file with all tables and no rows."""
    sqlite_database.dispose()
    return Path(str(make_url(sqlite_database.url).database)).read_bytes()


@pytest.mark.long
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=st.lists(steps, max_size=25), carries_over=st.booleans())
@example(
    story=[("credit", "A1", 2000), ("buy", "A1", "P05"), ("wait", "A1", 40), ("buy", "A1", "P10")],
    carries_over=True,
)
def test_money_is_conserved_and_no_lot_is_overdrawn(
    empty: bytes, tmp_path: Path, story: list[Any], *, carries_over: bool
) -> None:
    file = tmp_path / "story.db"
    file.write_bytes(empty)
    database = Database(f"sqlite:///{file}")
    try:
        played = Story(database, carries_over=carries_over)
        for verb, account_no, what in story:
            played.play(verb, account_no, what)
        played.check()
    finally:
        # Closing the last connection takes the journal files away.
        database.dispose()
