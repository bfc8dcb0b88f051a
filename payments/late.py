"""What billing applied after we had given it up: never discarded, always shown to two operators."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from billing.interface import ExchangeReceipt
from models import journal
from models.order import Credit, CreditStatus, Order, move_credit
from models.review import ReviewKind, ask_person
from models.swap import SwapIntent, SwapStatus, move_swap


def credit_applied(session: Session, credit: Credit, order_no: str, *, now: datetime) -> None:
    """A voided credit is on the account although its money goes back to the payer. Raises: Conflict."""
    move_credit(session, credit, CreditStatus.LATE, now=now, reason="applied after it was voided")
    ask_about_credit(session, credit, order_no, now=now, reason="applied after it was voided")
    journal.note(
        session,
        "credit-applied-late",
        order_no=order_no,
        actor="worker",
        now=now,
        credit_no=credit.credit_no,
        amount_fen=credit.amount_fen,
    )


def ask_about_credit(session: Session, credit: Credit, order_no: str, *, now: datetime, reason: str) -> None:
    """Ask whether a late credit is taken back or owed."""
    ask_person(
        session,
        ReviewKind.LATE_CREDIT,
        credit.credit_no,
        order_id=credit.order_id,
        amount_fen=credit.amount_fen,
        now=now,
        order_no=order_no,
        account_no=credit.account_no,
        credit_no=credit.credit_no,
        reason=reason,
    )


def purchase_made(
    session: Session, order: Order, intent: SwapIntent, receipt: ExchangeReceipt, *, now: datetime
) -> None:
    """A package was bought although the payer was told that it was not. Raises: Conflict."""
    reason = "bought after the purchase was refused"
    move_swap(session, intent, SwapStatus.LATE, now=now, reason=intent.reason)
    ask_about_purchase(session, ReviewKind.LATE_PURCHASE, order, receipt.price_fen, now=now, reason=reason)
    journal.note(
        session,
        "swapped-late",
        order_no=order.order_no,
        actor="worker",
        now=now,
        package=receipt.code,
        price_fen=receipt.price_fen,
    )


def ask_about_purchase(
    session: Session, kind: ReviewKind, order: Order, price_fen: int, *, now: datetime, reason: str
) -> None:
    """Ask about the purchase that an order wished for."""
    ask_person(
        session,
        kind,
        order.order_no,
        order_id=order.id,
        amount_fen=price_fen,
        now=now,
        order_no=order.order_no,
        account_no=order.account_no,
        job="swap",
        number=order.order_no,
        reason=reason,
    )
