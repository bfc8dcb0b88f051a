"""One day of our own books, read in steps: lines to compare, and rows looked up by number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import TypeVar

from sqlalchemy import ColumnElement, and_, case, func, select
from sqlalchemy.orm import Session

from models.bulk import in_steps, line_of, lines, taken_apart
from models.clock import CAMPUS_ZONE
from models.db.engine import Database
from models.order import CREDIT_VOID, Credit, Order, PaymentAttempt, PaymentFact
from models.refund import Refund, RefundStatus
from payments.confirm import COUNTER, WECHAT

BILL = "bill"

T = TypeVar("T")


@dataclass(frozen=True)
class Day:
    """A campus day as a stretch of time, `until` not included."""

    on: date
    since: datetime
    until: datetime

    def holds(self, at: datetime | None) -> bool:
        """Whether this moment belongs to the day."""
        return at is not None and self.since <= at < self.until

    @classmethod
    def of(cls, on: date) -> Day:
        """From midnight to midnight in Beijing."""
        since = datetime.combine(on, time(), CAMPUS_ZONE).astimezone(UTC)
        return cls(on, since, since + timedelta(days=1))


@dataclass
class Tally:
    """How many rows went by, and their fen."""

    rows: int = 0
    fen: int = 0

    def count(self, rows: int, fen: int) -> None:
        """Some more."""
        self.rows += rows
        self.fen += fen


@dataclass(frozen=True)
class Known:
    """What we know under one out_trade_no; `fact` is None while it is unpaid."""

    order_id: int
    order_no: str
    fact: PaymentFact | None


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of up to `size` items."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch


@dataclass(frozen=True)
class Promises:
    """A step of the day: lines of our WeChat payments, and of the credits that payments call for.

    `repaired` are the out_trade_no of payments that nobody but a bill told us of.
    """

    payments: list[bytes]
    credits: list[bytes]
    repaired: list[bytes]


def promises(database: Database, day: Day, paid: Tally, promised: Tally) -> Iterator[Promises]:
    """All payments of the day; the tallies count along.

    An order's credit is called for by the payment that paid it, not by a second one nor when it was voided.
    A payment's line is out_trade_no, transaction_id, fen; a credit's is credit_no, account, fen.
    """
    ours = PaymentFact.provider == WECHAT
    called_for = and_(Credit.status.not_in(CREDIT_VOID), Order.transaction_id == PaymentFact.transaction_id)
    payment = line_of(PaymentFact.out_trade_no, PaymentFact.transaction_id, PaymentFact.amount_fen)
    credit = line_of(Credit.credit_no, Credit.account_no, Credit.amount_fen)
    query = (
        select(
            func.sum(case((ours, PaymentFact.amount_fen))),
            lines(case((ours, payment))),
            func.sum(case((called_for, Credit.amount_fen))),
            lines(case((called_for, credit))),
            lines(case((PaymentFact.cause == BILL, PaymentFact.out_trade_no))),
        )
        .select_from(PaymentFact)
        .join(Order, Order.id == PaymentFact.order_id)
        .outerjoin(Credit, Credit.order_id == PaymentFact.order_id)
    )
    for paid_fen, payment_lines, promised_fen, credit_lines, repaired in in_steps(
        database, query, PaymentFact.id, *_in_day(day)
    ):
        step = Promises(taken_apart(payment_lines), taken_apart(credit_lines), taken_apart(repaired))
        paid.count(len(step.payments), int(paid_fen or 0))
        promised.count(len(step.credits), int(promised_fen or 0))
        yield step


def at_the_counter(session: Session, day: Day) -> Tally:
    """Payments of the day that came over the counter or by a bank list; WeChat's bill has none of them."""
    query = select(func.count(), func.coalesce(func.sum(PaymentFact.amount_fen), 0))
    rows, fen = session.execute(query.where(PaymentFact.provider == COUNTER, *_in_day(day))).one()
    return Tally(rows, int(fen))


def known(session: Session, numbers: Sequence[str]) -> dict[str, Known]:
    """What we know under these out_trade_no, in one query."""
    query = (
        select(PaymentAttempt.out_trade_no, Order.id, Order.order_no, PaymentFact)
        .join(Order, Order.id == PaymentAttempt.order_id)
        .outerjoin(
            PaymentFact,
            (PaymentFact.out_trade_no == PaymentAttempt.out_trade_no) & (PaymentFact.provider == WECHAT),
        )
        .where(PaymentAttempt.out_trade_no.in_(numbers))
    )
    return {
        number: Known(order_id, order_no, fact) for number, order_id, order_no, fact in session.execute(query)
    }


@dataclass(frozen=True)
class KnownCredit:
    """A credit of ours; `paid_at` is when the payment came that calls for it."""

    credit: Credit
    order_no: str
    paid_at: datetime | None


def known_credits(session: Session, numbers: Sequence[str]) -> dict[str, KnownCredit]:
    """Credits by credit_no, in one query."""
    query = (
        select(Credit, Order.order_no, Order.paid_at)
        .join(Order, Order.id == Credit.order_id)
        .where(Credit.credit_no.in_(numbers))
    )
    return {
        credit.credit_no: KnownCredit(credit, order_no, paid_at)
        for credit, order_no, paid_at in session.execute(query)
    }


def unbilled_refunds(session: Session, day: Day) -> list[tuple[Refund, str]]:
    """Refunds of ours that arrived on the day and stand in no bill, each with its order number."""
    query = (
        select(Refund, Order.order_no)
        .join(Order, Order.id == Refund.order_id)
        .where(
            Refund.status == RefundStatus.SUCCESS,
            Refund.origin == "ours",
            Refund.success_at >= day.since,
            Refund.success_at < day.until,
            Refund.billed_on.is_(None),
        )
    )
    return [(refund, order_no) for refund, order_no in session.execute(query)]


def _in_day(day: Day) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return PaymentFact.paid_at >= day.since, PaymentFact.paid_at < day.until
