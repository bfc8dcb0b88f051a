"""Questions about transfers: no list confirms a clerk's booking, or a later list takes one back."""

from __future__ import annotations

from models.review import ReviewKind
from payments.review.actions.base import Action, Decision


def _checked(decision: Decision) -> None:
    """Two operators have looked at the bank's account: the evidence says what they found."""
    del decision


ACTIONS = {
    "transfer-checked": Action(
        moves_money=True,
        kinds=frozenset({ReviewKind.TRANSFER_UNCONFIRMED, ReviewKind.BANK_REVERSED}),
        carry_out=_checked,
    ),
}
