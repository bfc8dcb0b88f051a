"""Calls that billing applied too late, and calls that it cannot be queried for."""

from __future__ import annotations

from models.errors import IllegalTransition
from models.order import Credit, CreditStatus, Order, find_order, move_credit
from models.payout import PartStatus, PayoutPart, move_part
from models.refund import RefundStatus, ReversalStatus, move_reversal
from models.review import ReviewKind
from models.swap import SwapIntent, SwapStatus
from models.values.actor import Actor
from payments import repairs, swap, sweep
from payments.payouts import delivery as payouts
from payments.refunds import approval as refunds
from payments.refunds.freeing import record_reversal
from payments.refunds.steps import give_up, locked
from payments.review.actions.base import Action, Decision

REASON = "原路退回"


def _credit(decision: Decision) -> Credit:
    return repairs.LateCredit(decision.session, str(decision.item.facts["credit_no"])).row


def _part(decision: Decision) -> PayoutPart:
    return payouts.locked(decision.session, str(decision.item.facts["part_no"]))


def _purchase(decision: Decision) -> tuple[Order, SwapIntent]:
    order = find_order(decision.session, str(decision.item.facts["order_no"]))
    if order is None:
        raise IllegalTransition("找不到这笔订单")
    return order, decision.session.get_one(SwapIntent, order.id, with_for_update=True)


def _take_back(decision: Decision) -> None:
    """Reverse the credit: its money has gone back to the payer."""
    credit = _credit(decision)
    if credit.status in (CreditStatus.TAKING_BACK, CreditStatus.TAKEN_BACK):
        return
    job = repairs.take_back(decision.session, credit, now=decision.services.clock())
    sweep.promise_again(decision.session, repairs.KIND, job, decision.services)


def _record_owed(decision: Decision) -> None:
    """The money stays on the account; its owner owes it."""
    credit = _credit(decision)
    if credit.status != CreditStatus.OWED:
        now = decision.services.clock()
        move_credit(decision.session, credit, CreditStatus.OWED, now=now, reason="review")


def _refund_after_all(decision: Decision) -> None:
    """The reversed money goes back to the payer by a new refund."""
    session, now = decision.session, decision.services.clock()
    order, given_up = locked(session, str(decision.item.facts["out_refund_no"]))
    wanted = refunds.Wanted(order.order_no, given_up.amount_fen, REASON, given_up.out_trade_no)
    refund = refunds.ask_for(session, wanted, actor=Actor(str(decision.item.proposed_by)), now=now)
    session.flush()  # its number is looked up by the approval
    refunds.agree_to(session, refund.out_refund_no, actor=decision.actor, now=now)


def _return_withdrawal(decision: Decision) -> None:
    """Credit the account again: nothing is paid out."""
    part = _part(decision)
    if part.status in (PartStatus.RETURNING, PartStatus.RETURNED):
        return
    job = repairs.put_back(decision.session, part, now=decision.services.clock())
    sweep.promise_again(decision.session, repairs.KIND, job, decision.services)


def _continue_payout(decision: Decision) -> None:
    """The money is off the account: the part stands on the next list for the bank."""
    part = _part(decision)
    if part.status == PartStatus.LATE:
        move_part(decision.session, part, PartStatus.WITHDRAWN, now=decision.services.clock())


def _accept_purchase(decision: Decision) -> None:
    """The package was bought and paid for from the balance: the order says so again."""
    order, intent = _purchase(decision)
    if intent.status == SwapStatus.LATE:
        now, actor = decision.services.clock(), decision.actor.name
        swap.record_swapped(decision.session, order, intent, None, actor=actor, now=now)


def _arrived(decision: Decision) -> None:
    """Two operators have seen the effect of the call in billing."""
    session, now, actor = decision.session, decision.services.clock(), decision.actor.name
    match decision.item.kind:
        case ReviewKind.REVERSAL_UNKNOWN:
            order, refund = locked(session, str(decision.item.facts["out_refund_no"]))
            if refund.reversal != ReversalStatus.DONE:
                record_reversal(session, order, refund, actor=actor, now=now)
        case ReviewKind.WITHDRAWAL_UNKNOWN:
            payouts.record_withdrawn(session, _part(decision), now=now, actor=actor)
        case ReviewKind.PURCHASE_UNKNOWN:
            order, intent = _purchase(decision)
            if intent.status == SwapStatus.WAITING:
                swap.record_swapped(session, order, intent, None, actor=actor, now=now)
        case _:
            name, _, number = str(decision.item.facts["number"]).partition(":")
            repairs.SUBJECTS[name](session, number).done(now)
    _run_again(decision)


