"""What may be paid out of an account, and which way each fen goes back. docs/policy.md says why.

Refundable = balance - what the running cycle still costs - what is on its way out already.
Packages were paid for when they were swapped: an unused one is not in the balance and does not come back.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session

from models.allocation import Allocation
from models.order import Credit, CreditStatus, Order, PaymentFact
from models.payout import PartStatus, Payout, PayoutPart
from models.person import Binding, Person
from models.refund import Refund, RefundStatus, ReversalStatus
from payments.confirm import WECHAT
from payments.refunds.approval import LIFE
from payments.services import Services

# The school takes nothing for a running month beyond the packages, which are paid for in advance.
CYCLE_FEE_FEN = 0
# Approval and delivery take a while: a payment that is nearly a year old is not promised to WeChat.
LIFE_MARGIN = timedelta(days=7)
# A student's history is short; a longer tail goes by bank list.
WECHAT_PARTS_MAX = 20


@dataclass(frozen=True)
class Formula:
    """All in fen; `pending_fen` is on its way out by earlier refunds and payouts."""

    balance_fen: int
    cycle_fen: int
    pending_fen: int

    @property
    def refundable_fen(self) -> int:
        """What is left of the balance, never below zero."""
        return max(0, self.balance_fen - self.cycle_fen - self.pending_fen)


@dataclass(frozen=True)
class Back:
    """A payment of the student's own that WeChat still refunds, and how much of it."""

    order_no: str
    amount_fen: int


@dataclass(frozen=True)
class Plan:
    """`by_wechat` newest payment first; what these do not cover is `by_bank_fen`."""

    account_no: str
    formula: Formula
    by_wechat: tuple[Back, ...]

    @property
    def by_bank_fen(self) -> int:
        """What goes by bank list."""
        return self.formula.refundable_fen - sum(back.amount_fen for back in self.by_wechat)


def preview(services: Services, account_no: str, *, cycle_fee_fen: int = CYCLE_FEE_FEN) -> Plan:
    """What would be paid out now, and how. Nothing is reserved by looking.

    Raises: NoSuchAccount, Unavailable.
    """
    balance = services.billing.balance(account_no)
    account_no, balance_fen = balance.account_no, balance.balance_fen
    with services.reading() as session:
        formula = Formula(balance_fen, cycle_fee_fen, pending_fen(session, account_no))
        backs = _wechat_first(session, account_no, formula.refundable_fen, services.clock())
    return Plan(account_no, formula, backs)


def pending_fen(session: Session, account_no: str) -> int:
    """What is in the balance and on its way out."""
    refunds = (
        select(func.sum(Refund.amount_fen))
        .join(Order, Order.id == Refund.order_id)
        .join(Credit, Credit.order_id == Order.id)
        .where(Order.account_no == account_no, Credit.status == CreditStatus.CREDITED, _not_reversed())
    )
    parts = (
        select(func.sum(PayoutPart.amount_fen))
        .join(Payout, Payout.id == PayoutPart.payout_id)
        .where(
            Payout.account_no == account_no,
            PayoutPart.status.in_((PartStatus.WAITING, PartStatus.SENDING, PartStatus.UNKNOWN)),
        )
    )
    return int(session.scalar(refunds) or 0) + int(session.scalar(parts) or 0)


def _not_reversed() -> ColumnElement[bool]:
    """A refund that is wanted and has not taken its money off the account yet."""
    return and_(
        Refund.reversal.in_((ReversalStatus.PENDING, ReversalStatus.SENDING, ReversalStatus.UNKNOWN)),
        Refund.status.in_((RefundStatus.REQUESTED, RefundStatus.APPROVED)),
    )


def _wechat_first(session: Session, account_no: str, wanted_fen: int, now: datetime) -> tuple[Back, ...]:
    own = (
        select(Person.openid)
        .join(Binding, Binding.person_id == Person.id)
        .where(Binding.account_no == account_no, Binding.unbound_at.is_(None))
    )
    promised = (
        select(func.coalesce(func.sum(Refund.amount_fen), 0))
        .where(Refund.order_id == Order.id, _not_reversed())
        .correlate(Order)
        .scalar_subquery()
    )
    left = Allocation.credit_fen - Allocation.reversed_fen - promised
    query = (
        select(Order.order_no, left)
        .join(PaymentFact, PaymentFact.order_id == Order.id)
        .join(Credit, Credit.order_id == Order.id)
        .join(Allocation, Allocation.order_id == Order.id)
        .where(
            Order.account_no == account_no,
            Order.payer_openid.in_(own),
            PaymentFact.provider == WECHAT,
            PaymentFact.transaction_id == Order.transaction_id,
            PaymentFact.paid_at > now - LIFE + LIFE_MARGIN,
            Credit.status == CreditStatus.CREDITED,
            left > 0,
        )
        .order_by(PaymentFact.paid_at.desc(), Order.id.desc())
        .limit(WECHAT_PARTS_MAX)
    )
    backs: list[Back] = []
    for order_no, left_fen in session.execute(query):
        taken_fen = min(int(left_fen), wanted_fen)
        if taken_fen <= 0:
            break
        backs.append(Back(order_no, taken_fen))
        wanted_fen -= taken_fen
    return tuple(backs)
