"""Refunds that WeChat Pay made after the backup: rebuilt as approved, ended by the ordinary job.

That job takes the credit back from billing, holds the money and finds the refund at WeChat under its
number: money that went back to the payer does not stay on the account.
"""

from __future__ import annotations

import re
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import journal
from models.errors import Mismatch
from models.order import CreditStatus, Order, PaymentFact, credit_of
from models.refund import Refund, RefundStatus, ReversalStatus, find_refund, refunds_of
from models.review import ReviewKind, ask_person
from models.swap import SwapStatus, end_swap
from payments import outbox
from payments.numbers import is_ours
from payments.reconcile.ours import Known, known
from payments.recovery.rebuild import CAUSE
from payments.recovery.report import Report
from payments.recovery.seen import SeenRefund, refund_of_trade
from payments.refunds.approval import OURS
from payments.refunds.external import note_refunded_trade
from payments.refunds.facts import ENDED, record_refund
from payments.refunds.steps import locked, move
from payments.services import Services
from payments.wechatpay.client import RefundNotFound, RefundTrade

REASON = "恢复数据时补记"
NUMBER = re.compile(r"f(r\d{8}[0-9a-z]{11})(\d{2})")
# A refund that was rejected leaves a gap in the numbers.
GAP_MAX = 3
UNDECIDED = (CreditStatus.PENDING, CreditStatus.SENDING, CreditStatus.UNKNOWN)
NEVER_SENT = (RefundStatus.REQUESTED, RefundStatus.APPROVED)


def take_refund(services: Services, seen: SeenRefund, report: Report) -> bool:
    """Bring our books to what WeChat says about one refund; again changes nothing.

    Returns: False while the credit of the order is under way, so that it has to be tried again later: a
        part of a payment that is not credited yet could not be refunded by itself.
    Raises: Unknown, Unavailable - WeChat did not answer.
    """
    with services.reading() as session:
        paid = known(session, [seen.out_trade_no]).get(seen.out_trade_no)
        refund = find_refund(session, seen.out_refund_no)
        waits = paid is not None and _credit_is_under_way(session, paid)
    if paid is None or paid.fact is None:
        if is_ours(seen.out_trade_no):
            _leave(services, seen, report, "没有对应的付款")
        else:
            report.count("foreign_refund", seen.amount_fen)
        return True
    if refund is not None and refund.status in ENDED:
        report.count("refund_known", seen.amount_fen)
        return True
    if waits:
        return False
    try:
        trade = services.pay.query_refund(seen.out_refund_no)
    except RefundNotFound:
        _leave(services, seen, report, "微信支付查不到这笔退款")
        return True
    try:
        rebuilt = _take(services, paid, trade)
    except Mismatch as mismatch:
        _leave(services, seen, report, f"与订单不一致：{mismatch.field}")
        return True
    report.count("refund_rebuilt" if rebuilt else "refund_known", seen.amount_fen)
    return True


def probe_refunds(services: Services, out_trade_no: str) -> list[SeenRefund]:
    """Query the refund numbers that an order would have used next: its payment is shown as refunded."""
    with services.reading() as session:
        paid = known(session, [out_trade_no]).get(out_trade_no)
        used = {refund.out_refund_no for refund in refunds_of(session, paid.order_id)} if paid else set()
    if paid is None:
        return []
    found: list[SeenRefund] = []
    seq, missing = 0, 0
    while missing < GAP_MAX:
        seq += 1
        number = f"f{paid.order_no}{seq:02d}"
        if number in used:
            continue
        try:
            found.append(refund_of_trade(services.pay.query_refund(number), "query"))
            missing = 0
        except RefundNotFound:
            missing += 1
    return found


def hold_whole_payment(services: Services, out_trade_no: str) -> None:
    """Keep a payment that is shown as refunded, by a refund that nobody can name, from being credited."""
    now = services.clock()
    with services.transaction() as session:
        paid = known(session, [out_trade_no]).get(out_trade_no)
        if paid is not None and paid.fact is not None:
            order, _ = _order_and_fact(session, paid)
            note_refunded_trade(session, order, out_trade_no, cause=CAUSE, now=now)


def unfinished_refunds(session: Session) -> list[SeenRefund]:
    """Return our refunds that the backup shows as not ended: WeChat may have ended them since."""
    query = select(Refund).where(Refund.origin == OURS, Refund.status.not_in(ENDED)).order_by(Refund.id)
    return [
        SeenRefund(refund.out_refund_no, refund.out_trade_no, refund.amount_fen, "query")
        for refund in session.scalars(query)
    ]


def is_at_wechat(services: Services, seen: SeenRefund) -> bool:
    """Return True if WeChat has accepted a refund under this number. Raises: Unknown, Unavailable."""
    try:
        services.pay.query_refund(seen.out_refund_no)
    except RefundNotFound:
        return False
    return True


