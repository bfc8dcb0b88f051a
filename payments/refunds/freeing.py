"""Before money goes back it is nobody's: a waiting credit is voided, a credit in billing reversed.

The last step holds the money for the refund and lets it be sent, in one commit with the fact that
freed it, so that nothing else can take it in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from billing.interface import CreditReceipt
from models import allocation
from models.allocation import MoneySpoken
from models.errors import Conflict, Mismatch, Refused, Unavailable, Unknown
from models.order import CreditStatus, Order
from models.refund import Refund, RefundStatus, ReversalStatus, move_reversal
from models.review import ReviewKind
from payments import outbox
from payments.outcome import Done, Later, Outcome, Park
from payments.refunds.steps import (
    WAITING_CREDIT,
    Money,
    ask,
    give_up,
    locked,
    money_of,
    move,
    note,
    void,
)
from payments.services import Services

ACTOR = "worker"
UNDECIDED = (CreditStatus.SENDING, CreditStatus.UNKNOWN, CreditStatus.MANUAL)
DOUBTFUL = (ReversalStatus.SENDING, ReversalStatus.UNKNOWN)


@dataclass(frozen=True)
class _Reversal:
    """What to ask of billing; `doubtful` when it may have been asked before."""

    account_no: str
    amount_fen: int
    key: str
    credit_key: str
    doubtful: bool


def free(services: Services, held: outbox.Claim) -> Outcome | None:
    """Free the money of an approved refund and hold it.

    Returns: None - the refund is in SENDING and may be sent; else what to tell the worker.
    Raises: Unknown, Unavailable - billing did not answer; Conflict - somebody else works on it;
        Mismatch - billing reversed another amount under our key.
    """
    wanted = _begin(services, held)
    if not isinstance(wanted, _Reversal):
        return wanted
    receipt = services.billing.find_reversal(wanted.key) if wanted.doubtful else None
    if receipt is None:
        try:
            receipt = _reverse(services, held, wanted)
        except Refused as refusal:
            return Done(f"billing refused: {refusal.code}")
    return _reversed(services, held, receipt)


def _begin(services: Services, held: outbox.Claim) -> _Reversal | Outcome | None:
    """Do what needs no network; a reversal is marked as being sent before it is."""
    now, able = services.clock(), services.billing.capabilities().reverse
    with services.transaction() as session:
        outbox.insist(session, held, now=now)
        order, refund = locked(session, held.key)
        if refund.status != RefundStatus.APPROVED:
            raise Conflict(f"refund {held.key} left APPROVED")
        money = money_of(session, order, refund.out_trade_no)
        if refund.reversal == ReversalStatus.PENDING:
            decided = _decide(session, order, refund, money, now=now)
            if not decided:
                return Later(now + timedelta(seconds=outbox.backoff_s(held.attempts)))
        if money.credit is None or refund.reversal in (ReversalStatus.NOT_NEEDED, ReversalStatus.DONE):
            return _go(session, order, refund, now)
        if not able:
            return _without_reversal(session, order, refund, now)
        doubtful = refund.reversal in DOUBTFUL
        move_reversal(session, refund, ReversalStatus.SENDING, now=now)
        return _Reversal(
            account_no=money.credit.account_no,
            amount_fen=refund.amount_fen,
            key=f"v{refund.out_refund_no}",
            credit_key=money.credit.credit_no,
            doubtful=doubtful,
        )


def _decide(session: Session, order: Order, refund: Refund, money: Money, *, now: datetime) -> bool:
    """Say whether the credit has to be reversed; false while the credit itself is not decided."""
    credit = money.credit
    if credit is not None and refund.amount_fen > money.spare_fen:
        if credit.status == CreditStatus.CREDITED:
            return True
        if credit.status == CreditStatus.MANUAL:
            reason = "the credit waits for a person"
            ask(session, order, refund, ReviewKind.REFUND_UNKNOWN, now=now, reason=reason, about="credit")
        if credit.status in UNDECIDED:
            return False
        if credit.status in WAITING_CREDIT and refund.amount_fen <= money.free_fen:
            void(session, order, credit, actor=ACTOR, now=now)
    move_reversal(session, refund, ReversalStatus.NOT_NEEDED, now=now)
    return True


def _go(session: Session, order: Order, refund: Refund, now: datetime) -> Outcome | None:
    """Hold the money and let the refund be sent, in one step; None when that worked."""
    if not refund.held:
        try:
            _hold(session, order, refund)
        except MoneySpoken:
            reason = "the order's money is spoken for"
            give_up(session, order, refund, ReviewKind.REFUND_CLOSED, actor=ACTOR, now=now, reason=reason)
            return Done(reason)
    move(session, order, refund, RefundStatus.SENDING, actor=ACTOR, now=now)
    return None


def _hold(session: Session, order: Order, refund: Refund) -> None:
    """The database watches the order as a whole; no payment of it may give more than it brought."""
    if refund.amount_fen > money_of(session, order, refund.out_trade_no).spare_fen:
        raise MoneySpoken
    allocation.hold_refund(session, order.id, refund.amount_fen)
    refund.held = True


def _without_reversal(session: Session, order: Order, refund: Refund, now: datetime) -> Outcome:
    if refund.reversal in DOUBTFUL:
        reason = "billing cannot say whether the credit was reversed"
        ask(session, order, refund, ReviewKind.REVERSAL_REFUSED, now=now, reason=reason)
        return Park(reason)
    reason = "billing cannot reverse a credit"
    give_up(session, order, refund, ReviewKind.REVERSAL_REFUSED, actor=ACTOR, now=now, reason=reason)
    return Done(reason)


def _reverse(services: Services, held: outbox.Claim, wanted: _Reversal) -> CreditReceipt:
    try:
        return services.billing.reverse(
            wanted.account_no, wanted.amount_fen, key=wanted.key, credit_key=wanted.credit_key
        )
    except Unavailable:
        _not_reversed(services, held, ReversalStatus.PENDING, None)
        raise
    except Unknown:
        _not_reversed(services, held, ReversalStatus.UNKNOWN, None)
        raise
    except Refused as refusal:
        _not_reversed(services, held, ReversalStatus.PENDING, refusal.code)
        raise


def _not_reversed(
    services: Services, held: outbox.Claim, reversal: ReversalStatus, refused: str | None
) -> None:
    """Nothing was taken back, or nobody knows; only while the lease runs (a successor may know better)."""
    now = services.clock()
    with services.transaction() as session:
        outbox.insist(session, held, now=now)
        order, refund = locked(session, held.key)
        move_reversal(session, refund, reversal, now=now, cause=refused)
        if refused is not None:
            give_up(session, order, refund, ReviewKind.REVERSAL_REFUSED, actor=ACTOR, now=now, reason=refused)


def _reversed(services: Services, held: outbox.Claim, receipt: CreditReceipt) -> Outcome | None:
    """Billing gave the money back: count it, whatever else happened meanwhile, and go on if it fits."""
    now = services.clock()
    with services.transaction() as session:
        order, refund = locked(session, held.key)
        if refund.reversal == ReversalStatus.DONE:
            raise Conflict(f"refund {held.key} went on without us")
        if receipt.amount_fen != refund.amount_fen:
            raise Mismatch("reversal_amount", order.order_no)
        allocation.count_reversal(session, order.id, refund.amount_fen)
        move_reversal(session, refund, ReversalStatus.DONE, now=now)
        note(session, order, refund, "credit-reversed", actor=ACTOR, now=now, key=receipt.key)
        if refund.status != RefundStatus.APPROVED:
            # Given up by somebody else while our call was on its way: the student's money is in between.
            reason = "reversed after the refund was given up"
            ask(session, order, refund, ReviewKind.REVERSAL_REFUSED, now=now, reason=reason, about="late")
            return Done(reason)
        return _go(session, order, refund, now)
