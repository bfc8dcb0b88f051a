"""Money in review: an open item asks about each fen of it, or two operators have written it off."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, and_, cast, func, select
from sqlalchemy.orm import Session

from models.refund import Refund, RefundStatus, ReversalStatus
from models.review import ReviewItem, ReviewStatus
from models.write_off import WriteOff

FINDINGS_MAX = 20


def check_review(session: Session, payments: Select[Any]) -> Iterator[str]:
    """Yield every order with money in review that no open item and no write-off stands for.

    Args:
        payments: `invariants.money_by_payment()`.
    """
    sums = _by_order(payments)
    asked = select(ReviewItem.id).where(
        ReviewItem.order_id == sums.c.order_id, ReviewItem.status != ReviewStatus.CLOSED
    )
    unasked = sums.c.review - _written_off(sums.c.order_id) - _going_back(sums.c.order_id)
    query = select(sums.c.order_no, sums.c.review, unasked).where(unasked > 0, ~asked.exists())
    for order_no, review_fen, unasked_fen in session.execute(query.limit(FINDINGS_MAX)):
        yield (
            f"order {order_no}: {int(review_fen)} fen are in review, no open item or write-off stands for "
            f"{int(unasked_fen)} of them"
        )


def unasked_fen(session: Session, payments: Select[Any], order_id: int) -> int:
    """Return how many fen of an order are in review and neither written off nor kept as owed."""
    sums = _by_order(payments.where(payments.selected_columns.order_id == order_id))
    left = sums.c.review - _written_off(sums.c.order_id) - _going_back(sums.c.order_id)
    return max(0, int(session.scalar(select(left)) or 0))


def _by_order(payments: Select[Any]) -> Any:
    rows = payments.subquery()
    total = cast(func.sum(rows.c.review), BigInteger).label("review")
    return (
        select(rows.c.order_id, rows.c.order_no, total)
        .group_by(rows.c.order_id, rows.c.order_no)
        .having(total > 0)
        .subquery("review_by_order")
    )


def _written_off(order_id: Any) -> ColumnElement[int]:
    query = select(func.coalesce(func.sum(WriteOff.amount_fen), 0)).where(
        WriteOff.order_id == order_id, WriteOff.ended_at.is_(None)
    )
    return cast(query.correlate_except(WriteOff).scalar_subquery(), BigInteger)


def _going_back(order_id: Any) -> ColumnElement[int]:
    """Approved refunds of money that is not in billing: they hold it as soon as a worker begins."""
    query = select(func.coalesce(func.sum(Refund.amount_fen), 0)).where(
        and_(
            Refund.order_id == order_id,
            Refund.status == RefundStatus.APPROVED,
            ~Refund.held,
            Refund.reversal != ReversalStatus.DONE,
        )
    )
    return cast(query.correlate_except(Refund).scalar_subquery(), BigInteger)
