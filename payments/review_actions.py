"""What a person may decide about a review item, and what is then carried out.

Each one is a step inside the transaction that closes the item; done again it changes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from models import allocation
from models.errors import IllegalTransition
from models.order import Credit, CreditStatus, Order, credit_of, move_credit
from models.review import ReviewItem, ReviewKind
from payments import second_payments, sweep
from payments.credit import record_credited
from payments.services import Services


@dataclass(frozen=True)
class Decision:
    """What is carried out: the item, the actor, the time's services."""

    services: Services
    session: Session
    item: ReviewItem
    actor: str


@dataclass(frozen=True)
class Action:
    """Something a person may decide. `moves_money` makes a second person necessary."""

    moves_money: bool
    kinds: frozenset[ReviewKind]
    carry_out: Callable[[Decision], None]


def _credit(decision: Decision) -> tuple[Order, Credit]:
    order = decision.session.get(Order, decision.item.order_id)
    credit = None if order is None else credit_of(decision.session, order.id)
    if order is None or credit is None:
        raise IllegalTransition("找不到这笔入账")
    return order, credit


def _dismiss(decision: Decision) -> None:
    """Nothing to do: the evidence says why."""
    del decision


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
        actor=decision.actor,
        outcome="seen by a person",
        now=decision.services.clock(),
    )


def _run_again(decision: Decision) -> None:
    """Give a job that had been given up another life."""
    facts = decision.item.facts
    sweep.promise_again(decision.session, str(facts["job"]), str(facts["number"]), decision.services)


def _credit_second(decision: Decision) -> None:
    """The money was meant for this account: credit it as an order of its own."""
    number = str(decision.item.facts["transaction_id"])
    second_payments.credit_too(decision.session, number, actor=decision.actor, now=decision.services.clock())


def _refund_second(decision: Decision) -> None:
    """The payer gets it back."""
    second_payments.refund_it(
        decision.session,
        str(decision.item.facts["transaction_id"]),
        requested_by=str(decision.item.proposed_by),
        approved_by=decision.actor,
        now=decision.services.clock(),
    )


_SECOND = frozenset({ReviewKind.SECOND_PAYMENT})
ACTIONS: dict[str, Action] = {
    "credit": Action(moves_money=True, kinds=_SECOND, carry_out=_credit_second),
    "refund": Action(moves_money=True, kinds=_SECOND, carry_out=_refund_second),
    "dismiss": Action(
        moves_money=False,
        kinds=frozenset(
            {
                ReviewKind.NOTIFY_MISMATCH,
                ReviewKind.EXTERNAL_REFUND,
                ReviewKind.BILL_DIFFERENCE,
                ReviewKind.JOB_FAILED,
                ReviewKind.REFUND_ABNORMAL,
                ReviewKind.REFUND_CLOSED,
                ReviewKind.REFUND_UNKNOWN,
                ReviewKind.REVERSAL_REFUSED,
            }
        ),
        carry_out=_dismiss,
    ),
    "credit-again": Action(
        moves_money=True,
        kinds=frozenset({ReviewKind.CREDIT_REFUSED, ReviewKind.CREDIT_UNKNOWN}),
        carry_out=_send_again,
    ),
    "credit-arrived": Action(
        moves_money=True, kinds=frozenset({ReviewKind.CREDIT_UNKNOWN}), carry_out=_arrived
    ),
    "run-again": Action(moves_money=True, kinds=frozenset({ReviewKind.JOB_FAILED}), carry_out=_run_again),
}
