"""Results of the bank that contradict what is known of a payout."""

from __future__ import annotations

from models.payout import PartStatus
from models.review import ReviewKind
from payments.payouts.contradictions import accept_result
from payments.review.actions.base import Action, Decision


def _accept(decision: Decision) -> None:
    """The bank's later word is right: the payment arrived after all, or came back."""
    facts = decision.item.facts
    accept_result(
        decision.session,
        str(facts["part_no"]),
        PartStatus(str(facts["said"])),
        str(facts["list_no"]),
        actor=decision.actor,
        now=decision.services.clock(),
    )


ACTIONS = {
    "accept-result": Action(moves_money=True, kinds=frozenset({ReviewKind.PAYOUT_RESULT}), carry_out=_accept),
}
