"""One day of our own books, read in steps: lines to compare, and rows looked up by number."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import islice
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Select, func, select
from sqlalchemy.orm import Session

from models.clock import CAMPUS_ZONE
from models.db import Database
from models.order import Credit, CreditStatus, Order, PaymentAttempt, PaymentFact
from models.refund import Refund, RefundStatus
from payments.confirm import WECHAT

STEP = 10_000
BILL = "bill"

Line = tuple[bytes, bytes]
T = TypeVar("T")


@dataclass(frozen=True)
class Day:
    """A campus day as a stretch of time, `until` not included."""

    on: date
    since: datetime
    until: datetime

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


@dataclass(frozen=True)
class Known:
    """What we know under one out_trade_no; fact and credit None where there is none."""

    order_id: int
    order_no: str
    fact: PaymentFact | None


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Lists of up to `size` items."""
    source = iter(items)
    while batch := list(islice(source, size)):
        yield batch


def fact_lines(database: Database, day: Day, tally: Tally) -> Iterator[Line]:
    """out_trade_no, transaction_id and fen of every WeChat payment of the day."""
    columns = select(
        PaymentFact.provider, PaymentFact.out_trade_no, PaymentFact.transaction_id, PaymentFact.amount_fen
    )
    for provider, number, transaction_id, amount_fen in _steps(database, day, columns):
        # Not in the query: a database may think that an index on the provider leads there faster.
        if provider == WECHAT:
            tally.rows += 1
            tally.fen += amount_fen
            yield number.encode(), f"{number}\t{transaction_id}\t{amount_fen}".encode()


def credit_lines(database: Database, day: Day, tally: Tally) -> Iterator[Line]:
    """credit_no, account and fen of every credit that the day's payments call for, voided ones left out."""
    columns = (
        select(Credit.credit_no, Credit.account_no, Credit.amount_fen)
        .select_from(PaymentFact)
        .join(Credit, Credit.order_id == PaymentFact.order_id)
    )
    for number, account_no, amount_fen in _steps(
        database, day, columns, Credit.status != CreditStatus.VOIDED
    ):
        tally.rows += 1
        tally.fen += amount_fen
        yield number.encode(), f"{number}\t{account_no}\t{amount_fen}".encode()


def repaired(database: Database, day: Day) -> Iterator[Known]:
    """Payments of the day that nobody but a bill told us of."""
    columns = select(PaymentFact, Order.order_no).join(Order, Order.id == PaymentFact.order_id)
    with database.reading() as session:
        rows = session.execute(
            columns.where(*_in_day(day), PaymentFact.provider == WECHAT, PaymentFact.cause == BILL)
        )
        yield from (Known(fact.order_id, order_no, fact) for fact, order_no in rows)


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


def known_credits(session: Session, numbers: Sequence[str]) -> dict[str, tuple[Credit, str]]:
    """Credits by credit_no, each with its order number, in one query."""
    query = (
        select(Credit, Order.order_no)
        .join(Order, Order.id == Credit.order_id)
        .where(Credit.credit_no.in_(numbers))
    )
    return {credit.credit_no: (credit, order_no) for credit, order_no in session.execute(query)}


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


def _steps(
    database: Database, day: Day, columns: Select[*tuple[Any, ...]], *where: ColumnElement[bool]
) -> Iterator[Sequence[Any]]:
    """Rows of the day in steps of fact ids: nothing to sort, short reads, flat memory."""
    with database.connection() as connection:
        ends = select(func.min(PaymentFact.id), func.max(PaymentFact.id)).where(*_in_day(day))
        found: Sequence[int | None] = connection.execute(ends).one()
    first, last = found
    if first is None or last is None:
        return
    query = columns.where(*_in_day(day), *where)
    for start in range(first, last + 1, STEP):
        with database.connection() as connection:
            yield from connection.execute(query.where(PaymentFact.id.between(start, start + STEP - 1))).all()
