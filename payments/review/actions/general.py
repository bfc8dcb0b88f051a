"""Actions that fit many kinds: nothing to do, keep it as owed, run a job again."""

from __future__ import annotations

from models.errors import IllegalTransition
from models.review import ReviewKind
from models.write_off import WriteOffKind
from payments import sweep
from payments.review.actions import late
from payments.review.actions.base import Action, Decision
from payments.review.write_offs import holds_money, write_off


def _dismiss(decision: Decision) -> None:
    """Nothing to do: the evidence says why. Money that stays where it is, is written off."""
    write_off(decision, WriteOffKind.WRITTEN_OFF)


def _owe(decision: Decision) -> None:
    """Nothing can be done now: the money stays listed as owed."""
    if not write_off(decision, WriteOffKind.OWED):
        raise IllegalTransition("这个待办没有可以挂账的款项")


def _run_again(decision: Decision) -> None:
    """Give a job that had been given up another life."""
    facts = decision.item.facts
    sweep.promise_again(decision.session, str(facts["job"]), str(facts["number"]), decision.services)


# Not the credits: money that waits for billing is credited in the end, or goes back by a refund.
_DISMISSED = frozenset(ReviewKind) - {ReviewKind.CREDIT_REFUSED, ReviewKind.CREDIT_UNKNOWN}
_DISMISSED -= {ReviewKind.SECOND_PAYMENT, ReviewKind.ADJUSTMENT_UNKNOWN}
# Two operators look at the bank account: `transfer-checked`.
_DISMISSED -= {ReviewKind.TRANSFER_UNCONFIRMED, ReviewKind.BANK_REVERSED}
# Nor a call to billing whose effect is not settled: each has actions of its own.
_DISMISSED -= late.UNSETTLED
_OWED = _DISMISSED | {ReviewKind.SECOND_PAYMENT}

ACTIONS = {
    "dismiss": Action(moves_money=False, kinds=_DISMISSED, carry_out=_dismiss, holds_money=holds_money),
    "owe": Action(moves_money=True, kinds=_OWED, carry_out=_owe),
    "run-again": Action(moves_money=True, kinds=frozenset({ReviewKind.JOB_FAILED}), carry_out=_run_again),
}
