"""Money that a refund could not return: put it back on the account, or pay it by the bank."""

from __future__ import annotations

from models.adjustment import Adjustment, AdjustmentStatus, lock_adjustment, move_adjustment
from models.errors import IllegalTransition
from models.review import ReviewKind
from models.values.actor import Actor
from payments import sweep
from payments.adjustments import approval as adjustments
from payments.adjustments import delivery
from payments.refunds import alternatives
from payments.review.actions.base import Action, Decision


def _agreed(decision: Decision) -> alternatives.Agreed:
    item = decision.item
    return alternatives.Agreed(Actor(str(item.proposed_by)), decision.actor, item.evidence or "")


def _stranded(decision: Decision) -> alternatives.Stranded:
    facts = decision.item.facts
    return alternatives.find_stranded(
        decision.session,
        decision.item.order_id,
        out_refund_no=facts.get("out_refund_no"),
        out_trade_no=facts.get("out_trade_no"),
        agreed=_agreed(decision),
        now=decision.services.clock(),
    )


def _put_back(decision: Decision) -> None:
    """Credit the money to the account of the order again."""
    now = decision.services.clock()
    alternatives.put_back(decision.session, _stranded(decision), _agreed(decision), now=now)


def _pay_by_bank(decision: Decision) -> None:
    """Make it a payout by bank list; `payouts card` enters payee and bank account."""
    now = decision.services.clock()
    alternatives.pay_by_bank(decision.session, _stranded(decision), _agreed(decision), now=now)


def _entry(decision: Decision) -> Adjustment:
    return lock_adjustment(decision.session, str(decision.item.facts["adjustment_no"]))


def _adjust_again(decision: Decision) -> None:
    """Deliver an adjusting entry again: billing was put right, or certainly has not got it."""
    entry, now = _entry(decision), decision.services.clock()
    if entry.status == AdjustmentStatus.DONE:
        return
    alternatives.try_again(decision.session, entry, actor=decision.actor, now=now)
    sweep.promise_again(decision.session, adjustments.KIND, entry.adjustment_no, decision.services)


def _adjustment_arrived(decision: Decision) -> None:
    """Two operators have seen the entry in billing."""
    entry, session = _entry(decision), decision.session
    if entry.status == AdjustmentStatus.DONE:
        return
    if entry.status == AdjustmentStatus.REFUSED:
        # A receipt came after the refusal: the money is reserved again before it counts.
        alternatives.try_again(session, entry, actor=decision.actor, now=decision.services.clock())
    if entry.status not in delivery.TO_DO:
        raise IllegalTransition("这笔调账没有发出")
    if entry.status == AdjustmentStatus.UNKNOWN:
        now = decision.services.clock()
        move_adjustment(session, entry, AdjustmentStatus.SENDING, now=now, cause="review")
    delivery.settle(session, entry, actor=decision.actor.name, services=decision.services)


_FAILED = frozenset(
    {
        ReviewKind.REFUND_ABNORMAL,
        ReviewKind.REFUND_CLOSED,
        ReviewKind.REVERSAL_REFUSED,
        ReviewKind.EXTERNAL_REFUND,
        ReviewKind.LATE_REVERSAL,
    }
)
_ADJUSTMENTS = frozenset({ReviewKind.ADJUSTMENT_REFUSED, ReviewKind.ADJUSTMENT_UNKNOWN})

ACTIONS = {
    "put-back": Action(moves_money=True, kinds=_FAILED, carry_out=_put_back),
    "pay-by-bank": Action(
        moves_money=True,
        kinds=_FAILED | {ReviewKind.SECOND_PAYMENT, ReviewKind.ADJUSTMENT_REFUSED},
        carry_out=_pay_by_bank,
    ),
    "adjust-again": Action(moves_money=True, kinds=_ADJUSTMENTS, carry_out=_adjust_again),
    "adjustment-arrived": Action(
        moves_money=True, kinds=frozenset({ReviewKind.ADJUSTMENT_UNKNOWN}), carry_out=_adjustment_arrived
    ),
}
