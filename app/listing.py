"""Orders for the command line: a list, and one order from prepay to the ledger."""

from __future__ import annotations

from typing import Any

from sqlalchemy import or_, select

from models.db import Database
from models.ledger import Entry
from models.money import yuan
from models.order import Order, PaymentAttempt, PaymentFact, attempts_of, credit_of, events_of
from models.outbox import OutboxItem
from payments.numbers import credit_no
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


def describe_order(database: Database, number: str) -> dict[str, Any] | None:
    """Everything known of one order, times in UTC; None when no number fits."""
    with database.reading() as session:
        order = session.scalar(
            select(Order)
            .join(PaymentAttempt, PaymentAttempt.order_id == Order.id)
            .where(
                or_(
                    Order.order_no == number,
                    Order.transaction_id == number,
                    PaymentAttempt.out_trade_no == number,
                )
            )
        )
        if order is None:
            return None
        credit = credit_of(session, order.id)
        facts = session.scalars(select(PaymentFact).where(PaymentFact.order_id == order.id))
        jobs = session.scalars(
            select(OutboxItem).where(OutboxItem.key.in_([order.order_no, f"credited:{order.order_no}"]))
        )
        entry = session.scalar(select(Entry).where(Entry.key == f"credit:{credit_no(order.order_no)}"))
        return {
            "order_no": order.order_no,
            "status": order.status,
            "amount": yuan(order.amount_fen),
            "account_no": order.account_no,
            "late": order.late,
            "events": [
                f"{e.at:%Y-%m-%dT%H:%M:%S.%fZ} {e.status} ({e.cause})" for e in events_of(session, order.id)
            ],
            "attempts": [
                {"out_trade_no": a.out_trade_no, "prepay_id": a.prepay_id}
                for a in attempts_of(session, order.id)
            ],
            "facts": [
                {"transaction_id": f.transaction_id, "amount": yuan(f.amount_fen), "cause": f.cause}
                for f in facts
            ],
            "credit": None
            if credit is None
            else {"credit_no": credit.credit_no, "status": credit.status, "reason": credit.reason},
            "ledger_entry": None if entry is None else {"id": entry.id, "at": entry.at.isoformat()},
            "jobs": [
                {"kind": j.kind, "status": j.status, "attempts": j.attempts, "last_error": j.last_error}
                for j in jobs
            ],
        }
