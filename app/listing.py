"""Orders for the command line: a list, and one order from prepay to the ledger."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.db.engine import Database
from models.money import yuan
from models.order import Order, credits_of
from models.refund import NOTHING_BACK, money_back_of
from payments.audit import order_trace as trace
from payments.views import OrderView, view_of


def list_orders(database: Database, limit: int) -> list[str]:
    """One line an order, newest first."""
    with database.reading() as session:
        found = list(session.scalars(select(Order).order_by(Order.id.desc()).limit(limit)))
        return [
            f"{view.order_no}  {view.created_at:%Y-%m-%d %H:%M:%S}Z  {yuan(view.amount_fen):>8}  "
            f"{view.account_no:<12}  {view.step}"
            for view in _views(session, found)
        ]


def describe_order(database: Database, number: str) -> list[str] | None:
    """One order as a page of log, times in UTC; None when no number fits."""
    with database.reading() as session:
        order = trace.find(session, number)
        if order is None:
            return None
        (view,) = _views(session, [order])
        head = f"{order.order_no}  {yuan(order.amount_fen)} for {order.account_no}: {view.step}"
        late = ["paid after it had been closed"] if order.late else []
        lines = [_line(line) for line in trace.trace(session, order)]
        return [head, *late, *lines]


def _views(session: Session, found: list[Order]) -> list[OrderView]:
    ids = [order.id for order in found]
    credited, back = credits_of(session, ids), money_back_of(session, ids)
    return [view_of(order, credited.get(order.id), back=back.get(order.id, NOTHING_BACK)) for order in found]


def _line(line: trace.Line) -> str:
    return f"{line.at:%Y-%m-%d %H:%M:%S.%f}Z  {line.source:8} {line.text}"
