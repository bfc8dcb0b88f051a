"""The refund rows of a month's fund-flow bills (left) against our refunds (right).

WeChat takes a refund off the account when it accepts it, or within seven days while the account holds
too little; then it closes the refund, and no money has moved. An abnormal one has been taken.
Source: pay.weixin.qq.com/doc/v3/merchant/4013071031, 2.2 to 2.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date, timedelta
from pathlib import Path

from models.refund import Refund, RefundStatus
from payments.reconcile.decide import Foreign
from payments.reconcile.fund_bill import FundRow
from payments.reconcile.fund_lines import (
    Explained,
    Line,
    Whose,
    asked,
    differs,
    first,
    missing,
    other_day,
    twice,
)
from payments.reconcile.fund_ours import (
    ACCEPTED,
    CLOSED,
    UNSURE,
    known_refunds,
    month_of,
    orders_of_transactions,
)
from payments.reconcile.ours import batched
from payments.reconcile.piles import Unequal
from payments.reconcile.result import FUNDFLOW, Finding, FundKind
from payments.reconcile.runs import seen_next_door
from payments.services import Services

BATCH = 200
# Rows that are looked up in one pass through their spool.
WANTED = 20_000
NEAR_MIDNIGHT = timedelta(hours=1)
DAYS_APART = 7

Refunds = Mapping[str, tuple[Refund, str]]


class FundRefunds:
    """`returned`: rows that brought a refund's money back. `spool`: number and transaction of each row."""

    def __init__(
        self,
        services: Services,
        month: date,
        explained: Explained,
        *,
        returned: Mapping[str, FundRow],
        spool: Path,
    ) -> None:
        self._services = services
        self._month = month_of(month)
        self._explained = explained
        self._returned = dict(returned)
        self._spool = spool
        self.foreign = Foreign()

    def findings(self, unequal: Iterable[Unequal]) -> Iterator[Finding]:
        """Every difference once."""
        unknown: list[Line] = []
        for batch in batched(unequal, BATCH):
            found = self._known([one.key.decode() for one in batch])
            for one in batch:
                if one.key.decode() in found or one.right:
                    yield from self._ours(one, found)
                else:
                    unknown += map(Line.of, one.left + one.repeated_left)
            if len(unknown) >= WANTED:
                yield from self._strangers(unknown)
                unknown = []
        yield from self._strangers(unknown)
        yield from self._came_back()

    def _ours(self, one: Unequal, found: Refunds) -> Iterator[Finding]:
        refund, order_no = found.get(one.key.decode(), (None, None))
        whose = Whose(refund.order_id if refund else None, order_no)
        yield from twice(one, whose, self._explained)
        left, right = first(one.left), first(one.right)
        if left and right:
            yield from self._both(left, right, whose)
        elif left and refund:
            yield from self._only_in_bill(left, refund, whose)
        elif right and refund:
            yield from self._only_ours(right, refund, whose)

    def _both(self, left: Line, right: Line, whose: Whose) -> Iterator[Finding]:
        if not left.same_money(right):
            yield differs(FundKind.REFUND_DIFFERS, left, right, whose, self._explained)
        elif right.note == CLOSED:
            yield from self._closed(left, right.on, whose)
        elif right.note != UNSURE:
            yield from other_day(left, right.on, whose, self._explained, days_apart=DAYS_APART)

    def _closed(self, left: Line, ours_on: date, whose: Whose) -> Iterator[Finding]:
        """The account paid for a refund that was closed: well if the money came back."""
        self._explained.moved[left.on] += left.fen
        self._explained.moved[ours_on] -= left.fen
        back = self._returned.pop(left.number, None)
        if back is None or back.whole_fen != left.fen:
            yield asked(FundKind.REFUND_DIFFERS, left, whose, status=RefundStatus.CLOSED)

    def _only_in_bill(self, left: Line, refund: Refund, whose: Whose) -> Iterator[Finding]:
        ours = Line(left.number, refund.refund_id or "", refund.billed_on or left.on, refund.amount_fen)
        if refund.status not in ACCEPTED or not left.same_money(ours):
            self._explained.asked[left.on] += left.fen
            yield asked(FundKind.REFUND_DIFFERS, left, whose, status=refund.status, ours=ours.words())
        elif refund.status == RefundStatus.CLOSED:
            yield from self._closed(left, ours.on, whose)
        elif refund.billed_on is not None and refund.billed_on.replace(day=1) == self._month.on:
            # Ours of this month and not left over: another row answers to it already.
            self._explained.asked[left.on] += left.fen
            yield asked(FundKind.DUPLICATE_ROW, left, whose)
        else:
            # Also without a day of ours: it tells the month after that the row stands here.
            yield from other_day(left, ours.on, whose, self._explained, days_apart=DAYS_APART)

    def _only_ours(self, right: Line, refund: Refund, whose: Whose) -> Iterator[Finding]:
        if right.note == CLOSED:
            # It found no money to take; the trade bill lists it all the same.
            self._explained.moved[right.on] -= right.fen
            return
        with self._services.reading() as session:
            next_door = seen_next_door(session, self._month.on, right.number, FUNDFLOW)
        yield from missing(
            FundKind.REFUND_MISSING,
            right,
            whose,
            self._explained,
            next_door=next_door,
            may_wait=self._may_wait(refund),
        )

    def _may_wait(self, refund: Refund) -> bool:
        """Whether the money may leave the account next month only."""
        end = self._month.until - NEAR_MIDNIGHT
        if refund.status == RefundStatus.SUCCESS:
            return refund.success_at is None or refund.success_at >= end
        return refund.status == RefundStatus.PROCESSING

    def _strangers(self, lines: list[Line]) -> Iterator[Finding]:
        """Refunds that we do not know: of a payment of ours, or of another system's."""
        transactions = self._transactions({line.number for line in lines})
        for batch in batched(lines, BATCH):
            with self._services.reading() as session:
                paid_by = orders_of_transactions(session, [transactions[line.number] for line in batch])
            for line in batch:
                order = paid_by.get(transactions[line.number])
                if order is None:
                    self.foreign.add(line.number, line.fen)
                    continue
                self._explained.asked[line.on] += line.fen
                yield asked(
                    FundKind.REFUND_UNKNOWN, line, Whose(*order), transaction_id=transactions[line.number]
                )

    def _transactions(self, wanted: set[str]) -> dict[str, str]:
        if not wanted:
            return {}
        with self._spool.open(encoding="utf-8") as file:
            rows = (line.rstrip("\n").split("\t") for line in file)
            return {number: transaction for number, transaction in rows if number in wanted}

    def _came_back(self) -> Iterator[Finding]:
        """Money that came back, and no row of a closed refund in this month answers to it."""
        for batch in batched(list(self._returned.items()), BATCH):
            found = self._known([number for number, _ in batch])
            for number, row in batch:
                refund, order_no = found.get(number, (None, None))
                if refund and refund.status == RefundStatus.CLOSED and refund.amount_fen == row.whole_fen:
                    continue
                line = Line(number, row.business_no, row.on, row.whole_fen)
                whose = Whose(refund.order_id if refund else None, order_no)
                status = refund.status if refund else None
                yield asked(FundKind.REFUND_DIFFERS, line, whose, status=status, came_back=True)

    def _known(self, numbers: list[str]) -> Refunds:
        with self._services.reading() as session:
            return known_refunds(session, numbers)
