"""Days and months without a result: which ones still have a bill, and which ones are lost.

The platform gives out bills of the last three months. What falls out of that window before it was
reconciled is recorded as NO_BILL and named once, to an operator.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta

import structlog
from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models import journal
from models.clock import campus_date, month_before, months_earlier, next_month
from models.db.state import guarded_move
from models.errors import Conflict
from models.order import Order
from models.review import ReviewKind, ask_person
from models.statement import FINISHED, RECON_STATES, ReconRun, ReconStatus
from payments.reconcile.fund_ours import first_reconciled
from payments.reconcile.result import FUNDFLOW, TRADE
from payments.services import Services

# pay.weixin.qq.com/doc/v3/merchant/4012791860 ff. (下载账单).
BILL_MONTHS = 3
# The bill of a day is ready at ten the next morning.
BILL_READY = timedelta(hours=10)

log = structlog.get_logger()


@dataclass(frozen=True)
class Gaps:
    """Days (months by their first day) without a finished result, oldest first.

    `due` still have a bill; `lost` have none any more, `unnamed` is the part of them that no operator
    was told of yet.
    """

    due: list[date]
    lost: list[date]
    unnamed: list[date]


def missing_days(session: Session, now: datetime) -> Gaps:
    """Find the days up to yesterday without a result, also between days that have one.

    The first day counted is that of the first order or of the first reconciliation.
    """
    today = campus_date(now - BILL_READY)
    yesterday = today - timedelta(days=1)
    first = _first_day(session) or yesterday
    days = [first + timedelta(days=number) for number in range((yesterday - first).days + 1)]
    return _gaps(session, TRADE, days, _oldest_bill(now))


def missing_months(session: Session, now: datetime) -> Gaps:
    """Find the months up to the last one without a fund-flow result.

    A month before the first daily result is not counted.
    """
    since = first_reconciled(session)
    month, months = month_before(campus_date(now - BILL_READY)), []
    while since is not None and next_month(month) > since:
        months.append(month)
        month = month_before(month)
    return _gaps(session, FUNDFLOW, months[::-1], _oldest_bill(now))


def name_lost(services: Services, gaps: Gaps, kind: str) -> None:
    """Record what is lost and ask an operator about it, once.

    Raises: Conflict - another process did so, or reconciles one of these days, at the same moment.
    """
    if not gaps.unnamed:
        return
    now, first, last = services.clock(), gaps.unnamed[0], gaps.unnamed[-1]
    try:
        with services.transaction() as session:
            for on in gaps.unnamed:
                _mark_lost(session, on, kind, now)
            ask_person(
                session,
                ReviewKind.MISSING_BILL,
                f"{kind}:{first}:{last}",
                order_id=None,
                amount_fen=None,
                now=now,
                bill_kind=kind,
                days=[str(on) for on in gaps.unnamed],
            )
            journal.note(
                session,
                "recon-no-bill",
                order_no=None,
                actor="reconcile",
                now=now,
                bill_kind=kind,
                first=str(first),
                last=str(last),
                days=len(gaps.unnamed),
            )
    except IntegrityError as error:
        raise Conflict(f"another reconciliation of {first} to {last} began") from error
    log.error("bills_lost", kind=kind, first=str(first), last=str(last), days=len(gaps.unnamed))


def _mark_lost(session: Session, on: date, kind: str, now: datetime) -> None:
    query = select(ReconRun).where(ReconRun.bill_on == on, ReconRun.kind == kind)
    run = session.scalar(query.with_for_update())
    if run is not None:
        guarded_move(session, RECON_STATES, run, ReconStatus.NO_BILL, cause="no bill", now=now)
        return
    session.add(
        ReconRun(bill_on=on, kind=kind, status=ReconStatus.NO_BILL, bill_sha1=None, totals={}, started_at=now)
    )


def _gaps(session: Session, kind: str, days: list[date], oldest: date) -> Gaps:
    query = select(ReconRun.bill_on, ReconRun.status).where(ReconRun.kind == kind)
    known = {row.bill_on: row.status for row in session.execute(query)}
    missing = [on for on in days if known.get(on) not in FINISHED]
    lost = [on for on in missing if on < oldest]
    return Gaps(
        due=[on for on in missing if on >= oldest],
        lost=lost,
        unnamed=[on for on in lost if known.get(on) != ReconStatus.NO_BILL],
    )


def _oldest_bill(now: datetime) -> date:
    return months_earlier(campus_date(now), BILL_MONTHS)


def _first_day(session: Session) -> date | None:
    ordered_at = session.scalar(select(Order.created_at).order_by(Order.id).limit(1))
    reconciled = session.scalar(select(func.min(ReconRun.bill_on)).where(ReconRun.kind == TRADE))
    known = [] if reconciled is None else [reconciled]
    if ordered_at is not None:
        known.append(campus_date(ordered_at))
    return min(known, default=None)
