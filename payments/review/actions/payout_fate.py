"""A payout by bank that was in a restored backup: whether the bank has paid it since."""

from __future__ import annotations

from models.review import ReviewKind
from payments.recovery import payouts
from payments.review.actions.base import Action, Decision


def _paid(decision: Decision) -> None:
    """The statement of the bank shows the payment."""
    part_no = str(decision.item.facts["part_no"])
    payouts.was_paid(decision.session, part_no, actor=decision.actor.name, now=decision.services.clock())


def _not_paid(decision: Decision) -> None:
    """The statement of the bank does not show it, and the list it stood on is not with the bank."""
    part_no = str(decision.item.facts["part_no"])
    payouts.was_not_paid(decision.session, part_no, actor=decision.actor.name, now=decision.services.clock())


_KINDS = frozenset({ReviewKind.PAYOUT_FATE})
ACTIONS = {
    "payout-paid": Action(moves_money=True, kinds=_KINDS, carry_out=_paid),
    "payout-not-paid": Action(moves_money=True, kinds=_KINDS, carry_out=_not_paid),
}
