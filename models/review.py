"""What only a person can decide: typed items, one owner, two persons for anything that moves money."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text, UniqueConstraint, select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, BigId
from models.db.state import StateMachine, guarded_move, rows_changed
from models.errors import Conflict


class ReviewKind(StrEnum):
    """Why a person is asked."""

    NOTIFY_MISMATCH = "NOTIFY_MISMATCH"
    SECOND_PAYMENT = "SECOND_PAYMENT"
    CREDIT_REFUSED = "CREDIT_REFUSED"
    CREDIT_UNKNOWN = "CREDIT_UNKNOWN"
    REFUND_ABNORMAL = "REFUND_ABNORMAL"
    REFUND_CLOSED = "REFUND_CLOSED"
    REFUND_UNKNOWN = "REFUND_UNKNOWN"
    REVERSAL_REFUSED = "REVERSAL_REFUSED"
    EXTERNAL_REFUND = "EXTERNAL_REFUND"
    BILL_DIFFERENCE = "BILL_DIFFERENCE"
    JOB_FAILED = "JOB_FAILED"
    # Billing applied a call after its purpose had been given up.
    LATE_CREDIT = "LATE_CREDIT"
    LATE_REVERSAL = "LATE_REVERSAL"
    LATE_WITHDRAWAL = "LATE_WITHDRAWAL"
    LATE_PURCHASE = "LATE_PURCHASE"
    # A call to billing got no answer, and billing cannot be queried for it.
    REVERSAL_UNKNOWN = "REVERSAL_UNKNOWN"
    WITHDRAWAL_UNKNOWN = "WITHDRAWAL_UNKNOWN"
    PURCHASE_UNKNOWN = "PURCHASE_UNKNOWN"
    REPAIR_UNKNOWN = "REPAIR_UNKNOWN"
    ADJUSTMENT_REFUSED = "ADJUSTMENT_REFUSED"
    ADJUSTMENT_UNKNOWN = "ADJUSTMENT_UNKNOWN"
    PAYOUT_RESULT = "PAYOUT_RESULT"
    TRANSFER_UNCONFIRMED = "TRANSFER_UNCONFIRMED"
    BANK_REVERSED = "BANK_REVERSED"
    BOOKS_WRONG = "BOOKS_WRONG"


class ReviewStatus(StrEnum):
    """PROPOSED waits for a second person; CLOSED is the end."""

    OPEN = "OPEN"
    PROPOSED = "PROPOSED"
    CLOSED = "CLOSED"


# Decisions to try once more: should that fail too, the question is open again.
TRY_AGAIN = (
    "credit-again",
    "run-again",
    "adjust-again",
    "take-back",
    "return-withdrawal",
    "call-absent",
)


class ReviewItem(Base):
    """One question. `(kind, key)` is unique: the same trouble asks once, however often it is met.

    `facts` are ids, states and fen. `proposal` is the chosen action and its arguments, waiting for
    somebody other than `proposed_by`; `evidence` is what the closing rests on.
    """

    __tablename__ = "review_item"
    __table_args__ = (
        UniqueConstraint("kind", "key"),
        Index("ix_review_item_status_id", "status", "id"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    kind: Mapped[ReviewKind] = mapped_column(String(32))
    key: Mapped[str] = mapped_column(String(80))
    order_id: Mapped[int | None] = mapped_column(ForeignKey("orders.id"), index=True)
    amount_fen: Mapped[int | None]
    facts: Mapped[dict[str, Any]] = mapped_column(JSON)
    status: Mapped[ReviewStatus] = mapped_column(String(16))
    owner: Mapped[str | None] = mapped_column(String(64))
    proposal: Mapped[dict[str, Any] | None] = mapped_column(JSON)
    proposed_by: Mapped[str | None] = mapped_column(String(64))
    approved_by: Mapped[str | None] = mapped_column(String(64))
    evidence: Mapped[str | None] = mapped_column(Text)
    outcome: Mapped[str | None] = mapped_column(String(64))
    opened_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]


REVIEW_STATES = StateMachine(
    name="review_item",
    label="待办",
    model=ReviewItem,
    states=ReviewStatus,
    transitions={
        ReviewStatus.OPEN: frozenset({ReviewStatus.PROPOSED, ReviewStatus.CLOSED}),
        # To itself: another proposal takes the place of the first one.
        ReviewStatus.PROPOSED: frozenset({ReviewStatus.PROPOSED, ReviewStatus.OPEN, ReviewStatus.CLOSED}),
        # Asked again: the decision was to try once more, or the written-off money turned up.
        ReviewStatus.CLOSED: frozenset({ReviewStatus.OPEN}),
    },
    number="id",
)
UNDECIDED: dict[str, Any] = dict.fromkeys(
    ("proposal", "proposed_by", "approved_by", "evidence", "outcome", "closed_at")
)


def ask_person(
    session: Session,
    kind: ReviewKind,
    key: str,
    *,
    order_id: int | None,
    amount_fen: int | None,
    now: datetime,
    **facts: Any,
) -> None:
    """Open a review item, once per kind and key; a closed one stays closed, unless it said to try again."""
    insert = postgres_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    asked = {"order_id": order_id, "amount_fen": amount_fen, "facts": facts, "opened_at": now}
    opened = (
        insert(ReviewItem)
        .values(kind=kind, key=key[:80], status=ReviewStatus.OPEN, **asked)
        .on_conflict_do_nothing(index_elements=["kind", "key"])
    )
    if rows_changed(session, opened):
        return
    # Not in one statement with the insert: that would lock an item which an operator is deciding just now.
    query = select(ReviewItem).where(
        ReviewItem.kind == kind,
        ReviewItem.key == key[:80],
        ReviewItem.status == ReviewStatus.CLOSED,
        ReviewItem.outcome.in_(TRY_AGAIN),
    )
    item = session.scalar(query)
    if item is not None:
        reopen_item(session, item, cause="asked again", now=now, **asked)


def reopen_item(session: Session, item: ReviewItem, *, cause: str, now: datetime, **values: Any) -> None:
    """Open a closed item again, without its decision; nothing changes if another one was faster."""
    try:
        guarded_move(
            session,
            REVIEW_STATES,
            item,
            ReviewStatus.OPEN,
            cause=cause,
            now=now,
            **{**UNDECIDED, **values},
        )
    except Conflict:
        return
