"""Monthly reconciliation: the fund-flow bills of a month against our books, to the fen.

The fourth check beside orders, trade bills and billing: what really came onto the merchant's account
and went off it. Bills and books are dealt into piles and compared, so memory stays flat. A month may
be run again; its result is replaced until it is signed. Source: payments.md 3.3.
"""

from __future__ import annotations

import hashlib
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from models.clock import campus_date, days_of, month_before, next_month
from models.errors import Conflict, Refused, ServiceError, Unavailable
from models.statement import ReconStatus
from payments.reconcile.catch_up import BILL_READY, missing_months, name_lost
from payments.reconcile.daily import READ_BYTES
from payments.reconcile.fund_bill import FundBill
from payments.reconcile.fund_books import Books, Source
from payments.reconcile.fund_checks import Sides, TradeBills, findings_of_days, foreign_rows, sums_of_days
from payments.reconcile.fund_incomes import Incomes
from payments.reconcile.fund_ours import first_reconciled, trade_bills
from payments.reconcile.fund_refunds import FundRefunds
from payments.reconcile.odd_findings import odd_fund_rows
from payments.reconcile.piles import compare
from payments.reconcile.result import FUNDFLOW
from payments.reconcile.runs import Summary, begin, check_open, days_done, settle_waiting, summary_of
from payments.services import Services
from payments.wechatpay.bills import NoStatement, fundflow_bill

# WeChat answers three such questions a second.
BETWEEN_DAYS_S = 0.4
# Until this day of the month the job waits for daily results that are late; then it does without.
PATIENT_UNTIL_DAY = 5


def due_job(services: Services, *, foreign_prefixes: Sequence[str] = ()) -> None:
    """Reconcile last month once its bills are ready, and every earlier month that has no result yet.

    The periodic job: called again it does only what is not done yet, oldest month first. A month
    without any daily result was before our time; one whose bills the platform no longer keeps in full
    is named to an operator.
    Raises: Unavailable - some month could not be done yet; the others are.
    """
    now = services.clock()
    today = campus_date(now - BILL_READY)
    with services.reading() as session:
        gaps = missing_months(session, now)
        open_days = {month: _open_days(session, month) for month in gaps.due}
    name_lost(services, gaps, FUNDFLOW)
    late: list[str] = []
    for month, days in open_days.items():
        try:
            if days and month == month_before(today) and today.day < PATIENT_UNTIL_DAY:
                raise Unavailable(f"{len(days)} days are not reconciled, the first is {days[0]}")
            run_month(services, month, foreign_prefixes=foreign_prefixes)
        except ServiceError as error:
            late.append(f"{month:%Y-%m}: {error}")
    if late:
        raise Unavailable("; ".join(late))


def run_month(
    services: Services,
    month: date,
    *,
    foreign_prefixes: Sequence[str] = (),
    pause: Callable[[float], None] = time.sleep,
) -> Summary:
    """Download the fund-flow bill of every day of a month and reconcile them; again gives the same result.

    Args:
        month: its first day.
        foreign_prefixes: how the numbers of other, known systems on our merchant number begin.
        pause: waits so many seconds between two downloads.
    Raises: Refused - the month is not over; DaySigned; StatementCreating - the last day's bill is not
        ready; Forged, Malformed - a bill cannot be believed; Unavailable, Unknown; Conflict - another
        run of this month began meanwhile.
    """
    _check(services, month)
    with tempfile.TemporaryDirectory(prefix="campusnet-funds-") as name:
        folder, sources = Path(name), []
        for on in days_of(month):
            path = folder / f"{on}.csv"
            with suppress(NoStatement):
                sources.append(Source(path, fundflow_bill(services.pay, on, path), on))
            pause(BETWEEN_DAYS_S)
        return _reconcile(services, month, folder, sources, foreign_prefixes)


def run_files(
    services: Services, month: date, paths: Sequence[Path], *, foreign_prefixes: Sequence[str] = ()
) -> Summary:
    """Reconcile a month with bills that somebody downloaded by hand; a day without one had no trade.

    Raises: as `run_month`; Refused - the same bill twice.
    """
    _check(services, month)
    given = {_sha1(path): path for path in paths}
    if len(given) < len(paths):
        raise Refused("同一份账单给了两次")
    begins = {sha1: next((row.at for row in FundBill(path).rows()), None) for sha1, path in given.items()}
    in_order = sorted((at, sha1) for sha1, at in begins.items() if at is not None)
    sources = [Source(given[sha1], sha1) for _, sha1 in in_order]
    with tempfile.TemporaryDirectory(prefix="campusnet-funds-") as folder:
        return _reconcile(services, month, Path(folder), sources, foreign_prefixes)


def _check(services: Services, month: date) -> None:
    if next_month(month) > campus_date(services.clock()):
        raise Refused("只能对已经结束的月份")
    with services.reading() as session:
        check_open(session, month, FUNDFLOW)


def _sha1(path: Path) -> str:
    digest = hashlib.sha1(usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _reconcile(
    services: Services, month: date, folder: Path, sources: Sequence[Source], foreign_prefixes: Sequence[str]
) -> Summary:
    with services.reading() as session:
        opening_fen = _left_by(session, month_before(month))
        trade, since = trade_bills(session, month), first_reconciled(session)
    books = Books(folder, month, sources, opening_fen)
    books.read_bills(tuple(foreign_prefixes))
    books.read_ours(services.database)
    sides = Sides()
    incomes = Incomes(services, month, sides.income)
    refunds = FundRefunds(services, month, sides.refunds, returned=books.returned, spool=books.spool)
    recorder = begin(services, month, FUNDFLOW, books.sha1)
    recorder.add(incomes.findings(compare(books.incomes, books.payments)))
    recorder.add(refunds.findings(compare(books.outgoing, books.refunds)))
    recorder.add(foreign_rows(month, incomes.foreign, refunds.foreign))
    recorder.add(odd_fund_rows(books.odd))
    recorder.add(findings_of_days(books.account, trade, sides, since=since))
    settle_waiting(services, month, FUNDFLOW)
    foreign = {"incomes": asdict(incomes.foreign), "refunds": asdict(refunds.foreign)}
    recorder.finish({**_sums(books, trade), "foreign": foreign}, now=services.clock())
    with services.reading() as session:
        result = summary_of(session, month, FUNDFLOW)
    if result is None:
        raise Conflict(f"the result of {month:%Y-%m} is gone")
    return result


def _left_by(session: Session, month: date) -> int | None:
    """What a month left on the account, as far as we know."""
    result = summary_of(session, month, FUNDFLOW)
    if result is None or result.status == ReconStatus.RUNNING:
        return None
    closing_fen: int | None = result.totals["closing_fen"]
    return closing_fen


def _open_days(session: Session, month: date) -> list[date]:
    """List the days from our first daily result on that have none."""
    since = first_reconciled(session) or next_month(month)
    done = days_done(session, month)
    return [on for on in days_of(month) if on >= since and on not in done]


def _sums(books: Books, trade: TradeBills) -> dict[str, Any]:
    """In fen (the trade bills' fee in thousandths of one), as they are kept with the run."""
    return {
        **books.account.sums(),
        "ours": asdict(books.paid),
        "our_refunds": asdict(books.refunded),
        "known_foreign": {side: asdict(tally) for side, tally in books.known_foreign.items()},
        "trade": {
            name: sum((bill or {}).get(name) or 0 for bill in trade.values())
            for name in ("settled", "refunded", "fee")
        },
        "days": sums_of_days(books.account, trade),
    }
