"""Actions that fit many kinds: nothing to do, and running a job again."""

from __future__ import annotations

from models.review import ReviewKind
from payments import sweep
from payments.review.actions.base import Action, Decision


def _dismiss(decision: Decision) -> None:
    """Nothing to do: the evidence says why."""
    del decision


def _run_again(decision: Decision) -> None:
    """Give a job that had been given up another life."""
    facts = decision.item.facts
    sweep.promise_again(decision.session, str(facts["job"]), str(facts["number"]), decision.services)


ACTIONS = {
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
                ReviewKind.NOT_REBUILT,
            }
        ),
        carry_out=_dismiss,
    ),
    "run-again": Action(moves_money=True, kinds=frozenset({ReviewKind.JOB_FAILED}), carry_out=_run_again),
}
