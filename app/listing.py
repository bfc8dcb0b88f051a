"""Orders for the command line: a list, and one order from prepay to the ledger."""

from __future__ import annotations

from sqlalchemy import select

from models.db import Database
from models.money import yuan
from models.order import Order, credit_of
from payments import trace
from payments.views import view_of


def list_orders(database: Database, limit: int) -> list[str]:
    """One line an order, newest first."""
    with database.reading() as session:
        found = session.scalars(select(Order).order_by(Order.id.desc()).limit(limit))
        return [
            f"{order.order_no}  {order.created_at:%Y-%m-%d %H:%M:%S}Z  {yuan(order.amount_fen):>8}  "
            f"{order.account_no:<12}  {view_of(order, credit_of(session, order.id)).step}"
            for order in found
        ]


def describe_order(database: Database, number: str) -> list[str] | None:
    """One order as a page of log, times in UTC; None when no number fits."""
    with database.reading() as session:
        order = trace.find(session, number)
        if order is None:
            return None
        step = view_of(order, credit_of(session, order.id)).step
        head = f"{order.order_no}  {yuan(order.amount_fen)} for {order.account_no}: {step}"
        late = ["paid after it had been closed"] if order.late else []
        lines = [_line(line) for line in trace.trace(session, order)]
        return [head, *late, *lines]


def _line(line: trace.Line) -> str:
    return f"{line.at:%Y-%m-%d %H:%M:%S.%f}Z  {line.source:8} {line.text}"
