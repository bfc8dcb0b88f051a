"""A month of the merchant's account, day by day: what came, what went, and whether the balance follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

from payments.reconcile.fund_bill import Entry, FundRow
from payments.reconcile.ours import Tally

# A bill knows some ten kinds of business; what is beyond is one kind for us.
OTHERS_MAX = 50
MORE = "…"


@dataclass
class Break:
    """Where the balance first did not follow from the one before, and how often that day."""

    flow_no: str
    expected_fen: int
    said_fen: int
    times: int = 1


@dataclass
class FundDay:
    """One day of the bill. Income and refunds with the fees that were taken off them, as people know them.

    `fees_fen` is what was paid in fees on balance. Opening and closing are None on a day without a row.
    """

    on: date
    sha1: str | None = None
    income: Tally = field(default_factory=Tally)
    refunds: Tally = field(default_factory=Tally)
    returned: Tally = field(default_factory=Tally)
    withdrawn: Tally = field(default_factory=Tally)
    fees_fen: int = 0
    other_fen: int = 0
    opening_fen: int | None = None
    closing_fen: int | None = None
    gap: Break | None = None
    broken: Break | None = None


@dataclass
class Business:
    """Rows of a kind of business that we have no name for."""

    rows: int = 0
    in_fen: int = 0
    out_fen: int = 0


class FundMonth:
    """The days of one month, booked row by row in the order of the bills.

    `opening_fen` is what the month before left, None when nobody knows.
    """

    def __init__(self, days: Sequence[date], opening_fen: int | None = None) -> None:
        self.days = {on: FundDay(on) for on in days}
        self.others: dict[str, Business] = {}
        self._balance_fen = opening_fen
        self._today: date | None = None

    def book(self, row: FundRow) -> None:
        """Count one row, and see whether its balance follows from the one before."""
        day = self.days[row.on]
        self._follow(day, row)
        entry = row.entry
        if entry == Entry.INCOME:
            day.income.count(1, row.whole_fen)
            day.fees_fen += row.netted_fee_fen
        elif entry == Entry.REFUND:
            day.refunds.count(1, row.whole_fen)
            day.fees_fen -= row.netted_fee_fen
        elif entry == Entry.RETURNED:
            day.returned.count(1, row.whole_fen)
            day.fees_fen += row.netted_fee_fen
        elif entry in (Entry.FEE, Entry.FEE_BACK):
            day.fees_fen -= row.signed_fen
        elif entry == Entry.WITHDRAWAL:
            day.withdrawn.count(1, -row.signed_fen)
        else:
            self._other(day, row)

    @property
    def opening_fen(self) -> int | None:
        """What was there before the first row."""
        return next((day.opening_fen for day in self.days.values() if day.opening_fen is not None), None)

    @property
    def closing_fen(self) -> int | None:
        """What the last row left; without a row, what the month began with."""
        return self._balance_fen

    @property
    def fees(self) -> bool:
        """Whether this account paid fees at all; they may go to an account of their own."""
        return any(day.fees_fen for day in self.days.values())

    def sums(self) -> dict[str, Any]:
        """All days together, in fen."""
        days = self.days.values()
        tallies = {
            name: asdict(_together([getattr(day, name) for day in days]))
            for name in ("income", "refunds", "returned", "withdrawn")
        }
        return {
            **tallies,
            "fees_fen": sum(day.fees_fen for day in days),
            "other_fen": sum(day.other_fen for day in days),
            "opening_fen": self.opening_fen,
            "closing_fen": self.closing_fen,
        }

    def _follow(self, day: FundDay, row: FundRow) -> None:
        first = self._today != day.on
        before_fen = row.balance_fen - row.signed_fen
        if first:
            self._today, day.opening_fen = day.on, before_fen
        if self._balance_fen is not None and self._balance_fen != before_fen:
            found = Break(row.flow_no, self._balance_fen + row.signed_fen, row.balance_fen)
            if first:
                day.gap = found
            elif day.broken is None:
                day.broken = found
            else:
                day.broken.times += 1
        self._balance_fen = day.closing_fen = row.balance_fen

    def _other(self, day: FundDay, row: FundRow) -> None:
        known = row.business in self.others or len(self.others) < OTHERS_MAX
        business = self.others.setdefault(row.business if known else MORE, Business())
        business.rows += 1
        if row.came_in:
            business.in_fen += row.amount_fen
        else:
            business.out_fen += row.amount_fen
        day.other_fen += row.signed_fen


def _together(tallies: Sequence[Tally]) -> Tally:
    return Tally(sum(one.rows for one in tallies), sum(one.fen for one in tallies))
