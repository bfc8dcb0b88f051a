"""WeChat Pay's callbacks, on payments and refunds: verified on raw bytes, kept, acted on in one commit.

The callback row stays whatever goes wrong with acting on it; the worker then tries again from the row.
Its verdict names what it is about, so that an order's callbacks can be found.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import structlog
from sqlalchemy.orm import Session

from models.errors import Mismatch, ServiceError
from models.order import NotifyInbox, find_order
from models.review import ReviewKind, ask_person
from payments import outbox
from payments.confirm import confirm_paid
from payments.outcome import Done, Outcome
from payments.refunds import facts as refund_facts
from payments.services import Services
from payments.settle import fact_of
from payments.wechatpay.client import Notification

log = structlog.get_logger()

PAID_EVENT = "TRANSACTION.SUCCESS"
NUMBER_MAX, VERDICT_MAX = 32, 200
# No payment in fen comes near the end of a 32-bit integer.
AMOUNT_END = 2**31
UNPRINTED = re.compile(r"[^0-9A-Za-z]")


def receive(services: Services, headers: Mapping[str, str], body: bytes) -> None:
    """Take one callback. Returns only after the commit: the caller may then answer 204.

    Raises: Forged, Malformed - nothing was stored; anything else - the row could not be stored (a
        database that is gone), so that WeChat must send it again.
    """
    notification = services.pay.verify_notify(headers, body)
    now = services.clock()
    with services.transaction() as session:
        row = NotifyInbox(
            event_id=notification.event_id[:64],
            event_type=notification.event_type[:32],
            serial=notification.serial[:64],
            body=body,
            received_at=now,
        )
        session.add(row)
        session.flush()  # the id names the repair job, should acting on it fail
        _act_guarded(services, session, row, notification)
        inbox_id, verdict = row.id, row.verdict
    log.info("callback_kept", inbox_id=inbox_id, verdict=verdict)
    services.wake()


def deliver(services: Services, held: outbox.Claim) -> Outcome:
    """The outbox job `inbox`: act on a kept callback whose first handling failed."""
    with services.transaction() as session:
        row = session.get_one(NotifyInbox, int(held.payload["inbox_id"]))
        if row.verdict is not None and not row.verdict.startswith("failed"):
            return Done(row.verdict)
        _act_or_ask(services, session, row, services.pay.reopen_notification(row.body))
    services.wake()
    return Done(row.verdict)


def _act_guarded(services: Services, session: Session, row: NotifyInbox, notification: Notification) -> None:
    """Act, and keep the row whatever fails: what it tells was verified, and WeChat may not tell it again.

    A failure without a name of ours is a bug: loud in the log, and tried again like any other.
    """
    try:
        _act_or_ask(services, session, row, notification)
    except Exception as error:
        if not isinstance(error, ServiceError):
            log.exception("notify_failed", inbox_id=row.id)
        row.verdict = f"failed:{type(error).__name__}:{_number(notification)}"[:VERDICT_MAX]
        outbox.put(session, "inbox", str(row.id), {"inbox_id": row.id}, now=services.clock())


def _act_or_ask(services: Services, session: Session, row: NotifyInbox, notification: Notification) -> None:
    """Act inside a savepoint, so that the row survives; what contradicts our books goes to a person."""
    try:
        with session.begin_nested():
            verdict = _act(services, session, notification)
    except Mismatch as mismatch:
        verdict = f"mismatch:{mismatch.field}:{_number(notification)}"
        log.warning("notify_mismatch", inbox_id=row.id, field=mismatch.field, order_no=mismatch.order_no)
        with session.begin_nested():
            _review(session, row, mismatch, _amount_fen(notification))
    row.verdict, row.handled_at = verdict[:VERDICT_MAX], services.clock()


def _number(notification: Notification) -> str:
    """What it is about, of whatever type and length: the fields may be what is wrong."""
    return UNPRINTED.sub("", str(notification.resource_plain.get("out_trade_no", "")))[:NUMBER_MAX]


def _act(services: Services, session: Session, notification: Notification) -> str:
    if notification.event_type != PAID_EVENT:
        refund = services.pay.refund_from(notification.resource_plain)
        return refund_facts.notified(
            session,
            refund,
            mch_id=services.pay.mch_id,
            event_type=notification.event_type,
            now=services.clock(),
        )
    trade = services.pay.trade_from(notification.resource_plain)
    fact = fact_of(trade, services.pay.app_id, services.pay.mch_id)
    if fact is None:
        return f"not paid:{_number(notification)}"
    order = confirm_paid(session, fact, cause="notify", now=services.clock())
    return f"paid:{order.order_no}"


def _amount_fen(notification: Notification) -> int | None:
    """Return what the callback says was paid, where it is a number at all."""
    amount = notification.resource_plain.get("amount")
    total = amount.get("total") if isinstance(amount, dict) else None
    known = isinstance(total, int) and not isinstance(total, bool) and 0 < total < AMOUNT_END
    return total if known else None


def _review(session: Session, row: NotifyInbox, mismatch: Mismatch, amount_fen: int | None) -> None:
    order = find_order(session, mismatch.order_no)
    ask_person(
        session,
        ReviewKind.NOTIFY_MISMATCH,
        f"{mismatch.order_no}:{mismatch.field}",
        order_id=None if order is None else order.id,
        amount_fen=amount_fen if order is None else order.amount_fen,
        now=row.received_at,
        inbox_id=row.id,
        field=mismatch.field,
        number=mismatch.order_no,
    )
