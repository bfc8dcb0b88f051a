"""What two operators can do with money that a refund could not return: the account again, or the bank.

The refund has taken it off the account (or it was never credited) and WeChat will not return it. The
database keeps it from going two ways: what moves here is reserved in the order's allocation first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models import allocation, journal
from models.adjustment import Adjustment, AdjustmentKind, AdjustmentStatus, move_adjustment
from models.errors import IllegalTransition
from models.order import Order, PaymentFact
from models.payout import PartStatus, PartWay, Payout, PayoutPart, PayoutStatus
from models.refund import Refund, RefundStatus, find_refund
from models.values.actor import Actor
from models.write_off import kept_fen
from payments import numbers
from payments.adjustments import approval as adjustments
from payments.evidence import EVIDENCE_MAX
from payments.refunds.steps import money_of, move, release

REASON = "退款未成功，退回账户余额"


@dataclass(frozen=True)
class Stranded:
    """Money of one payment that is neither in billing nor on its way back; its order is locked."""

    order: Order
    out_trade_no: str
    amount_fen: int


@dataclass(frozen=True)
class Agreed:
    """What two operators agreed on, and why."""

    proposed_by: Actor
    approved_by: Actor
    evidence: str


def find_stranded(
    session: Session,
    order_id: int | None,
    *,
    out_refund_no: str | None,
    out_trade_no: str | None,
    agreed: Agreed,
    now: datetime,
) -> Stranded:
    """Return what can be moved; an abnormal refund is ended first, so that it holds nothing any more.

    Args:
        out_refund_no: the refund that failed, where there was one: no more than its amount moves.
        out_trade_no: the payment; that of the refund, or the one that paid the order, by default.
    Raises: IllegalTransition - the money is on the account, written off, or on its way already.
    """
    order = None if order_id is None else _locked(session, order_id)
    if order is None:
        raise IllegalTransition("这个待办没有对应的订单")
    refund = find_refund(session, out_refund_no) if out_refund_no else None
    if refund is not None and refund.status == RefundStatus.ABNORMAL:
        reason = "given up by two operators"
        actor = agreed.approved_by.name
        move(session, order, refund, RefundStatus.CLOSED, actor=actor, now=now, error=reason)
        release(session, refund)
        session.flush()  # what it held counts as free from here on
    number = _payment(session, order, refund, out_trade_no)
    free_fen = money_of(session, order, number).spare_fen - kept_fen(session, order.id)
    amount_fen = free_fen if refund is None else min(free_fen, refund.amount_fen)
    if amount_fen <= 0:
        raise IllegalTransition("没有可以处理的款项：仍在账户上、已退回、正在退回或已核销")
    return Stranded(order, number, amount_fen)


def put_back(session: Session, found: Stranded, agreed: Agreed, *, now: datetime) -> Adjustment:
    """Credit the money to the order's account again, under a number of its own.

    Raises: IllegalTransition - the order names no account; MoneySpoken.
    """
    if not found.order.account_no:
        raise IllegalTransition("这笔订单没有对应的账号")
    allocation.hold_restored(session, found.order.id, found.amount_fen)
    entry = Adjustment(
        adjustment_no=_put_back_no(session, found.out_trade_no),
        kind=AdjustmentKind.PUT_BACK,
        account_no=found.order.account_no,
        amount_fen=found.amount_fen,
        reason=REASON,
        evidence=agreed.evidence[:EVIDENCE_MAX],
        order_id=found.order.id,
        out_trade_no=found.out_trade_no,
        status=AdjustmentStatus.APPROVED,
        requested_by=agreed.proposed_by.name,
        decided_by=agreed.approved_by.name,
        created_at=now,
        changed_at=now,
    )
    session.add(entry)
    adjustments.promise(session, entry, now=now)
    _note(session, found, "put-back", agreed, now=now, adjustment_no=entry.adjustment_no)
    return entry


def try_again(session: Session, entry: Adjustment, *, actor: Actor, now: datetime) -> None:
    """Deliver an entry again that billing certainly does not have.

    Raises: IllegalTransition - it is on its way or done; MoneySpoken - its money went another way.
    """
    if entry.status == AdjustmentStatus.REFUSED and entry.order_id is not None:
        allocation.hold_restored(session, entry.order_id, entry.amount_fen)
    move_adjustment(session, entry, AdjustmentStatus.APPROVED, now=now, cause=actor.name)
    adjustments.note(session, entry, "adjustment-again", actor=actor.name, now=now)


def pay_by_bank(session: Session, found: Stranded, agreed: Agreed, *, now: datetime) -> Payout:
    """Let the bank pay it: a payout of one part, which waits for the payee and a bank account.

    Raises: MoneySpoken.
    """
    allocation.hold_bank(session, found.order.id, found.amount_fen)
    payout = Payout(
        payout_no=f"p{numbers.new_order_no(now)[1:]}",
        account_no=found.order.account_no,
        amount_fen=found.amount_fen,
        formula={"order_no": found.order.order_no, "out_trade_no": found.out_trade_no},
        status=PayoutStatus.APPROVED,
        payee="",
        bank_name="",
        bank_account="",
        requested_by=agreed.proposed_by.name,
        decided_by=agreed.approved_by.name,
        by_owner=False,
        created_at=now,
        changed_at=now,
    )
    session.add(payout)
    session.flush()  # the part needs its id
    session.add(
        PayoutPart(
            payout_id=payout.id,
            seq=1,
            part_no=f"{payout.payout_no}-01",
            way=PartWay.BANK,
            amount_fen=found.amount_fen,
            order_no=found.order.order_no,
            order_id=found.order.id,
            out_trade_no=found.out_trade_no,
            # Off the account already, and owed.
            status=PartStatus.WITHDRAWN,
            changed_at=now,
        )
    )
    _note(session, found, "pay-by-bank", agreed, now=now, payout_no=payout.payout_no)
    return payout


def _locked(session: Session, order_id: int) -> Order | None:
    query = select(Order).where(Order.id == order_id).with_for_update(of=Order, key_share=True)
    return session.scalar(query.execution_options(populate_existing=True))


def _payment(session: Session, order: Order, refund: Refund | None, out_trade_no: str | None) -> str:
    wanted = refund.out_trade_no if refund is not None else out_trade_no
    for fact in session.scalars(select(PaymentFact).where(PaymentFact.order_id == order.id)):
        main = fact.transaction_id == order.transaction_id
        if main if wanted is None else fact.out_trade_no == wanted:
            return fact.out_trade_no
    raise IllegalTransition("找不到这笔付款")


def _put_back_no(session: Session, out_trade_no: str) -> str:
    count = select(func.count()).select_from(Adjustment).where(Adjustment.out_trade_no == out_trade_no)
    return f"b{out_trade_no}{int(session.scalar(count) or 0) + 1:02d}"


def _note(
    session: Session, found: Stranded, what: str, agreed: Agreed, *, now: datetime, **facts: str
) -> None:
    journal.note(
        session,
        what,
        order_no=found.order.order_no,
        actor=agreed.approved_by.name,
        now=now,
        proposed_by=agreed.proposed_by.name,
        out_trade_no=found.out_trade_no,
        amount_fen=found.amount_fen,
        **facts,
    )
