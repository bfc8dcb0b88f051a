"""Our own books of one month, as the fund-flow bill should have them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, time
from typing import Any

from sqlalchemy import and_, func, literal, or_, select
from sqlalchemy.orm import Session

from models.bulk import in_steps, line_of, lines, taken_apart
from models.clock import CAMPUS_ZONE, campus_date, next_month
from models.db.engine import Database
from models.order import Order, PaymentFact
from models.refund import Refund, RefundStatus
from models.statement import FINISHED, ReconRun
from payments.confirm import WECHAT
from payments.reconcile.fund_lines import MARK, Line
from payments.reconcile.ours import Day, Tally
from payments.reconcile.result import TRADE

# WeChat has accepted it. Whatever became of it then, the bill may have it.
ACCEPTED = (RefundStatus.PROCESSING, RefundStatus.SUCCESS, RefundStatus.ABNORMAL, RefundStatus.CLOSED)
# The note of a line: our refund was closed, or nobody told us on which day it was accepted.
CLOSED, UNSURE = "closed", "unsure"
ROWS_AT_ONCE = 1000


def month_of(month: date) -> Day:
    """A campus month as a stretch of time."""
    ends = [datetime.combine(on, time(), CAMPUS_ZONE).astimezone(UTC) for on in (month, next_month(month))]
    return Day(month, *ends)


def payments_of(database: Database, on: date, tally: Tally) -> Iterator[list[bytes]]:
    """Lines of our WeChat payments of a campus day."""
    day, middle = Day.of(on), literal(f"{on}{MARK}{MARK}") + PaymentFact.transaction_id
    line = line_of(PaymentFact.out_trade_no, middle, PaymentFact.amount_fen)
    query = select(func.sum(PaymentFact.amount_fen), lines(line))
    where = (
        PaymentFact.provider == WECHAT,
        PaymentFact.paid_at >= day.since,
        PaymentFact.paid_at < day.until,
    )
    for summed_fen, text in in_steps(database, query, PaymentFact.id, *where):
        found = taken_apart(text)
        tally.count(len(found), int(summed_fen or 0))
        yield found


def refunds_of(database: Database, month: date, tally: Tally) -> Iterator[list[bytes]]:
    """Lines of the refunds that WeChat accepted in the month.

    The day is that of the trade bill that lists the refund. The tally leaves out closed ones.
    """
    stretch, last_id = month_of(month), 0
    accepted = or_(
        and_(Refund.billed_on >= month, Refund.billed_on < next_month(month)),
        and_(
            Refund.billed_on.is_(None),
            Refund.status == RefundStatus.SUCCESS,
            Refund.success_at >= stretch.since,
            Refund.success_at < stretch.until,
        ),
    )
    query = (
        select(Refund)
        .where(Refund.status.in_(ACCEPTED), Refund.refund_id.is_not(None), accepted)
        .order_by(Refund.id)
        .limit(ROWS_AT_ONCE)
    )
    while True:
        with database.reading() as session:
            found = list(session.scalars(query.where(Refund.id > last_id)))
        if not found:
            return
        last_id = found[-1].id
        counted = [one for one in found if one.status != RefundStatus.CLOSED]
        tally.count(len(counted), sum(one.amount_fen for one in counted))
        yield [_line(one, on) for one in found if (on := accepted_on(one))]


def known_refunds(session: Session, numbers: Sequence[str]) -> dict[str, tuple[Refund, str]]:
    """Our refunds by out_refund_no, each with its order number, in one query."""
    query = (
        select(Refund, Order.order_no)
        .join(Order, Order.id == Refund.order_id)
        .where(Refund.out_refund_no.in_(numbers))
    )
    return {refund.out_refund_no: (refund, order_no) for refund, order_no in session.execute(query)}


def orders_of_transactions(session: Session, numbers: Sequence[str]) -> dict[str, tuple[int, str]]:
    """Order id and number by the transaction that paid it, in one query."""
    query = (
        select(PaymentFact.transaction_id, Order.id, Order.order_no)
        .join(Order, Order.id == PaymentFact.order_id)
        .where(PaymentFact.provider == WECHAT, PaymentFact.transaction_id.in_(numbers))
    )
    return {number: (order_id, order_no) for number, order_id, order_no in session.execute(query)}


def trade_bills(session: Session, month: date) -> dict[date, dict[str, Any] | None]:
    """The sums of the trade bill by day, as the daily reconciliation kept them; None: an empty day."""
    query = select(ReconRun.bill_on, ReconRun.totals).where(
        ReconRun.kind == TRADE,
        ReconRun.bill_on >= month,
        ReconRun.bill_on < next_month(month),
        ReconRun.status.in_(FINISHED),
    )
    return {on: totals.get("bill") for on, totals in session.execute(query)}


def first_reconciled(session: Session) -> date | None:
    """The first day that was ever reconciled: before it, nobody expects a result."""
    return session.scalar(
        select(func.min(ReconRun.bill_on)).where(ReconRun.kind == TRADE, ReconRun.status.in_(FINISHED))
    )


def accepted_on(refund: Refund) -> date | None:
    """The campus day on which WeChat accepted a refund, or the next best that we know."""
    if refund.billed_on is not None:
        return refund.billed_on
    return None if refund.success_at is None else campus_date(refund.success_at)


def _line(refund: Refund, on: date) -> bytes:
    note = UNSURE if refund.billed_on is None else ""
    if refund.status == RefundStatus.CLOSED:
        note = CLOSED
    return Line(refund.out_refund_no, refund.refund_id or "", on, refund.amount_fen, note).text()
