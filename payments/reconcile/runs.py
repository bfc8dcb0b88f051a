"""Runs of a reconciliation: begun, replaced, read again. Signing is `payments.reconcile.sign_off`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from sqlalchemy import Select, delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from models.clock import month_before, next_month
from models.db.state import guarded_move
from models.errors import Conflict, Refused
from models.review import ReviewKind, ask_person
from models.statement import FINISHED, RECON_STATES, Difference, ReconRun, ReconStatus
from payments.reconcile.result import FUNDFLOW, TRADE, Action, FundKind, Kind, Recorder
from payments.services import Services

# How a run says that a row of ours stands in the bill next door. A run of fund-flow bills is of one
# month and goes by its first day.
OTHER_DAY = {TRADE: Kind.OTHER_DAY, FUNDFLOW: FundKind.OTHER_DAY}
SIGNED = {
    TRADE: "该日对账已签字确认，不能重新对账",
    FUNDFLOW: "该月资金对账已签字确认，不能重新对账",
}


class DaySigned(Refused):
    """This day (or month) is signed: its result stays as it is."""

    status = 409
    code = "E-SIGNED"

    def __init__(self, text: str = SIGNED[TRADE]) -> None:
        super().__init__(text)


@dataclass(frozen=True)
class Summary:
    """The result of one day (or month), for people."""

    on: date
    kind: str
    status: ReconStatus
    bill_sha1: str | None
    totals: dict[str, Any]
    differences: dict[str, int]
    signed_by: str | None
    first_signed_by: str | None = None

    @property
    def signers(self) -> tuple[str, ...]:
        """Who signed so far, in this order."""
        return tuple(name for name in (self.first_signed_by, self.signed_by) if name)


def check_open(session: Session, on: date, kind: str) -> None:
    """Raises: DaySigned - this day is closed for ever."""
    if session.scalar(select(ReconRun.status).where(*_is(on, kind))) == ReconStatus.SIGNED:
        raise DaySigned(SIGNED[kind])


def begin(services: Services, on: date, kind: str, bill_sha1: str | None) -> Recorder:
    """Start a run of this day; it replaces an earlier one with all its differences.

    Raises: DaySigned; Conflict - another run of this day, its first, began at the same moment.
    """
    now = services.clock()
    started: dict[str, Any] = {
        "bill_sha1": bill_sha1,
        "totals": {},
        "started_at": now,
        "finished_at": None,
        "first_signed_by": None,
        "first_signed_at": None,
    }
    try:
        with services.transaction() as session:
            run = session.scalar(select(ReconRun).where(*_is(on, kind)).with_for_update())
            if run is None:
                run = _new(session, on, kind, started)
            else:
                if run.status == ReconStatus.SIGNED:
                    raise DaySigned(SIGNED[kind])
                session.execute(delete(Difference).where(Difference.run_id == run.id))
                guarded_move(
                    session, RECON_STATES, run, ReconStatus.RUNNING, cause="begun", now=now, **started
                )
    except IntegrityError as error:
        raise Conflict(f"another reconciliation of {on} began") from error
    return Recorder(services, run)


def _new(session: Session, on: date, kind: str, started: dict[str, Any]) -> ReconRun:
    run = ReconRun(bill_on=on, kind=kind, status=ReconStatus.RUNNING, **started)
    session.add(run)
    return run


def summary_of(session: Session, on: date, kind: str = TRADE) -> Summary | None:
    """The result of one day, None when it was never reconciled."""
    run = session.scalar(select(ReconRun).where(*_is(on, kind)))
    if run is None:
        return None
    counted = Counter(session.scalars(select(Difference.kind).where(Difference.run_id == run.id)))
    return Summary(
        run.bill_on,
        run.kind,
        ReconStatus(run.status),
        run.bill_sha1,
        run.totals,
        dict(counted),
        run.signed_by,
        run.first_signed_by,
    )


def differences_of(session: Session, on: date, kind: str = TRADE) -> Iterator[Difference]:
    """The differences of one day, as they were found."""
    query = (
        select(Difference)
        .join(ReconRun, ReconRun.id == Difference.run_id)
        .where(*_is(on, kind))
        .order_by(Difference.id)
    )
    yield from session.scalars(query.execution_options(yield_per=1000))


def seen_next_door(session: Session, on: date, key: str, kind: str = TRADE) -> bool:
    """Whether the bill of the day (or month) before or after lists this number, which is ours of this one."""
    query = (
        select(Difference.id)
        .join(ReconRun, ReconRun.id == Difference.run_id)
        .where(
            ReconRun.kind == kind,
            ReconRun.bill_on.in_([_before(on, kind), _after(on, kind)]),
            Difference.kind == OTHER_DAY[kind],
            Difference.key == key,
        )
    )
    return session.scalar(query) is not None


def settle_waiting(services: Services, on: date, kind: str = TRADE) -> None:
    """What waited for the bill of day (or month) `on`: it lists them, or now a person is asked.

    So with what `on` itself would wait for when it is done again after the next one.
    """
    with services.transaction() as session:
        _settle(services, session, _before(on, kind), kind)
        if _after(on, kind) in days_done(session, on, kind):
            _settle(services, session, on, kind)


def _settle(services: Services, session: Session, on: date, kind: str) -> None:
    for one in session.scalars(waiting(on, kind)):
        if seen_next_door(session, on, one.key, kind):
            one.action = Action.NONE
            continue
        one.action = Action.ASKED
        ask_person(
            session,
            ReviewKind.BILL_DIFFERENCE,
            f"{one.kind}:{one.key}",
            order_id=None,
            amount_fen=one.amount_fen,
            now=services.clock(),
            difference=one.kind,
            bill_on=str(on),
            order_no=one.order_no,
            **one.facts,
        )


def days_done(session: Session, since: date, kind: str = TRADE) -> set[date]:
    """The days from `since` on that have a finished result."""
    query = select(ReconRun.bill_on).where(
        ReconRun.kind == kind,
        ReconRun.bill_on >= since,
        ReconRun.status.in_(FINISHED),
    )
    return set(session.scalars(query))


def waiting(on: date, kind: str) -> Select[Difference]:
    """Select the differences that wait for the next bill."""
    return (
        select(Difference)
        .join(ReconRun, ReconRun.id == Difference.run_id)
        .where(*_is(on, kind), Difference.action == Action.WAIT)
    )


def _before(on: date, kind: str) -> date:
    return month_before(on) if kind == FUNDFLOW else on - timedelta(days=1)


def _after(on: date, kind: str) -> date:
    return next_month(on) if kind == FUNDFLOW else on + timedelta(days=1)


def _is(on: date, kind: str) -> tuple[Any, Any]:
    return ReconRun.bill_on == on, ReconRun.kind == kind
