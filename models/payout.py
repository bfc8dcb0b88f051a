"""Money out at graduation: a request by one person, approved by another, paid back in parts."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    String,
    UniqueConstraint,
    false,
    update,
)
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, BigId
from models.db.state import StateMachine, guarded_move, rows_changed
from models.errors import IllegalTransition


class PayoutStatus(StrEnum):
    """After APPROVED each part goes its own way and tells how far it is."""

    REQUESTED = "REQUESTED"
    APPROVED = "APPROVED"
    REJECTED = "REJECTED"


class PartWay(StrEnum):
    """Back through WeChat to whoever paid, or by a list for the bank."""

    WECHAT = "wechat"
    BANK = "bank"


class PartStatus(StrEnum):
    """REFUND: the refund that it names tells the rest. The others are of a part for the bank.

    WITHDRAWN is off the account and owed; LISTED stands on a list for finance; PAID ends it, unless the
    bank returns the money later. LATE: taken off the account after it had been given up; RETURNING,
    RETURNED: put back on it.
    """

    PLANNED = "PLANNED"
    REFUND = "REFUND"
    WAITING = "WAITING"
    SENDING = "SENDING"
    UNKNOWN = "UNKNOWN"
    REFUSED = "REFUSED"
    WITHDRAWN = "WITHDRAWN"
    LISTED = "LISTED"
    PAID = "PAID"
    LATE = "LATE"
    RETURNING = "RETURNING"
    RETURNED = "RETURNED"


PART_TRANSITIONS: dict[PartStatus, frozenset[PartStatus]] = {
    PartStatus.PLANNED: frozenset({PartStatus.REFUND, PartStatus.WAITING}),
    PartStatus.REFUND: frozenset(),
    PartStatus.WAITING: frozenset({PartStatus.SENDING}),
    # Back to WAITING: billing certainly did not do it and may do so later.
    PartStatus.SENDING: frozenset(
        {PartStatus.WITHDRAWN, PartStatus.REFUSED, PartStatus.UNKNOWN, PartStatus.WAITING}
    ),
    PartStatus.UNKNOWN: frozenset({PartStatus.SENDING}),
    PartStatus.REFUSED: frozenset({PartStatus.LATE}),
    PartStatus.LATE: frozenset({PartStatus.WITHDRAWN, PartStatus.RETURNING}),
    # Back to LATE: billing refused the credit.
    PartStatus.RETURNING: frozenset({PartStatus.RETURNED, PartStatus.LATE}),
    PartStatus.RETURNED: frozenset(),
    # To PAID: two operators have found that the bank paid it after all.
    PartStatus.WITHDRAWN: frozenset({PartStatus.LISTED, PartStatus.PAID}),
    # Back to WITHDRAWN: the bank could not pay it; it stands on the next list.
    PartStatus.LISTED: frozenset({PartStatus.PAID, PartStatus.WITHDRAWN}),
    # The bank returned it days later, and two operators have confirmed that.
    PartStatus.PAID: frozenset({PartStatus.WITHDRAWN}),
}


class Payout(Base):
    """One request. `open_key` is the account while it waits for approval, so that there is one at a time.

    `formula` is what the amount was computed from, in fen. The bank's fields are empty when all of it
    goes back through WeChat; `bank_by` is the operator who corrected them last. `by_owner`: the owner
    of the account asked, so one operator checks the request (`checked_by`) before another approves it.
    """

    __tablename__ = "payout"
    __table_args__ = (CheckConstraint("amount_fen > 0", name="amount_positive"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    payout_no: Mapped[str] = mapped_column(String(32), unique=True)
    open_key: Mapped[str | None] = mapped_column(String(32), unique=True)
    account_no: Mapped[str] = mapped_column(String(32), index=True)
    amount_fen: Mapped[int]
    formula: Mapped[dict[str, Any]] = mapped_column(JSON)
    status: Mapped[PayoutStatus] = mapped_column(String(16))
    payee: Mapped[str] = mapped_column(String(64))
    bank_name: Mapped[str] = mapped_column(String(64))
    bank_account: Mapped[str] = mapped_column(String(40))
    bank_by: Mapped[str | None] = mapped_column(String(64))
    requested_by: Mapped[str] = mapped_column(String(64))
    by_owner: Mapped[bool] = mapped_column(default=False, server_default=false())
    checked_by: Mapped[str | None] = mapped_column(String(64))
    decided_by: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class PayoutPart(Base):
    """One way back of a payout. `part_no` is its number with billing and on the bank's list.

    `order_id` and `out_trade_no` are set for money that is not on the account: what a refund of this
    payment could not return. `failed_by` reported last that the bank did not pay; another
    operator lists the part again. `doubt_from` and `prepared_ref` are of its call to billing: see `Credit`.
    `undo_key` is the key of the credit that puts a late withdrawal back.
    """

    __tablename__ = "payout_part"
    __table_args__ = (
        UniqueConstraint("payout_id", "seq"),
        CheckConstraint("amount_fen > 0", name="amount_positive"),
        Index("ix_payout_part_status_id", "status", "id"),
        Index("ix_payout_part_list_no", "list_no"),
        Index("ix_payout_part_out_trade_no", "out_trade_no"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    payout_id: Mapped[int] = mapped_column(ForeignKey("payout.id"))
    seq: Mapped[int]
    part_no: Mapped[str] = mapped_column(String(40), unique=True)
    way: Mapped[PartWay] = mapped_column(String(16))
    amount_fen: Mapped[int]
    order_no: Mapped[str | None] = mapped_column(String(32))
    order_id: Mapped[int | None] = mapped_column(BigInteger, index=True)
    out_trade_no: Mapped[str | None] = mapped_column(String(32))
    refund_id: Mapped[int | None] = mapped_column(ForeignKey("refund.id"), unique=True)
    list_no: Mapped[str | None] = mapped_column(String(32))
    failed_by: Mapped[str | None] = mapped_column(String(64))
    status: Mapped[PartStatus] = mapped_column(String(16))
    last_error: Mapped[str | None] = mapped_column(String(200))
    doubt_from: Mapped[datetime | None]
    prepared_ref: Mapped[str | None] = mapped_column(String(64))
    undo_key: Mapped[str | None] = mapped_column(String(64))
    changed_at: Mapped[datetime]


class PayoutList(Base):
    """A list for the bank as it was handed out; its parts name it by `list_no`."""

    __tablename__ = "payout_list"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    list_no: Mapped[str] = mapped_column(String(32), unique=True)
    made_by: Mapped[str] = mapped_column(String(64))
    rows: Mapped[int]
    amount_fen: Mapped[int]
    created_at: Mapped[datetime]


PART_STATES = StateMachine(
    name="payout_part",
    label="退费",
    model=PayoutPart,
    states=PartStatus,
    transitions=PART_TRANSITIONS,
    number="part_no",
)
PAYOUT_STATES = StateMachine(
    name="payout",
    label="退费申请",
    model=Payout,
    states=PayoutStatus,
    transitions={PayoutStatus.REQUESTED: frozenset({PayoutStatus.APPROVED, PayoutStatus.REJECTED})},
    number="payout_no",
    refusal="这笔退费申请已经处理",
)


def move_part(
    session: Session,
    part: PayoutPart,
    new: PartStatus,
    *,
    now: datetime,
    error: str | None = None,
    **values: Any,
) -> None:
    """Move a part to `new`; `values` are set in the same statement.

    Raises: IllegalTransition - not in the table; Conflict - another transaction moved it first.
    """
    guarded_move(
        session,
        PART_STATES,
        part,
        new,
        cause=error or new.lower(),
        now=now,
        changed_at=now,
        last_error=error,
        **values,
    )


def check_payout(session: Session, payout: Payout, *, actor: str, now: datetime) -> None:
    """An operator answers for what the owner asked for. Raises: IllegalTransition - decided or checked."""
    statement = (
        update(Payout)
        .where(Payout.id == payout.id, Payout.status == PayoutStatus.REQUESTED, Payout.checked_by.is_(None))
        .values(checked_by=actor, changed_at=now)
    )
    if rows_changed(session, statement) != 1:
        raise IllegalTransition("这笔退费申请已经处理")
    session.refresh(payout)


def decide_payout(session: Session, payout: Payout, new: PayoutStatus, *, actor: str, now: datetime) -> None:
    """Approve or reject. Raises: IllegalTransition - decided before."""
    guarded_move(
        session,
        PAYOUT_STATES,
        payout,
        new,
        cause=actor,
        now=now,
        open_key=None,
        decided_by=actor,
        changed_at=now,
    )