def _absent(decision: Decision) -> None:
    """Two operators have made sure that the call had no effect and will have none: it is sent again."""
    session, now = decision.session, decision.services.clock()
    match decision.item.kind:
        case ReviewKind.REVERSAL_UNKNOWN:
            _, refund = locked(session, str(decision.item.facts["out_refund_no"]))
            if refund.reversal == ReversalStatus.UNKNOWN:
                move_reversal(session, refund, ReversalStatus.PENDING, now=now, doubt_from=None)
        case ReviewKind.WITHDRAWAL_UNKNOWN:
            part = _part(decision)
            if part.status == PartStatus.UNKNOWN:
                move_part(session, part, PartStatus.SENDING, now=now)
                move_part(session, part, PartStatus.WAITING, now=now, doubt_from=None)
        case ReviewKind.PURCHASE_UNKNOWN:
            _, intent = _purchase(decision)
            intent.doubt_from = None
        case _:
            name, _, number = str(decision.item.facts["number"]).partition(":")
            repairs.SUBJECTS[name](session, number).row.doubt_from = None
    _run_again(decision)


def _give_up(decision: Decision) -> None:
    """The reversal had no effect and will have none, and the refund is not wanted any more."""
    session, now = decision.session, decision.services.clock()
    order, refund = locked(session, str(decision.item.facts["out_refund_no"]))
    if refund.status != RefundStatus.APPROVED:
        return
    move_reversal(session, refund, ReversalStatus.PENDING, now=now, doubt_from=None)
    kind, reason = ReviewKind.REVERSAL_REFUSED, "given up"
    give_up(session, order, refund, kind, actor=decision.actor.name, now=now, reason=reason)


def _run_again(decision: Decision) -> None:
    facts = decision.item.facts
    sweep.promise_again(decision.session, str(facts["job"]), str(facts["number"]), decision.services)


_UNKNOWN = frozenset(
    {
        ReviewKind.REVERSAL_UNKNOWN,
        ReviewKind.WITHDRAWAL_UNKNOWN,
        ReviewKind.PURCHASE_UNKNOWN,
        ReviewKind.REPAIR_UNKNOWN,
    }
)


# LATE_REVERSAL is not among them: the money of the order is in review, and may be owed or written off.
UNSETTLED = _UNKNOWN | {ReviewKind.LATE_CREDIT, ReviewKind.LATE_WITHDRAWAL, ReviewKind.LATE_PURCHASE}


def _only(kind: ReviewKind) -> frozenset[ReviewKind]:
    return frozenset({kind})


ACTIONS = {
    "take-back": Action(moves_money=True, kinds=_only(ReviewKind.LATE_CREDIT), carry_out=_take_back),
    "record-owed": Action(moves_money=True, kinds=_only(ReviewKind.LATE_CREDIT), carry_out=_record_owed),
    "refund-after-all": Action(
        moves_money=True, kinds=_only(ReviewKind.LATE_REVERSAL), carry_out=_refund_after_all
    ),
    "return-withdrawal": Action(
        moves_money=True, kinds=_only(ReviewKind.LATE_WITHDRAWAL), carry_out=_return_withdrawal
    ),
    "continue-payout": Action(
        moves_money=True, kinds=_only(ReviewKind.LATE_WITHDRAWAL), carry_out=_continue_payout
    ),
    "accept-purchase": Action(
        moves_money=True, kinds=_only(ReviewKind.LATE_PURCHASE), carry_out=_accept_purchase
    ),
    "call-arrived": Action(moves_money=True, kinds=_UNKNOWN, carry_out=_arrived),
    "call-absent": Action(moves_money=True, kinds=_UNKNOWN, carry_out=_absent),
    "give-up": Action(moves_money=True, kinds=_only(ReviewKind.REVERSAL_UNKNOWN), carry_out=_give_up),
}
