"""A second payment of one order: credit it as well, or send it back."""

from __future__ import annotations

from models.review import ReviewKind
from models.values.actor import Actor
from payments import second_payments
from payments.review.actions.base import Action, Decision


def _credit_second(decision: Decision) -> None:
    """The money was meant for this account: credit it as an order of its own."""
    number = str(decision.item.facts["transaction_id"])
    second_payments.credit_too(decision.session, number, actor=decision.actor, now=decision.services.clock())


def _refund_second(decision: Decision) -> None:
    """The payer gets it back."""
    second_payments.refund_it(
        decision.session,
        str(decision.item.facts["transaction_id"]),
        requested_by=Actor(str(decision.item.proposed_by)),
        approved_by=decision.actor,
        now=decision.services.clock(),
    )


_KINDS = frozenset({ReviewKind.SECOND_PAYMENT})
ACTIONS = {
    "credit": Action(moves_money=True, kinds=_KINDS, carry_out=_credit_second),
    "refund": Action(moves_money=True, kinds=_KINDS, carry_out=_refund_second),
}
