"""All that a monthly reconciliation reads before it writes: bills and our books, in sums and on piles."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from models.clock import days_of
from models.db.engine import Database
from models.errors import Malformed
from payments.reconcile.fund_bill import Entry, FundBill, FundRow
from payments.reconcile.fund_days import FundMonth
from payments.reconcile.fund_lines import Line
from payments.reconcile.fund_ours import payments_of, refunds_of
from payments.reconcile.odd_rows import OddRows
from payments.reconcile.ours import Tally, batched
from payments.reconcile.piles import Piles, piles_for

ROWS_AT_ONCE = 500
# So much of its hash names a bill in a finding.
NAME_LENGTH = 12


@dataclass(frozen=True)
class Source:
    """One bill file; `on` is the only day it may speak of, None for a file that somebody gave us."""

    path: Path
    sha1: str
    on: date | None = None


class Books:
    """One month. The left piles are the bills', the right ones ours; `returned` are refunds that came back.

    `spool` holds number and transaction of every refund row.
    """

    def __init__(self, folder: Path, month: date, sources: Sequence[Source], opening_fen: int | None) -> None:
        self._sources = sources
        self.month = month
        self.account = FundMonth(days_of(month), opening_fen)
        self.paid, self.refunded = Tally(), Tally()
        self.known_foreign = {"incomes": Tally(), "refunds": Tally()}
        self.returned: dict[str, FundRow] = {}
        self.odd: list[tuple[str, OddRows]] = []
        self.spool = folder / "refund-rows"
        count = piles_for(sum(source.path.stat().st_size for source in sources))
        self.incomes = Piles(folder, "incomes", count)
        self.payments = Piles(folder, "payments", count)
        self.outgoing = Piles(folder, "outgoing", count)
        self.refunds = Piles(folder, "refunds", count)

    @property
    def sha1(self) -> str | None:
        """A hash over those of all bills, None when there is none."""
        if not self._sources:
            return None
        text = "\n".join(source.sha1 for source in self._sources)
        return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    def read_bills(self, prefixes: tuple[str, ...]) -> None:
        """Take in every bill, in order; numbers with a known prefix are only counted. Raises: Malformed."""
        with self.spool.open("w", encoding="utf-8") as spool:
            for source in self._sources:
                bill = FundBill(source.path)
                self.odd.append((source.sha1[:NAME_LENGTH], bill.odd))
                for rows in batched(bill.rows(), ROWS_AT_ONCE):
                    self._book(rows, source)
                    self.incomes.deal(map(_line, self._unknown(rows, Entry.INCOME, "incomes", prefixes)))
                    refunds = list(self._unknown(rows, Entry.REFUND, "refunds", prefixes))
                    spool.writelines(f"{row.voucher}\t{row.flow_no}\n" for row in refunds)
                    self.outgoing.deal(map(_line, refunds))

    def read_ours(self, database: Database) -> None:
        """Take in our payments and refunds."""
        for on in self.account.days:
            for lines in payments_of(database, on, self.paid):
                self.payments.deal(lines)
        for lines in refunds_of(database, self.month, self.refunded):
            self.refunds.deal(lines)

    def _book(self, rows: Sequence[FundRow], source: Source) -> None:
        for row in rows:
            if row.on not in self.account.days or source.on not in (None, row.on):
                raise Malformed(
                    f"a row of {row.on} stands in the fund-flow bill of {source.on or self.month}"
                )
            self.account.book(row)
            self.account.days[row.on].sha1 = source.sha1
            if row.entry == Entry.RETURNED:
                self.returned[row.voucher] = row

    def _unknown(
        self, rows: Sequence[FundRow], entry: Entry, side: str, prefixes: tuple[str, ...]
    ) -> Iterator[FundRow]:
        """The rows of one kind that are not of another, known system; those are counted."""
        for row in rows:
            if row.entry != entry:
                continue
            if row.voucher.startswith(prefixes):
                self.known_foreign[side].count(1, row.whole_fen)
            else:
                yield row


def _line(row: FundRow) -> bytes:
    return Line(row.voucher, row.business_no, row.on, row.whole_fen).text()
