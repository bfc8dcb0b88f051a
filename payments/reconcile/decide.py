"""What a difference means: lines that do not agree become findings; what is certain is repaired."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from models.errors import Mismatch
from payments import numbers
from payments.confirm import WECHAT, PaidFact, confirm_paid
from payments.reconcile.bill import Bill, BillRow
from payments.reconcile.odd_rows import shown
from payments.reconcile.ours import BILL, Day, Known, batched, known
from payments.reconcile.piles import Unequal
from payments.reconcile.result import Action, Finding, Kind
from payments.reconcile.runs import seen_next_door
from payments.refunds.external import note_refunded_trade
from payments.services import Services
from payments.wechatpay.errors import TradeNotFound

BATCH = 200
# Bill rows that are looked up in one pass through the file.
WANTED = 50_000
# WeChat is asked about so many payments missing in the bill; more are a disaster, which no query mends.
# About a payment that is to be repaired it is asked always: a credit may hang on the answer.
QUERIES_MAX = 200
NEAR_MIDNIGHT = timedelta(hours=1)
# Trade states, and what stands for one where WeChat gives none.
REFUNDED = "REFUND"
PAID = ("SUCCESS", REFUNDED)
NOT_ASKED, NO_ORDER = "not asked", "no such order"


@dataclass
class Foreign:
    """Rows of other systems on the same merchant number: how many, their fen, and some numbers."""

    rows: int = 0
    fen: int = 0
    numbers: list[str] = field(default_factory=list)

    def add(self, number: str, amount_fen: int) -> None:
        """Count one row."""
        self.rows += 1
        self.fen += amount_fen
        if len(self.numbers) < 10:  # noqa: PLR2004 - enough to recognise the system by
            self.numbers.append(number[:32])


class Payments:
    """Bill lines (left) against our payment facts (right) of one day."""

    def __init__(self, services: Services, day: Day, bill: Bill | None) -> None:
        self._services = services
        self._day = day
        self._bill = bill
        self._queries = 0
        self.foreign = Foreign()

    def findings(self, unequal: Iterable[Unequal]) -> Iterator[Finding]:
        """Every difference once; numbers that only the bill has are kept for a look into the file."""
        unknown: list[str] = []
        for one in unequal:
            yield from self._contradiction(one)
            if one.left and not one.right:
                number = shown(one.key)
                if is_ours(number):
                    unknown.append(number)
                else:
                    yield self._foreign(one)
            if one.right and not one.left:
                yield from self._missing(one)
            if len(unknown) >= WANTED:
                yield from self._only_in_bill(unknown)
                unknown = []
        yield from self._only_in_bill(unknown)

    def _contradiction(self, one: Unequal) -> Iterator[Finding]:
        number = shown(one.key)
        if one.repeated_left or len(one.left) > 1:
            yield self._asked(Kind.DUPLICATE_ROW, number, (one.repeated_left or one.left)[0])
        if one.left and one.right:
            yield self._asked(Kind.AMOUNT_DIFFERS, number, one.left[0], ours=_words(one.right[0]))

    def _asked(self, kind: Kind, number: str, line: bytes, **facts: object) -> Finding:
        with self._services.reading() as session:
            found = known(session, [number]).get(number)
        return Finding(
            kind=kind,
            key=number,
            action=Action.ASKED,
            amount_fen=_fen(line),
            order_id=found.order_id if found else None,
            order_no=found.order_no if found else None,
            facts={"out_trade_no": number, "bill": _words(line), **facts},
        )

    def _foreign(self, one: Unequal) -> Finding:
        number, amount_fen = shown(one.key), sum(map(_fen, one.left))
        self.foreign.add(number, amount_fen)
        return Finding(
            kind=Kind.FOREIGN,
            key=number,
            # One question for all of them: whether this other system is known.
            action=Action.LISTED,
            amount_fen=amount_fen,
            facts={"transaction_id": _words(one.left[0])[0]},
        )

    def _missing(self, one: Unequal) -> Iterator[Finding]:
        number = shown(one.key)
        with self._services.reading() as session:
            if seen_next_door(session, self._day.on, number):
                return
            found = known(session, [number]).get(number)
        if found is None or found.fact is None:
            return
        near = found.fact.paid_at >= self._day.until - NEAR_MIDNIGHT
        self._queries += 1
        said = self._state_at_wechat(number) if self._queries <= QUERIES_MAX else NOT_ASKED
        state = "paid" if said in PAID else said if said in (NOT_ASKED, NO_ORDER) else f"not paid ({said})"
        yield Finding(
            kind=Kind.MISSING_IN_BILL,
            key=number,
            action=Action.WAIT if state == "paid" and near else Action.ASKED,
            amount_fen=_fen(one.right[0]),
            order_id=found.order_id,
            order_no=found.order_no,
            facts={"out_trade_no": number, "ours": _words(one.right[0]), "wechat_says": state},
        )

    def _state_at_wechat(self, number: str) -> str:
        """The trade_state now, or why there is none. Raises: PayRefused; Unknown, Unavailable."""
        try:
            return self._services.pay.query(number).trade_state
        except TradeNotFound:
            return NO_ORDER

    def _only_in_bill(self, wanted: Sequence[str]) -> Iterator[Finding]:
        if not wanted or self._bill is None:
            return
        rows = self._bill.find({number.encode() for number in wanted})
        for batch in batched((row for row in rows if row.paid), BATCH):
            with self._services.reading() as session:
                found = known(session, [row.out_trade_no for row in batch])
            for row in batch:
                yield self._explain(row, found.get(row.out_trade_no))

    def _explain(self, row: BillRow, found: Known | None) -> Finding:
        if found is None:
            return self._told(Kind.FOREIGN, row, None, Action.ASKED, ours=True)
        if found.fact is None:
            return self._repair(row, found)
        if self._day.holds(found.fact.paid_at):
            # Ours of this day and not left over: another row answers to it already.
            return self._told(Kind.DUPLICATE_ROW, row, found, Action.ASKED)
        if (found.fact.transaction_id, found.fact.amount_fen) != (row.transaction_id, row.order_fen):
            return self._told(Kind.AMOUNT_DIFFERS, row, found, Action.ASKED, ours=found.fact.amount_fen)
        return self._told(Kind.OTHER_DAY, row, found, Action.NONE, ours_at=found.fact.paid_at.isoformat())

    def _repair(self, row: BillRow, found: Known) -> Finding:
        """The notice was lost and no query found it: the bill's word is as good, for the day it was made.

        The money may have gone back since; what went back is not credited beside it.
        """
        said = self._state_at_wechat(row.out_trade_no)
        if said not in PAID and self._bill is not None and self._bill.odd.rows:
            # Text of another system may look like a row, where it breaks one.
            return self._told(Kind.LOST_NOTIFY, row, found, Action.ASKED, wechat_says=said)
        back = said == REFUNDED
        try:
            self._believe(row, found.order_no, back=back)
        except Mismatch as error:
            return self._told(Kind.AMOUNT_DIFFERS, row, found, Action.ASKED, field=error.field)
        return self._told(Kind.LOST_NOTIFY, row, found, Action.REPAIRED, refunded=back)

    def _believe(self, row: BillRow, order_no: str, *, back: bool) -> None:
        pay, now = self._services.pay, self._services.clock()
        if row.app_id != pay.app_id:
            raise Mismatch("appid", order_no)
        if row.mch_id != pay.mch_id:
            raise Mismatch("mchid", order_no)
        fact = PaidFact(
            provider=WECHAT,
            out_trade_no=row.out_trade_no,
            transaction_id=row.transaction_id,
            amount_fen=row.order_fen,
            currency=row.currency,
            openid=row.openid,
            paid_at=row.at,
            attach=row.attach,
        )
        with self._services.transaction() as session:
            order = confirm_paid(session, fact, cause=BILL, now=now)
            if back:
                note_refunded_trade(session, order, row.out_trade_no, cause=BILL, now=now)
        self._services.wake()

    @staticmethod
    def _told(kind: Kind, row: BillRow, found: Known | None, action: Action, **facts: object) -> Finding:
        return Finding(
            kind=kind,
            key=row.out_trade_no,
            action=action,
            amount_fen=row.order_fen,
            order_id=found.order_id if found else None,
            order_no=found.order_no if found else None,
            facts={"transaction_id": row.transaction_id, "bill_at": row.at.isoformat(), **facts},
        )


def flagged(services: Services, out_trade_nos: Iterable[str]) -> Iterator[Finding]:
    """Payments that an earlier run of the same day repaired stay visible in this one."""
    for batch in batched(out_trade_nos, BATCH):
        with services.reading() as session:
            found = known(session, batch)
        for one in found.values():
            if one.fact is not None:
                yield Finding(
                    kind=Kind.LOST_NOTIFY,
                    key=one.fact.out_trade_no,
                    action=Action.REPAIRED,
                    amount_fen=one.fact.amount_fen,
                    order_id=one.order_id,
                    order_no=one.order_no,
                    facts={
                        "transaction_id": one.fact.transaction_id,
                        "bill_at": one.fact.paid_at.isoformat(),
                    },
                )


def _words(line: bytes) -> list[str]:
    return [shown(field) for field in line.rsplit(b"\t", 2)[1:]]


def _fen(line: bytes) -> int:
    return int(line.rsplit(b"\t", 1)[1])


def is_ours(out_trade_no: str) -> bool:
    """Whether the number has the shape of ours: an order number and two digits."""
    return bool(numbers.ORDER_NO.fullmatch(out_trade_no[:-2])) and out_trade_no[-2:].isdecimal()
