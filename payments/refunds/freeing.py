"""Before money goes back it is nobody's: a waiting credit is voided, a credit in billing reversed.

The last step holds the money for the refund and lets it be sent, in one commit with the fact that
freed it, so that nothing else can take it in between.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from billing.interface import CreditReceipt, MoneyCall
from models import allocation
from models.allocation import MoneySpoken
from models.errors import Conflict, Mismatch, Refused, Unavailable, Unknown
from models.order import CreditStatus, Order
from models.refund import Refund, RefundStatus, ReversalStatus, move_reversal
from models.review import ReviewKind
from payments import outbox
from payments.billing_call import (
    Applied,
    BillingCall,
    InDoubt,
    NotApplied,
    Unresolvable,
    carry_out,
    prepare,
)
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
    """What to ask of billing; `earlier`: since when a call without an answer is in doubt."""

    account_no: str
    amount_fen: int
    key: str
    credit_key: str
    earlier: datetime | None
    ref: str | None


def free(services: Services, held: outbox.Claim) -> Outcome | None:
    """Free the money of an approved refund and hold it.

    Returns: None - the refund is in SENDING and may be sent; else what to tell the worker.
    Raises: Unknown, Unavailable - billing did not answer; Conflict - another worker has the job;
        Mismatch - billing reversed another amount under our key.
    """
    wanted = _begin(services, held, _prepare(services, held.key))
    if not isinstance(wanted, _Reversal):
        return wanted
    answer = carry_out(services, held, _call(services, held, wanted))
    match answer:
        case Applied(receipt):
            return _reversed(services, held, receipt)
        case NotApplied(Refused() as refusal):
            _not_reversed(services, held, ReversalStatus.PENDING, None, refusal.code)
            return Done(f"billing refused: {refusal.code}")
        case NotApplied(error):
            _not_reversed(services, held, ReversalStatus.PENDING, None, None)
            raise error
        case InDoubt(doubt_from, error, again_at):
            _not_reversed(services, held, ReversalStatus.UNKNOWN, doubt_from, None)
            if isinstance(error, Unknown | Unavailable):
                raise error
            backoff = timedelta(seconds=outbox.backoff_s(held.attempts))
            return Later(again_at or services.clock() + backoff)
        case Unresolvable(reason):
            return _leave_to_operator(services, held, reason)


def _prepare(services: Services, out_refund_no: str) -> str | None:
    """Get the identifier that billing issues before the call, where it does so and there is none yet."""
    if not services.billing.capabilities().prepare:
        return None
    with services.transaction() as session:
        order, refund = locked(session, out_refund_no)
        money = money_of(session, order, refund.out_trade_no)
    if refund.reversal != ReversalStatus.PENDING or refund.prepared_ref or money.credit is None:
        return refund.prepared_ref
    account_no, key = money.credit.account_no, reversal_key(refund)
    return prepare(services, MoneyCall.REVERSAL, account_no, refund.amount_fen, key=key)


def reversal_key(refund: Refund) -> str:
    """Return the key under which billing reverses the credit of this refund."""
    return f"v{refund.out_refund_no}"


def _call(services: Services, held: outbox.Claim, wanted: _Reversal) -> BillingCall[CreditReceipt]:
    billing, account_no, key = services.billing, wanted.account_no, wanted.key
    return BillingCall(
        kind=MoneyCall.REVERSAL,
        account_no=account_no,
        key=key,
        send=lambda ref: billing.reverse(
            account_no, wanted.amount_fen, key=key, credit_key=wanted.credit_key, ref=ref
        ),
        find=lambda ref: billing.find_reversal(account_no, key, ref=ref),
        again=lambda: _again(services, held),
        doubt_from=wanted.earlier,
        ref=wanted.ref,
    )


def _begin(services: Services, held: outbox.Claim, ref: str | None) -> _Reversal | Outcome | None:
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
        earlier = None
        if refund.reversal in DOUBTFUL:
            earlier = refund.doubt_from or refund.changed_at
        elif not able:
            reason = "billing cannot reverse a credit"
            give_up(session, order, refund, ReviewKind.REVERSAL_REFUSED, actor=ACTOR, now=now, reason=reason)
            return Done(reason)
        else:
            refund.prepared_ref = refund.prepared_ref or ref
            move_reversal(session, refund, ReversalStatus.SENDING, now=now, doubt_from=held.leased_until)
        return _Reversal(
            account_no=money.credit.account_no,
            amount_fen=refund.amount_fen,
            key=reversal_key(refund),
            credit_key=money.credit.credit_no,
            earlier=earlier,
            ref=refund.prepared_ref,
        )


def _again(services: Services, held: outbox.Claim) -> None:
    """Mark a reversal in doubt as being sent once more; only while the lease runs."""
    now = services.clock()
    with services.transaction() as session:
        outbox.insist(session, held, now=now)
        _, refund = locked(session, held.key)
        if refund.reversal not in DOUBTFUL:
            raise Conflict(f"the reversal of refund {held.key} is not in doubt any more")
        refund.doubt_from = held.leased_until
        move_reversal(session, refund, ReversalStatus.SENDING, now=now)


def _decide(session: Session, order: Order, refund: Refund, money: Money, *, now: datetime) -> bool:
    """Say whether the credit has to be reversed; false while the credit itself is not decided."""
    credit = money.credit
    if credit is not None and refund.amount_fen > money.spare_fen:
        if credit.status == CreditStatus.CREDITED:
            return True
        if credit.status == CreditStatus.MANUAL:
            reason = "the credit waits for a person"
            ask(session, order, refund, ReviewKind.REFUND_UNKNOWN, now=now, reason=reason, about="credit")
        if credit.status in UNDECIDED or credit.doubt_from is not None:
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
            reason = "the order's money is already committed"
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


def _leave_to_operator(services: Services, held: outbox.Claim, reason: str) -> Outcome:
    """The reversal stays in doubt until two operators have looked in billing."""
    now = services.clock()
    with services.transaction() as session:
        outbox.insist(session, held, now=now)
        order, refund = locked(session, held.key)
        if refund.reversal == ReversalStatus.SENDING:
            move_reversal(session, refund, ReversalStatus.UNKNOWN, now=now)
        ask(session, order, refund, ReviewKind.REVERSAL_UNKNOWN, now=now, reason=reason)
    return Park(reason)


def _not_reversed(
    services: Services,
    held: outbox.Claim,
    reversal: ReversalStatus,
    doubt_from: datetime | None,
    refused: str | None,
) -> None:
    """Nothing was taken back, or that is unknown; only while the lease runs (a successor may know better)."""
    now = services.clock()
    with services.transaction() as session:
        outbox.insist(session, held, now=now)
        order, refund = locked(session, held.key)
        move_reversal(session, refund, reversal, now=now, cause=refused, doubt_from=doubt_from)
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
        record_reversal(session, order, refund, actor=ACTOR, now=now)
        if refund.status != RefundStatus.APPROVED:
            # Given up while our call was on its way: the money is neither on the account nor with the payer.
            reason = "reversed after the refund was given up"
            ask(session, order, refund, ReviewKind.LATE_REVERSAL, now=now, reason=reason)
            return Done(reason)
        return _go(session, order, refund, now)


def record_reversal(session: Session, order: Order, refund: Refund, *, actor: str, now: datetime) -> None:
    """Count a reversal that took effect. Raises: IllegalTransition, Conflict, MoneySpoken."""
    allocation.count_reversal(session, order.id, refund.amount_fen)
    move_reversal(session, refund, ReversalStatus.DONE, now=now, doubt_from=None)
    note(session, order, refund, "credit-reversed", actor=actor, now=now, key=reversal_key(refund))
