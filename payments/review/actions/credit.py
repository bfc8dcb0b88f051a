"""Credits that billing refused, or that it cannot be asked about."""

from __future__ import annotations

from models import allocation
from models.errors import IllegalTransition
from models.order import Credit, CreditStatus, Order, credit_of, move_credit
from models.review import ReviewKind
from payments import sweep
from payments.credit import record_credited
from payments.review.actions.base import Action, Decision


def _credit(decision: Decision) -> tuple[Order, Credit]:
    order = decision.session.get(Order, decision.item.order_id)
    credit = None if order is None else credit_of(decision.session, order.id)
    if order is None or credit is None:
        raise IllegalTransition("找不到这笔入账")
    return order, credit


def _send_again(decision: Decision) -> None:
    """Credit again under the same number: billing was put right, or certainly has not got it."""
    order, credit = _credit(decision)
    if credit.status == CreditStatus.CREDITED:
        return
    if credit.status == CreditStatus.MANUAL:
        allocation.release_credit(decision.session, order.id, credit.amount_fen)
    move_credit(
        decision.session, credit, CreditStatus.PENDING, now=decision.services.clock(), reason="review"
    )
    sweep.promise_again(decision.session, "credit", order.order_no, decision.services)


def _arrived(decision: Decision) -> None:
    """Somebody has seen the credit in billing."""
    _, credit = _credit(decision)
    if credit.status == CreditStatus.CREDITED:
        return
    record_credited(
        decision.session,
        credit,
        None,
        actor=decision.actor.name,
        outcome="seen by a person",
        now=decision.services.clock(),
    )


ACTIONS = {
    "credit-again": Action(
        moves_money=True,
        kinds=frozenset({ReviewKind.CREDIT_REFUSED, ReviewKind.CREDIT_UNKNOWN}),
        carry_out=_send_again,
    ),
    "credit-arrived": Action(
        moves_money=True, kinds=frozenset({ReviewKind.CREDIT_UNKNOWN}), carry_out=_arrived
    ),
}
