"""Where each paid fen of an order goes: to billing or back, never both. The database holds the line.

One row per payment fact's order. `credit_fen` is reserved before a credit is sent, `reversed_fen`
counts what billing gave back, `refund_fen` is reserved before a refund is sent. Money of a refund that
came to nothing is reserved before it is put back on the account (`restored_fen`) or paid by the bank
(`bank_fen`). The CHECK makes all of them exclude each other however the code above errs or races.
"""

from __future__ import annotations

from sqlalchemy import CheckConstraint, ForeignKey, text, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base
from models.db.state import rows_changed
from models.errors import IllegalTransition


class Allocation(Base):
    """All in fen. `paid_fen` counts every recorded payment of the order, a second one too."""

    __tablename__ = "allocation"
    __table_args__ = (
        CheckConstraint(
            "credit_fen - reversed_fen + refund_fen + restored_fen + bank_fen <= paid_fen", name="spent_once"
        ),
        CheckConstraint(
            "credit_fen >= 0 AND refund_fen >= 0 AND restored_fen >= 0 AND bank_fen >= 0", name="not_negative"
        ),
        CheckConstraint("reversed_fen >= 0 AND reversed_fen <= credit_fen", name="reversed_within_credit"),
    )

    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), primary_key=True)
    paid_fen: Mapped[int]
    credit_fen: Mapped[int] = mapped_column(default=0)
    reversed_fen: Mapped[int] = mapped_column(default=0)
    refund_fen: Mapped[int] = mapped_column(default=0)
    restored_fen: Mapped[int] = mapped_column(default=0, server_default=text("0"))
    bank_fen: Mapped[int] = mapped_column(default=0, server_default=text("0"))


class MoneySpoken(IllegalTransition):
    """The order's money is committed: credited, or on its way back."""

    code = "E-SPENT"

    def __init__(self, text: str = "这笔款项已入账或正在退回，不能重复处理") -> None:
        super().__init__(text)


def record_paid(session: Session, order_id: int, amount_fen: int) -> None:
    """Count a recorded payment."""
    if not _add(session, order_id, paid_fen=amount_fen):
        zeros = dict.fromkeys(("credit_fen", "reversed_fen", "refund_fen", "restored_fen", "bank_fen"), 0)
        session.add(Allocation(order_id=order_id, paid_fen=amount_fen, **zeros))


def move_paid(session: Session, from_order_id: int, to_order_id: int, amount_fen: int) -> None:
    """A payment belongs to another order now. Raises: MoneySpoken - the first order has spent it."""
    _change(session, from_order_id, paid_fen=-amount_fen)
    record_paid(session, to_order_id, amount_fen)


def hold_credit(session: Session, order_id: int, amount_fen: int) -> None:
    """Speak for `amount_fen` before sending a credit. Raises: MoneySpoken."""
    _change(session, order_id, credit_fen=amount_fen)


def release_credit(session: Session, order_id: int, amount_fen: int) -> None:
    """The credit was certainly not applied and will not be. Raises: MoneySpoken."""
    _change(session, order_id, credit_fen=-amount_fen)


def count_reversal(session: Session, order_id: int, amount_fen: int) -> None:
    """Billing gave `amount_fen` of the credit back. Raises: MoneySpoken - more than was credited."""
    _change(session, order_id, reversed_fen=amount_fen)


def hold_refund(session: Session, order_id: int, amount_fen: int) -> None:
    """Speak for `amount_fen` before sending a refund. Raises: MoneySpoken."""
    _change(session, order_id, refund_fen=amount_fen)


def release_refund(session: Session, order_id: int, amount_fen: int) -> None:
    """The refund certainly did not happen. Raises: MoneySpoken."""
    _change(session, order_id, refund_fen=-amount_fen)


def hold_restored(session: Session, order_id: int, amount_fen: int) -> None:
    """Reserve `amount_fen` before it is put back on the account. Raises: MoneySpoken."""
    _change(session, order_id, restored_fen=amount_fen)


def release_restored(session: Session, order_id: int, amount_fen: int) -> None:
    """Free what was certainly not put back. Raises: MoneySpoken."""
    _change(session, order_id, restored_fen=-amount_fen)


def hold_bank(session: Session, order_id: int, amount_fen: int) -> None:
    """Reserve `amount_fen` before it stands on a list for the bank. Raises: MoneySpoken."""
    _change(session, order_id, bank_fen=amount_fen)


def _change(session: Session, order_id: int, **amounts: int) -> None:
    try:
        # A savepoint: on PostgreSQL a violated CHECK would end the whole transaction.
        with session.begin_nested():
            found = _add(session, order_id, **amounts)
    except IntegrityError:
        raise MoneySpoken from None
    if not found:
        raise MoneySpoken


def _add(session: Session, order_id: int, **amounts: int) -> bool:
    values = {getattr(Allocation, name): getattr(Allocation, name) + value for name, value in amounts.items()}
    return (
        rows_changed(session, update(Allocation).where(Allocation.order_id == order_id).values(values)) == 1
    )
