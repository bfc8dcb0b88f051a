"""`campusnet recover`: payments first, then their credits, then refunds; again it changes nothing.

Each payment and refund is a transaction of its own, so that a run that was killed goes on where it ended.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from models.errors import Forged, IllegalTransition, Malformed, Unavailable
from models.order import Credit, NotifyInbox, Order, OrderStatus, PaymentAttempt, PaymentFact
from models.recovery import Recovery, RecoveryStatus
from models.refund import Refund, RefundStatus
from models.review import ReviewKind, ask_person
from models.values.actor import Actor
from payments.audit.invariants import check
from payments.notify import PAID_EVENT
from payments.reconcile.odd_rows import OddRows
from payments.recovery import journal_copy, opening, seen
from payments.recovery.lost import take_lost_rows
from payments.recovery.payouts import count_held
from payments.recovery.rebuild import CAUSE, take_payment
from payments.recovery.refunds import (
    UNDECIDED,
    hold_whole_payment,
    is_at_wechat,
    probe_refunds,
    take_refund,
    unfinished_refunds,
)
from payments.recovery.report import Report
from payments.recovery.seen import SeenPayment, SeenRefund
from payments.services import Services
from payments.wechatpay.errors import TradeNotFound

Work = Callable[[Sequence[str]], None]
Job = Callable[[Services], bool | None]

# A lost order could be paid for so long after the crash: its prepay_id lives two hours.
PREPAY_LIFE = timedelta(hours=2)
UNPAID = (OrderStatus.CREATED, OrderStatus.PREPAID)
REFUNDED = "REFUND"


@dataclass
class _Found:
    """What one run has met: payments that are new to our books, refunds, callbacks that were used."""

    payments: list[str] = field(default_factory=list)
    refunds: dict[str, SeenRefund] = field(default_factory=dict)

    def add_refund(self, refund: SeenRefund) -> None:
        """Keep a refund once, however often it is seen."""
        self.refunds.setdefault(refund.out_refund_no, refund)


def recover(
    services: Services, *, since: datetime | None, actor: Actor, work: Work, copy: Path | None = None
) -> Report:
    """Rebuild what happened after `since`, or after the backup that was restored.

    Args:
        work: carry out all due jobs of these kinds; nothing else works meanwhile.
        copy: the copy of the journal outside the database, where one is kept.
    Returns: what was done; the recovery is finished once every bill was read, and stays open while the
        books disagree.
    Raises: IllegalTransition - nothing was restored and no time is given; Unknown, Unavailable - WeChat or
        billing did not answer: run it again.
    """
    recovery = _begin(services, since, actor)
    report, found = Report(), _Found()
    since = min(since or recovery.since, recovery.since)
    _read_bills(services, since, recovery, report, found)
    _read_callbacks(services, since, report, found)
    _query_open_orders(services, report, found)
    _query_new_payments(services, found)
    work(("credit",))
    with services.reading() as session:
        unfinished = unfinished_refunds(session)
    for refund in unfinished:
        if refund.out_refund_no not in found.refunds and is_at_wechat(services, refund):
            found.add_refund(refund)
    waiting = bool(_take_refunds(services, report, found))
    work(("credit", "refund"))
    if copy is not None:
        journal_copy.set_aside(copy, recovery.id)
    if not waiting and not report.days_missing:
        _take_lost_rows(services, recovery, since, report, copy)
        work(("payout",))
    _finish(services, recovery, report, waiting=waiting, by=actor.name)
    return report


def watch(services: Services, copy: Path | None = None) -> None:
    """Read the bills that were not there when `recover` ran; the workers credit and refund what they show.

    Raises: Unavailable - the bill of some day is still missing, or a credit or refund is under way.
    """
    with services.reading() as session:
        recovery = session.scalar(select(Recovery).order_by(Recovery.id.desc()).limit(1))
    if recovery is None or recovery.status != RecoveryStatus.WATCHING:
        return
    report, found = Report(), _Found()
    _read_bills(services, recovery.since, recovery, report, found)
    _query_new_payments(services, found)
    waiting = bool(_take_refunds(services, report, found))
    services.wake()
    with services.reading() as session:
        waiting = waiting or _is_under_way(session)
    if not waiting and not report.days_missing:
        _take_lost_rows(services, recovery, recovery.since, report, copy)
    if not _finish(services, recovery, report, waiting=waiting, by="worker"):
        raise Unavailable("recovery waits for a bill")


def after_watching(job: Job, copy: Path | None = None) -> Job:
    """The same job, once the bills of a recovery were read: what they show is rebuilt, not a difference."""

    def run(services: Services) -> bool | None:
        watch(services, copy)
        return job(services)

    return run


def _begin(services: Services, since: datetime | None, actor: Actor) -> Recovery:
    with services.transaction() as session:
        recovery = opening.newest(session)
        if recovery is not None and recovery.status in opening.UNFINISHED:
            return recovery
        # Restored once more since, by other tools: the finished one came with the backup, or was skipped.
        skipped = recovery is None or recovery.status == RecoveryStatus.SKIPPED
        again = since is not None and (recovery is None or since > recovery.opened_at)
        if recovery is not None and not skipped and not again:
            return recovery
        if since is None:
            raise IllegalTransition("没有待恢复的数据；如已用其他方式恢复数据库，请用 --since 给出备份时间")
        now = services.clock()
        if since > now:
            raise IllegalTransition("--since 晚于现在")
        return opening.open_recovery(session, since=since, backup_no=None, actor=actor.name, now=now)


def _read_bills(
    services: Services, since: datetime, recovery: Recovery, report: Report, found: _Found
) -> None:
    now = services.clock()
    for on in seen.days_between(since, recovery.opened_at + PREPAY_LIFE):
        if seen.is_too_old(on, now):
            _ask_about_day(services, on, report, "账单已超过三个月，微信支付不再提供")
        elif not seen.has_bill(on, now):
            report.days_missing.append(on)
        else:
            _read_bill(services, on, report, found)
            report.days_read.append(on)


def _read_bill(services: Services, on: date, report: Report, found: _Found) -> None:
    odd = OddRows()
    for row in seen.bill_rows(services, on, odd):
        if row.paid:
            _take_payment(services, seen.payment_of_row(row), report, found)
        else:
            found.add_refund(seen.refund_of_row(row))
    if odd.unreadable:
        _ask_about_day(services, on, report, f"账单有 {odd.unreadable} 行无法读取")


def _take_payment(services: Services, payment: SeenPayment, report: Report, found: _Found) -> None:
    if take_payment(services, payment, report):
        found.payments.append(payment.out_trade_no)


def _read_callbacks(services: Services, since: datetime, report: Report, found: _Found) -> None:
    """Callbacks that came since and found no order: kept as they came, verified when they came."""
    verdict = NotifyInbox.verdict
    unused = or_(verdict.is_(None), verdict.like("mismatch:%"), verdict.like("failed:%"))
    query = select(NotifyInbox).where(NotifyInbox.received_at >= since, unused).order_by(NotifyInbox.id)
    with services.reading() as session:
        rows = list(session.scalars(query))
    for row in rows:
        try:
            plain = services.pay.reopen_notification(row.body).resource_plain
            if row.event_type == PAID_EVENT:
                payment = seen.payment_of_trade(services.pay.trade_from(plain), "callback")
                if payment is not None:
                    _take_payment(services, payment, report, found)
            else:
                found.add_refund(seen.refund_of_trade(services.pay.refund_from(plain), "callback"))
        except (Forged, Malformed):
            # Sealed with a key that is gone: the bill has the payment as well.
            continue


def _query_open_orders(services: Services, report: Report, found: _Found) -> None:
    """Orders of the backup that were unpaid in it: a payment of today stands in no bill yet."""
    query = (
        select(PaymentAttempt.out_trade_no)
        .join(Order, Order.id == PaymentAttempt.order_id)
        .where(Order.status.in_(UNPAID), PaymentAttempt.prepaid_at.is_not(None))
        .order_by(PaymentAttempt.id)
    )
    with services.reading() as session:
        numbers = list(session.scalars(query))
    for number in numbers:
        try:
            payment = seen.payment_of_trade(services.pay.query(number), "query")
        except TradeNotFound:
            continue
        if payment is not None:
            _take_payment(services, payment, report, found)


def _query_new_payments(services: Services, found: _Found) -> None:
    """A payment that went back, in whole or in part, is not credited before its refund is known."""
    refunded = {refund.out_trade_no for refund in found.refunds.values()}
    for number in found.payments:
        if services.pay.query(number).trade_state != REFUNDED:
            continue
        probed = probe_refunds(services, number)
        for refund in probed:
            found.add_refund(refund)
        if not probed and number not in refunded:
            hold_whole_payment(services, number)


def _take_refunds(services: Services, report: Report, found: _Found) -> list[SeenRefund]:
    """Returns: those that have to wait for a credit."""
    return [refund for refund in found.refunds.values() if not take_refund(services, refund, report)]


def _take_lost_rows(
    services: Services, recovery: Recovery, since: datetime, report: Report, copy: Path | None
) -> None:
    """Last, with every payment credited and every refund taken back: packages and payouts spend the rest."""
    if copy is None:
        return
    aside = journal_copy.set_aside(copy, recovery.id)
    take_lost_rows(services, journal_copy.lost_rows(services, aside, since), report)


def _is_under_way(session: Session) -> bool:
    """Return True while a worker has not finished what was rebuilt."""
    credits_due = (
        select(Credit.id)
        .join(PaymentFact, PaymentFact.order_id == Credit.order_id)
        .where(PaymentFact.cause == CAUSE, Credit.status.in_(UNDECIDED))
    )
    refunds_due = select(Refund.id).where(Refund.approved_by == CAUSE, Refund.status == RefundStatus.APPROVED)
    return any(session.scalar(query.limit(1)) is not None for query in (credits_due, refunds_due))


def _ask_about_day(services: Services, on: date, report: Report, reason: str) -> None:
    with services.transaction() as session:
        ask_person(
            session,
            ReviewKind.NOT_REBUILT,
            f"bill:{on}",
            order_id=None,
            amount_fen=None,
            now=services.clock(),
            bill_on=str(on),
            reason=reason,
        )
    report.add("bill", str(on), 0, reason)


def _finish(services: Services, recovery: Recovery, report: Report, *, waiting: bool, by: str) -> bool:
    """Returns: whether nothing is missing any more."""
    embedded = services.billing.capabilities().local
    with services.reading() as session:
        report.findings = check(session, embedded=embedded)
        report.payouts_held = count_held(session)
    complete = not report.days_missing and not waiting
    now = services.clock()
    with services.transaction() as session:
        current = session.get_one(Recovery, recovery.id, with_for_update=True)
        if report.days_read:
            current.read_until = max(report.days_read)
        if report.changed or current.result is None:
            current.result = report.as_json()
        if current.status in opening.UNFINISHED and not report.findings:
            new = RecoveryStatus.DONE if complete else RecoveryStatus.WATCHING
            opening.finish(session, current, new, by=by, now=now)
    services.wake()
    return complete and not report.findings
