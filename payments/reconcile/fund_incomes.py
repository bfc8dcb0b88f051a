"""The trade rows of a month's fund-flow bills (left) against our payment facts (right)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta

from models.clock import campus_date
from models.order import PaymentFact
from payments.reconcile.decide import Foreign, is_ours
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
from payments.reconcile.fund_ours import month_of
from payments.reconcile.ours import Known, batched, known
from payments.reconcile.piles import Unequal
from payments.reconcile.result import FUNDFLOW, Finding, FundKind
from payments.reconcile.runs import seen_next_door
from payments.services import Services

BATCH = 200
NEAR_MIDNIGHT = timedelta(hours=1)
DAYS_APART = 1


class Incomes:
    """`foreign` counts rows of other systems on the same merchant number."""

    def __init__(self, services: Services, month: date, explained: Explained) -> None:
        self._services = services
        self._month = month_of(month)
        self._explained = explained
        self.foreign = Foreign()

    def findings(self, unequal: Iterable[Unequal]) -> Iterator[Finding]:
        """Every difference once."""
        for batch in batched(unequal, BATCH):
            numbers = [one.key.decode() for one in batch]
            with self._services.reading() as session:
                found = known(session, [number for number in numbers if is_ours(number)])
            for one, number in zip(batch, numbers, strict=True):
                if is_ours(number):
                    yield from self._ours(one, found.get(number))
                else:
                    for line in map(Line.of, one.left + one.repeated_left):
                        self.foreign.add(number, line.fen)

    def _ours(self, one: Unequal, known_as: Known | None) -> Iterator[Finding]:
        whose = Whose(known_as.order_id, known_as.order_no) if known_as else Whose()
        fact = known_as.fact if known_as else None
        yield from twice(one, whose, self._explained)
        left, right = first(one.left), first(one.right)
        if left and right and left.same_money(right):
            yield from other_day(left, right.on, whose, self._explained, days_apart=DAYS_APART)
        elif left and right:
            yield differs(FundKind.INCOME_DIFFERS, left, right, whose, self._explained)
        elif left:
            yield from self._only_in_bill(left, fact, whose)
        elif right:
            yield from self._only_ours(right, fact, whose)

    def _only_in_bill(self, left: Line, fact: PaymentFact | None, whose: Whose) -> Iterator[Finding]:
        if fact is not None and not self._month.holds(fact.paid_at):
            on = campus_date(fact.paid_at)
            ours = Line(left.number, fact.transaction_id, on, fact.amount_fen)
            if left.same_money(ours):
                yield from other_day(left, on, whose, self._explained, days_apart=DAYS_APART)
            else:
                yield differs(FundKind.INCOME_DIFFERS, left, ours, whose, self._explained)
            return
        self._explained.asked[left.on] += left.fen
        # A fact of this month that is not left over: another row answers to it already.
        yield asked(FundKind.INCOME_UNKNOWN if fact is None else FundKind.DUPLICATE_ROW, left, whose)

    def _only_ours(self, right: Line, fact: PaymentFact | None, whose: Whose) -> Iterator[Finding]:
        with self._services.reading() as session:
            next_door = seen_next_door(session, self._month.on, right.number, FUNDFLOW)
        late = fact is not None and fact.paid_at >= self._month.until - NEAR_MIDNIGHT
        yield from missing(
            FundKind.INCOME_MISSING, right, whose, self._explained, next_door=next_door, may_wait=late
        )
