"""Wrong books: two operators release the accounts that a finding holds."""

from __future__ import annotations

from models.review import ReviewKind
from models.values.actor import Actor
from payments.audit import holds
from payments.review.actions.base import Action, Decision


def _release_hold(decision: Decision) -> None:
    """What is wrong was explained: payouts and refunds of the accounts go on."""
    facts = decision.item.facts
    finding = facts.get("finding")
    holds.release(
        decision.session,
        str(facts["check"]),
        None if finding is None else int(finding),
        proposed_by=Actor(str(decision.item.proposed_by)),
        approved_by=decision.actor,
        evidence=decision.item.evidence or "",
        now=decision.services.clock(),
    )


ACTIONS = {
    "release-hold": Action(
        moves_money=True, kinds=frozenset({ReviewKind.BOOKS_WRONG}), carry_out=_release_hold
    ),
}
