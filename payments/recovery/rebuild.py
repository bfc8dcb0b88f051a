"""Orders and payments that a restored database lacks: rebuilt from attach, then recorded as always."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from models import journal
from models.db.state import guarded_move
from models.errors import Mismatch, NoSuchAccount
from models.order import Order, OrderAction, OrderEvent, OrderStatus, PaymentAttempt, find_order
from models.review import REVIEW_STATES, ReviewItem, ReviewKind, ReviewStatus, ask_person
from models.swap import SwapIntent, SwapStatus
from payments import numbers
from payments.attach import Attach
from payments.confirm import WECHAT, PaidFact, confirm_paid
from payments.daily_limit import SOURCE
from payments.reconcile.ours import known
from payments.reconcile.result import Kind
from payments.recovery.report import Report
from payments.recovery.seen import SeenPayment
from payments.services import Services

CAUSE = "recover"


@dataclass(frozen=True)
class Names:
    """What an order shows and attach does not hold: the owner's masked name, the package's name."""

    masked_name: str
    package_name: str


def take_payment(services: Services, seen: SeenPayment, report: Report) -> bool:
    """Record a payment that WeChat took, once. Returns: whether it is recorded now and was not before.

    An order that is not known is rebuilt if attach verifies. A payment of another system is counted, and
    one that looks like ours but does not verify is left to operators; both stay untouched.
    Raises: Unavailable - billing did not answer.
    """
    with services.reading() as session:
        found = known(session, [seen.out_trade_no]).get(seen.out_trade_no)
    attach = services.attach.verify(seen.attach, out_trade_no=seen.out_trade_no, amount_fen=seen.amount_fen)
    if found is not None and found.fact is not None:
        report.count("payment_known", seen.amount_fen)
        return False
    prefixes = services.rules.foreign_prefixes
    foreign = bool(prefixes) and seen.out_trade_no.startswith(prefixes)
    if found is None and (foreign or not numbers.is_ours(seen.out_trade_no)):
        report.count("foreign", seen.amount_fen)
        return False
    if found is None and attach is None:
        _leave(services, seen, report, "没有可验证的 attach，无法确定账号")
        return False
    try:
        _record(services, seen, None if found else attach)
    except Mismatch as mismatch:
        _leave(services, seen, report, f"与订单不一致：{mismatch.field}")
        return False
    report.count("payment_recorded" if found is not None else "payment_rebuilt", seen.amount_fen)
    return True


def _record(services: Services, seen: SeenPayment, attach: Attach | None) -> None:
    if seen.app_id != services.pay.app_id:
        raise Mismatch("appid", seen.out_trade_no)
    if seen.mch_id != services.pay.mch_id:
        raise Mismatch("mchid", seen.out_trade_no)
    if seen.openid is None:
        raise Mismatch("openid", seen.out_trade_no)
    names = None if attach is None else _names(services, attach)
    now = services.clock()
    fact = PaidFact(
        provider=WECHAT,
        out_trade_no=seen.out_trade_no,
        transaction_id=seen.transaction_id,
        amount_fen=seen.amount_fen,
        currency=seen.currency,
        openid=seen.openid,
        paid_at=seen.paid_at,
        attach=seen.attach,
    )
    with services.transaction() as session:
        if attach is not None and names is not None:
            rebuild_order(session, seen, attach, names, now=now)
        confirm_paid(session, fact, cause=CAUSE, now=now)
        _close_items(session, seen.out_trade_no, now=now)


def _names(services: Services, attach: Attach) -> Names:
    try:
        masked_name = services.billing.find_account(attach.account_no).masked_name
    except NoSuchAccount:
        # Opened after the backup, or closed since: billing refuses the credit then, and operators are asked.
        masked_name = ""
    if attach.package_code is None or not services.billing.capabilities().exchange:
        return Names(masked_name, attach.package_code or "")
    offers = services.billing.catalogue(attach.account_no)
    name = next((offer.name for offer in offers if offer.code == attach.package_code), attach.package_code)
    return Names(masked_name, name)


def rebuild_order(
    session: Session, seen: SeenPayment, attach: Attach, names: Names, *, now: datetime
) -> Order:
    """Write the order of a verified payment as it was made, with the attempt that was paid.

    Args:
        attach: verified for this number and amount.
    Raises: Mismatch - an order with this number exists, and it is for something else.
    """
    order_no, seq = seen.out_trade_no[:-2], int(seen.out_trade_no[-2:])
    order = find_order(session, order_no)
    if order is None:
        order = _new_order(session, seen, attach, names, now)
    elif (order.account_no, order.payer_openid, order.amount_fen) != (
        attach.account_no,
        seen.openid,
        seen.amount_fen,
    ):
        raise Mismatch("attach", order_no)
    session.add(
        PaymentAttempt(
            order_id=order.id,
            seq=seq,
            out_trade_no=numbers.out_trade_no(order_no, seq),
            attach=seen.attach,
            created_at=now,
        )
    )
    session.flush()  # the payment that is recorded next finds its order by the attempt
    journal.note(
        session,
        "order-rebuilt",
        order_no=order_no,
        actor=CAUSE,
        now=now,
        out_trade_no=seen.out_trade_no,
        transaction_id=seen.transaction_id,
        amount_fen=seen.amount_fen,
        account_no=attach.account_no,
        source=seen.source,
    )
    return order


def _new_order(session: Session, seen: SeenPayment, attach: Attach, names: Names, now: datetime) -> Order:
    order = Order(
        order_no=seen.out_trade_no[:-2],
        open_key=None,
        source=SOURCE,
        payer_openid=seen.openid or "",
        account_no=attach.account_no,
        masked_name=names.masked_name,
        amount_fen=seen.amount_fen,
        status=OrderStatus.CREATED,
        late=False,
        created_at=seen.paid_at,
        expires_at=seen.paid_at,
    )
    session.add(order)
    session.flush()  # the id is needed by the attempt, the event and the package
    session.add(
        OrderEvent(
            order_id=order.id, status=OrderStatus.CREATED, action=OrderAction.CREATE, cause=CAUSE, at=now
        )
    )
    if attach.package_code is not None and attach.price_fen:
        session.add(
            SwapIntent(
                order_id=order.id,
                package_code=attach.package_code,
                package_name=names.package_name,
                price_fen=attach.price_fen,
                status=SwapStatus.WAITING,
                changed_at=now,
            )
        )
    return order


def _close_items(session: Session, out_trade_no: str, *, now: datetime) -> None:
    """End the questions about a payment without an order: it has one now."""
    keys = (
        (ReviewKind.NOTIFY_MISMATCH, f"{out_trade_no}:out_trade_no"),
        (ReviewKind.BILL_DIFFERENCE, f"{Kind.FOREIGN}:{out_trade_no}"),
    )
    for kind, key in keys:
        query = select(ReviewItem).where(
            ReviewItem.kind == kind, ReviewItem.key == key, ReviewItem.status != ReviewStatus.CLOSED
        )
        item = session.scalar(query.with_for_update())
        if item is not None:
            guarded_move(
                session,
                REVIEW_STATES,
                item,
                ReviewStatus.CLOSED,
                cause=CAUSE,
                now=now,
                outcome=CAUSE,
                evidence="order-rebuilt",
                closed_at=now,
            )


def _leave(services: Services, seen: SeenPayment, report: Report, reason: str) -> None:
    """Open the same item as the daily reconciliation would for this row of the bill."""
    with services.transaction() as session:
        order = find_order(session, seen.out_trade_no[:-2])
        ask_person(
            session,
            ReviewKind.BILL_DIFFERENCE,
            f"{Kind.FOREIGN}:{seen.out_trade_no}",
            order_id=None if order is None else order.id,
            amount_fen=seen.amount_fen,
            now=services.clock(),
            difference=Kind.FOREIGN,
            order_no=None if order is None else order.order_no,
            out_trade_no=seen.out_trade_no,
            transaction_id=seen.transaction_id,
            bill_at=seen.paid_at.isoformat(),
            ours=True,
            reason=reason,
        )
    report.add("payment", seen.out_trade_no, seen.amount_fen, reason)
