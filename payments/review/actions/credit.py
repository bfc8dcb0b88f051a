"""Credits that billing refused, or that it cannot be asked about."""

from __future__ import annotations

from models import allocation
from models.errors import IllegalTransition
from models.order import CREDIT_VOID, Credit, CreditStatus, Order, credit_of, move_credit
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
    """Credit again: billing was put right, or certainly has not got it; not what goes back meanwhile."""
    order, credit = _credit(decision)
    if credit.status in (CreditStatus.CREDITED, *CREDIT_VOID):
        return
    if credit.status == CreditStatus.MANUAL:
        allocation.release_credit(decision.session, order.id, credit.amount_fen)
    now = decision.services.clock()
    # Two operators have made sure that no earlier call had an effect, or will have one.
    move_credit(decision.session, credit, CreditStatus.PENDING, now=now, reason="review", doubt_from=None)
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
