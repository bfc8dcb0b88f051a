"""Refund rows of a bill against our refunds: known ones are marked, unknown ones were made elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from models.errors import Mismatch
from models.order import PaymentFact
from models.refund import Refund
from payments.reconcile.bill import BillRow
from payments.reconcile.decide import Foreign, is_ours
from payments.reconcile.ours import BILL, Day, Known, known, unbilled_refunds
from payments.reconcile.result import Action, Finding, Kind
from payments.refunds.approval import OURS
from payments.refunds.facts import record_refund
from payments.services import Services
from payments.wechatpay.client import RefundTrade
from payments.wechatpay.errors import PayRefused

# The bill's words for the state at the time it was made; any other one needs a person.
STATES = {"SUCCESS": "SUCCESS", "PROCESSING": "PROCESSING"}
QUERIES_MAX = 200


def listed(services: Services, day: Day, rows: Iterable[BillRow], foreign: Foreign) -> Iterator[Finding]:
    """Record what the bill says about refunds, and yield what we had not known."""
    for row in rows:
        if not is_ours(row.out_trade_no):
            foreign.add(row.out_trade_no, row.refund_fen or row.order_fen)
            yield Finding(
                kind=Kind.FOREIGN,
                key=_key(row),
                action=Action.LISTED,
                amount_fen=row.refund_fen or row.order_fen,
                facts={"refund_id": row.refund_id},
            )
            continue
        finding = _listed(services, day, row)
        if finding is not None:
            yield finding


def not_listed(services: Services, day: Day) -> Iterator[Finding]:
    """Refunds of ours that arrived on this day, and no bill so far names them."""
    with services.reading() as session:
        unbilled = unbilled_refunds(session, day)
    for number, (refund, order_no) in enumerate(unbilled):
        says = _state_at_wechat(services, refund) if number < QUERIES_MAX else "not asked"
        yield Finding(
            kind=Kind.REFUND_MISSING_IN_BILL,
            key=refund.out_refund_no,
            action=Action.ASKED,
            amount_fen=refund.amount_fen,
            order_id=refund.order_id,
            order_no=order_no,
            facts={"refund_id": refund.refund_id, "wechat_says": says},
        )


def _listed(services: Services, day: Day, row: BillRow) -> Finding | None:
    with services.reading() as session:
        found = known(session, [row.out_trade_no]).get(row.out_trade_no)
    if found is None or found.fact is None:
        return _finding(Kind.EXTERNAL_REFUND, row, found, Action.ASKED, reason="no such payment")
    if row.refund_state not in STATES:
        return _finding(Kind.REFUND_DIFFERS, row, found, Action.ASKED, bill_state=row.refund_state)
    try:
        with services.transaction() as session:
            refund = record_refund(session, _trade(row, found.fact), cause=BILL, now=services.clock())
            if refund is not None and refund.billed_on is None:
                refund.billed_on = day.on
    except Mismatch as error:
        return _finding(Kind.REFUND_DIFFERS, row, found, Action.ASKED, field=error.field)
    services.wake()
    if refund is not None and refund.origin == OURS:
        return None
    # Recording it has asked a person already.
    return _finding(Kind.EXTERNAL_REFUND, row, found, Action.RECORDED, held=refund is not None)


def _trade(row: BillRow, paid: PaymentFact) -> RefundTrade:
    return RefundTrade(
        out_refund_no=row.out_refund_no,
        refund_id=row.refund_id,
        out_trade_no=row.out_trade_no,
        transaction_id=row.transaction_id,
        status=STATES[row.refund_state],
        amount_fen=row.refund_fen,
        # A refund row does not repeat what was paid.
        total_fen=paid.amount_fen,
        currency=row.currency,
        mch_id=row.mch_id,
        success_at=None,
    )


def _state_at_wechat(services: Services, refund: Refund) -> str:
    try:
        return services.pay.query_refund(refund.out_refund_no).status
    except PayRefused as refused:
        return refused.code


def _finding(kind: Kind, row: BillRow, found: Known | None, action: Action, **facts: object) -> Finding:
    return Finding(
        kind=kind,
        key=_key(row),
        action=action,
        amount_fen=row.refund_fen,
        order_id=found.order_id if found else None,
        order_no=found.order_no if found else None,
        facts={"out_trade_no": row.out_trade_no, "refund_id": row.refund_id, **facts},
    )


def _key(row: BillRow) -> str:
    # A payment that was revoked has no refund of its own.
    if row.out_refund_no.strip("0"):
        return row.out_refund_no
    return row.transaction_id or row.out_trade_no
