"""Orders, attempts to pay, credits, facts; and the one place where an order changes state."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, BigId
from models.db.state import StateMachine, guarded_move
from models.errors import IllegalTransition, NoSuchOrder


class OrderStatus(StrEnum):
    """PAID is the end: what happens to the money afterwards is the credit's and the refund's state."""

    CREATED = "CREATED"
    PREPAID = "PREPAID"
    PAID = "PAID"
    CLOSED = "CLOSED"
    EXPIRED = "EXPIRED"


class OrderAction(StrEnum):
    """What may happen to an order."""

    CREATE = "create"
    PREPAY = "prepay"
    PAY = "pay"
    CLOSE = "close"
    EXPIRE = "expire"


class CreditStatus(StrEnum):
    """MANUAL waits for an operator; VOIDED means that the money goes back instead.

    LATE: billing applied a voided credit after all. It is reversed (TAKING_BACK, then TAKEN_BACK), or the
    owner of the account owes it (OWED).
    """

    PENDING = "PENDING"
    SENDING = "SENDING"
    CREDITED = "CREDITED"
    REJECTED = "REJECTED"
    UNKNOWN = "UNKNOWN"
    MANUAL = "MANUAL"
    VOIDED = "VOIDED"
    LATE = "LATE"
    TAKING_BACK = "TAKING_BACK"
    TAKEN_BACK = "TAKEN_BACK"
    OWED = "OWED"


# The money of these goes back to the payer: the order's payment has no credit any more.
CREDIT_VOID = (
    CreditStatus.VOIDED,
    CreditStatus.LATE,
    CreditStatus.TAKING_BACK,
    CreditStatus.TAKEN_BACK,
    CreditStatus.OWED,
)

TRANSITIONS: dict[tuple[OrderStatus, OrderAction], OrderStatus] = {
    (OrderStatus.CREATED, OrderAction.PREPAY): OrderStatus.PREPAID,
    (OrderStatus.CREATED, OrderAction.CLOSE): OrderStatus.CLOSED,
    (OrderStatus.CREATED, OrderAction.EXPIRE): OrderStatus.EXPIRED,
    (OrderStatus.PREPAID, OrderAction.CLOSE): OrderStatus.CLOSED,
    (OrderStatus.PREPAID, OrderAction.EXPIRE): OrderStatus.EXPIRED,
    # A payment is a fact: it is accepted from every state, also after we closed the order.
    (OrderStatus.CREATED, OrderAction.PAY): OrderStatus.PAID,
    (OrderStatus.PREPAID, OrderAction.PAY): OrderStatus.PAID,
    (OrderStatus.CLOSED, OrderAction.PAY): OrderStatus.PAID,
    (OrderStatus.EXPIRED, OrderAction.PAY): OrderStatus.PAID,
}

CREDIT_TRANSITIONS: dict[CreditStatus, frozenset[CreditStatus]] = {
    # To CREDITED also from where billing was believed to have refused: its receipt is a fact.
    CreditStatus.PENDING: frozenset({CreditStatus.SENDING, CreditStatus.VOIDED, CreditStatus.CREDITED}),
    CreditStatus.SENDING: frozenset(
        {CreditStatus.CREDITED, CreditStatus.REJECTED, CreditStatus.UNKNOWN, CreditStatus.PENDING}
    ),
    CreditStatus.UNKNOWN: frozenset(
        {CreditStatus.CREDITED, CreditStatus.PENDING, CreditStatus.SENDING, CreditStatus.MANUAL}
    ),
    CreditStatus.REJECTED: frozenset({CreditStatus.PENDING, CreditStatus.VOIDED, CreditStatus.CREDITED}),
    CreditStatus.MANUAL: frozenset({CreditStatus.CREDITED, CreditStatus.PENDING}),
    CreditStatus.CREDITED: frozenset(),
    CreditStatus.VOIDED: frozenset({CreditStatus.LATE}),
    CreditStatus.LATE: frozenset({CreditStatus.TAKING_BACK, CreditStatus.OWED}),
    # Back to LATE: billing refused to reverse it.
    CreditStatus.TAKING_BACK: frozenset({CreditStatus.TAKEN_BACK, CreditStatus.LATE}),
    CreditStatus.TAKEN_BACK: frozenset(),
    CreditStatus.OWED: frozenset(),
}


class Order(Base):
    """One intent to put `amount_fen` on `account_no`, fixed before WeChat hears of it.

    `source` is `wechat` or `counter`; `late` marks a payment that came after we had closed.
    `open_key` is `payer|account|amount` while the order can be paid, so that the same wish
    finds the same order (unique); it is NULL afterwards.
    """

    __tablename__ = "orders"
    __table_args__ = (
        CheckConstraint("amount_fen > 0", name="amount_positive"),
        Index("ix_orders_payer_id", "payer_openid", "id"),
        Index("ix_orders_account_id", "account_no", "id"),
        Index("ix_orders_status_expires", "status", "expires_at"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    order_no: Mapped[str] = mapped_column(String(32), unique=True)
    open_key: Mapped[str | None] = mapped_column(String(160), unique=True)
    source: Mapped[str] = mapped_column(String(16))
    payer_openid: Mapped[str] = mapped_column(String(64))
    account_no: Mapped[str] = mapped_column(String(32))
    masked_name: Mapped[str] = mapped_column(String(64))
    amount_fen: Mapped[int]
    status: Mapped[OrderStatus] = mapped_column(String(16))
    late: Mapped[bool] = mapped_column(default=False)
    transaction_id: Mapped[str | None] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    paid_at: Mapped[datetime | None]


class PaymentAttempt(Base):
    """One try to pay an order at the provider, under a number that is never used again."""

    __tablename__ = "payment_attempt"
    __table_args__ = (UniqueConstraint("order_id", "seq"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    seq: Mapped[int]
    out_trade_no: Mapped[str] = mapped_column(String(32), unique=True)
    prepay_id: Mapped[str | None] = mapped_column(String(64))
    prepaid_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class OrderEvent(Base):
    """Why an order is in a state; one row per state reached."""

    __tablename__ = "order_event"
    __table_args__ = (UniqueConstraint("order_id", "status"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"))
    status: Mapped[OrderStatus] = mapped_column(String(16))
    action: Mapped[OrderAction] = mapped_column(String(16))
    cause: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]


class PaymentFact(Base):
    """The provider says that it took the money: verified, matched, and stored once."""

    __tablename__ = "payment_fact"
    __table_args__ = (
        UniqueConstraint("provider", "transaction_id"),
        UniqueConstraint("provider", "out_trade_no"),
        CheckConstraint("amount_fen > 0", name="amount_positive"),
        # Reconciliation reads one day of facts.
        Index("ix_payment_fact_paid_at", "paid_at"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), index=True)
    provider: Mapped[str] = mapped_column(String(16))
    transaction_id: Mapped[str] = mapped_column(String(64))
    out_trade_no: Mapped[str] = mapped_column(String(32))
    amount_fen: Mapped[int]
    cause: Mapped[str] = mapped_column(String(64))
    paid_at: Mapped[datetime]
    recorded_at: Mapped[datetime]


class Credit(Base):
    """The money's way into billing: one per paid order, under a number fixed at creation.

    `doubt_from` is set while a call to billing may still take effect: the latest moment at which one
    without an answer can have been sent. `prepared_ref` is the backend's identifier for the calls.
    `undo_key` is the key of the reversal that takes a late credit back.
    """

    __tablename__ = "credit"
    __table_args__ = (
        CheckConstraint("amount_fen > 0", name="amount_positive"),
        Index("ix_credit_status_at", "status", "changed_at"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), unique=True)
    credit_no: Mapped[str] = mapped_column(String(40), unique=True)
    account_no: Mapped[str] = mapped_column(String(32))
    amount_fen: Mapped[int]
    status: Mapped[CreditStatus] = mapped_column(String(16))
    reason: Mapped[str | None] = mapped_column(String(200))
    balance_after_fen: Mapped[int | None]
    doubt_from: Mapped[datetime | None]
    prepared_ref: Mapped[str | None] = mapped_column(String(64))
    undo_key: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class NotifyInbox(Base):
    """A verified callback as it came, kept even when handling it fails.

    `body` is the raw JSON (still encrypted); `verdict` is `what:details:number`, of the same commit.
    """

    __tablename__ = "notify_inbox"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    event_id: Mapped[str] = mapped_column(String(64), index=True)
    event_type: Mapped[str] = mapped_column(String(32))
    serial: Mapped[str] = mapped_column(String(64))
    body: Mapped[bytes]
    received_at: Mapped[datetime] = mapped_column(index=True)
    verdict: Mapped[str | None] = mapped_column(String(200))
    handled_at: Mapped[datetime | None]


def _order_event(row: Any, old: StrEnum, new: StrEnum, *, cause: str, now: datetime) -> Base:
    action = next(done for (was, done), then in TRANSITIONS.items() if was == old and then == new)
    return OrderEvent(order_id=row.id, status=new, action=action, cause=cause, at=now)


def _order_moves() -> dict[OrderStatus, frozenset[OrderStatus]]:
    return {
        old: frozenset(new for (was, _), new in TRANSITIONS.items() if was == old)
        for old in {was for was, _ in TRANSITIONS}
    }


ORDER_STATES = StateMachine(
    name="order",
    label="订单",
    model=Order,
    states=OrderStatus,
    transitions=_order_moves(),
    number="order_no",
    event=_order_event,
)
CREDIT_STATES = StateMachine(
    name="credit",
    label="入账",
    model=Credit,
    states=CreditStatus,
    transitions=CREDIT_TRANSITIONS,
    number="credit_no",
)


def advance(session: Session, order: Order, action: OrderAction, *, cause: str, now: datetime) -> None:
    """Move the order along the table, once, and record why.

    Raises: IllegalTransition - the table has no such way; Conflict - another transaction moved it first.
    """
    old = OrderStatus(order.status)
    new = TRANSITIONS.get((old, action))
    if new is None:
        raise IllegalTransition(f"订单状态为 {old}，不能执行此操作")
    values: dict[str, Any] = {} if new is OrderStatus.PREPAID else {"open_key": None}
    guarded_move(session, ORDER_STATES, order, new, cause=cause, now=now, **values)


def move_credit(
    session: Session,
    credit: Credit,
    new: CreditStatus,
    *,
    now: datetime,
    reason: str | None = None,
    **values: Any,
) -> None:
    """Move a credit to `new`; `values` are set in the same statement.

    Raises: IllegalTransition - not in the table; Conflict - another transaction moved it first.
    """
    guarded_move(
        session,
        CREDIT_STATES,
        credit,
        new,
        cause=reason or new.lower(),
        now=now,
        changed_at=now,
        reason=reason,
        **values,
    )


def find_order(session: Session, order_no: str) -> Order | None:
    """The order with this number, or None."""
    return session.scalar(select(Order).where(Order.order_no == order_no))


def lock_order(session: Session, order_no: str) -> Order:
    """The order with this number, locked until the transaction ends. Raises: NoSuchOrder."""
    query = select(Order).where(Order.order_no == order_no).with_for_update(of=Order, key_share=True)
    order = session.scalar(query.execution_options(populate_existing=True))
    if order is None:
        raise NoSuchOrder
    return order


def orders_numbered(session: Session, account_no: str, order_nos: Sequence[str]) -> list[Order]:
    """Those of these orders that pay into this account, in one query."""
    query = select(Order).where(Order.order_no.in_(order_nos), Order.account_no == account_no)
    return list(session.scalars(query)) if order_nos else []


def orders_of(session: Session, openid: str, *, limit: int = 20, before_id: int | None = None) -> list[Order]:
    """A payer's orders, newest first; `before_id` continues a list (keyset paging)."""
    query = select(Order).where(Order.payer_openid == openid).order_by(Order.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(Order.id < before_id)
    return list(session.scalars(query))


def credit_of(session: Session, order_id: int) -> Credit | None:
    """The credit of a paid order, or None while it is unpaid."""
    return session.scalar(select(Credit).where(Credit.order_id == order_id))


def credits_of(session: Session, order_ids: list[int]) -> dict[int, Credit]:
    """Credits by order id, in one query."""
    found = session.scalars(select(Credit).where(Credit.order_id.in_(order_ids)))
    return {credit.order_id: credit for credit in found}


def attempts_of(session: Session, order_id: int) -> list[PaymentAttempt]:
    """All attempts to pay an order, oldest first."""
    query = select(PaymentAttempt).where(PaymentAttempt.order_id == order_id).order_by(PaymentAttempt.seq)
    return list(session.scalars(query))


def paid_numbers(session: Session, order_id: int) -> set[str]:
    """The `out_trade_no` of every recorded payment of an order."""
    return set(session.scalars(select(PaymentFact.out_trade_no).where(PaymentFact.order_id == order_id)))


def events_of(session: Session, order_id: int) -> list[OrderEvent]:
    """The order's history, oldest first."""
    return list(
        session.scalars(select(OrderEvent).where(OrderEvent.order_id == order_id).order_by(OrderEvent.id))
    )