def _credit_is_under_way(session: Session, paid: Known) -> bool:
    credit = credit_of(session, paid.order_id)
    order = session.get(Order, paid.order_id)
    if credit is None or order is None or paid.fact is None:
        return False
    return credit.status in UNDECIDED and order.transaction_id == paid.fact.transaction_id


def _take(services: Services, paid: Known, trade: RefundTrade) -> bool:
    """Returns: whether the refund was rebuilt or sent on its way."""
    now = services.clock()
    with services.transaction() as session:
        order, fact = _order_and_fact(session, paid)
        refund = find_refund(session, trade.out_refund_no)
        if refund is not None and (refund.held or refund.status not in NEVER_SENT):
            record_refund(session, trade, cause=CAUSE, now=now)
            return False
        _match(order, fact, trade)
        if refund is None and not _is_number_of(order, trade.out_refund_no):
            # Made in the merchant console: recorded, and shown to operators, as always.
            record_refund(session, trade, cause=CAUSE, now=now)
            return False
        if _guess(session, trade.out_trade_no) is not None:
            record_refund(session, trade, cause=CAUSE, now=now)
            return True
        if trade.status == RefundStatus.CLOSED:
            if refund is not None:
                raise Mismatch("refund_status", order.order_no)
            return False
        if refund is None:
            _add(session, order, trade, now)
        else:
            _approve(session, refund, trade, now)
        outbox.put(session, "refund", trade.out_refund_no, {"out_refund_no": trade.out_refund_no}, now=now)
        outbox.hasten(session, "refund", trade.out_refund_no, due_at=now)
    return True


def _order_and_fact(session: Session, paid: Known) -> tuple[Order, PaymentFact]:
    query = select(Order).where(Order.id == paid.order_id).with_for_update(of=Order, key_share=True)
    order = session.scalars(query.execution_options(populate_existing=True)).one()
    if paid.fact is None:
        raise Mismatch("refund_payment", order.order_no)
    return order, paid.fact


def _match(order: Order, fact: PaymentFact, trade: RefundTrade) -> None:
    if trade.transaction_id != fact.transaction_id:
        raise Mismatch("refund_transaction_id", order.order_no)
    if trade.total_fen != fact.amount_fen:
        raise Mismatch("refund_total", order.order_no)


def _is_number_of(order: Order, out_refund_no: str) -> bool:
    found = NUMBER.fullmatch(out_refund_no)
    return found is not None and found[1] == order.order_no


def _guess(session: Session, out_trade_no: str) -> Refund | None:
    refund = find_refund(session, f"x{out_trade_no}")
    return refund if refund is not None and refund.refund_id is None else None


def _add(session: Session, order: Order, trade: RefundTrade, now: datetime) -> None:
    """Write a refund as two operators had approved it; WeChat accepted it, so they had."""
    session.add(
        Refund(
            order_id=order.id,
            out_refund_no=trade.out_refund_no,
            out_trade_no=trade.out_trade_no,
            amount_fen=trade.amount_fen,
            reason=REASON,
            origin=OURS,
            status=RefundStatus.APPROVED,
            reversal=ReversalStatus.PENDING,
            held=False,
            requested_by=CAUSE,
            approved_by=CAUSE,
            created_at=now,
            changed_at=now,
        )
    )
    if trade.amount_fen == order.amount_fen:
        # The package was to be bought with money that went back.
        end_swap(session, order.id, SwapStatus.REFUSED, now=now, reason="refunded")
    journal.note(
        session,
        "refund-rebuilt",
        order_no=order.order_no,
        actor=CAUSE,
        now=now,
        out_refund_no=trade.out_refund_no,
        amount_fen=trade.amount_fen,
    )


def _approve(session: Session, refund: Refund, trade: RefundTrade, now: datetime) -> None:
    order, refund = locked(session, refund.out_refund_no)
    if refund.amount_fen != trade.amount_fen or refund.out_trade_no != trade.out_trade_no:
        raise Mismatch("refund_amount", order.order_no)
    if refund.status == RefundStatus.REQUESTED:
        refund.approved_by = CAUSE
        move(session, order, refund, RefundStatus.APPROVED, actor=CAUSE, now=now)


def _leave(services: Services, seen: SeenRefund, report: Report, reason: str) -> None:
    with services.transaction() as session:
        ask_person(
            session,
            ReviewKind.NOT_REBUILT,
            f"refund:{seen.out_refund_no}",
            order_id=None,
            amount_fen=seen.amount_fen,
            now=services.clock(),
            out_refund_no=seen.out_refund_no,
            out_trade_no=seen.out_trade_no,
            reason=reason,
        )
    report.add("refund", seen.out_refund_no, seen.amount_fen, reason)
