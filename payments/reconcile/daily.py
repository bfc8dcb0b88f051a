"""Daily reconciliation: WeChat's bill, our orders and billing's movements, to the fen.

The three lists are dealt into piles by number and compared pile by pile, so memory stays flat and
only what differs is ever looked at row by row. A day may be run again; its result is replaced until
it is signed. Source: payments.md 3.3.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO

from billing.interface import MoneyCall
from models.clock import campus_date
from models.errors import Conflict, Malformed, Refused, ServiceError, Unavailable, Unknown
from models.review import ReviewKind, ask_person
from payments.numbers import credit_no
from payments.reconcile import refunds as reconcile_refunds
from payments.reconcile.bill import PAID, Bill, BillRow, fen
from payments.reconcile.billing.expected import expected, is_ours
from payments.reconcile.billing.movements import Movements
from payments.reconcile.catch_up import missing_days, name_lost
from payments.reconcile.credits import Credits
from payments.reconcile.decide import Foreign, Payments, flagged
from payments.reconcile.odd_findings import odd_rows
from payments.reconcile.odd_rows import SEPARATOR
from payments.reconcile.ours import Day, Tally, at_the_counter, promises
from payments.reconcile.piles import Piles, cancel, compare, piles_for
from payments.reconcile.result import TRADE, Action, Finding, Kind
from payments.reconcile.runs import Summary, begin, check_open, settle_waiting, summary_of
from payments.services import Services
from payments.wechatpay.bills import NoStatement, trade_bill

# So many days a turn: a backlog takes several turns, each of some minutes.
DAYS_PER_TURN = 10
# After so many answers in a row that never came, the rest of the turn would fail alike.
OUTAGES_MAX = 3
READ_BYTES = 1024 * 1024


@dataclass
class _Books:
    """What was counted on the way: our payments and credits, billing's, those of others, the counter's.

    `moved` and `listed` are the other movements, as our books and as billing have them.
    """

    paid: Tally = field(default_factory=Tally)
    promised: Tally = field(default_factory=Tally)
    credited: Tally = field(default_factory=Tally)
    foreign: Tally = field(default_factory=Tally)
    counter: Tally = field(default_factory=Tally)
    moved: Tally = field(default_factory=Tally)
    listed: Tally = field(default_factory=Tally)


class _Piles:
    """The lists of a day in one folder, the bill's few refund rows, and the payments repaired before."""

    def __init__(self, folder: Path, count: int) -> None:
        self.refunds = folder / "refunds"
        self.repaired = folder / "repaired"
        self.theirs = Piles(folder, "theirs", count)
        self.ours = Piles(folder, "ours", count)
        self.promised = Piles(folder, "promised", count)
        self.credited = Piles(folder, "credited", count)
        self.moved = Piles(folder, "moved", count)
        self.listed = Piles(folder, "listed", count)


def due_job(services: Services, *, foreign_prefixes: Sequence[str] = ()) -> bool:
    """Reconcile yesterday, from ten in the morning on, and every earlier day that has no result yet.

    The periodic job: called again it does only what is not done yet, oldest day first and a bounded
    number of days a turn. Days whose bill the platform no longer keeps are named to an operator.
    Returns: True if days are left for the next turn.
    Raises: Unavailable - some day could not be done yet; the others are.
    """
    with services.reading() as session:
        gaps = missing_days(session, services.clock())
    name_lost(services, gaps, TRADE)
    done, outages = 0, 0
    late: list[str] = []
    for on in gaps.due:
        if done == DAYS_PER_TURN or outages == OUTAGES_MAX:
            break
        try:
            run_daily(services, on, foreign_prefixes=foreign_prefixes)
        except ServiceError as error:
            late.append(f"{on}: {error}")
            outages = outages + 1 if isinstance(error, Unavailable | Unknown) else 0
        else:
            done, outages = done + 1, 0
    if late:
        raise Unavailable("; ".join(late))
    return done < len(gaps.due)


def run_daily(services: Services, on: date, *, foreign_prefixes: Sequence[str] = ()) -> Summary:
    """Download the bill of a campus day and reconcile it; again gives the same result.

    Args:
        foreign_prefixes: how the numbers of other, known systems on our merchant number begin.
    Raises: DaySigned; StatementCreating - not before ten in the morning; Forged, Malformed - the bill
        cannot be believed; Unavailable, Unknown; Conflict - another run of this day began meanwhile.
    """
    _check(services, on)
    with tempfile.TemporaryDirectory(prefix="campusnet-bill-") as name:
        folder = Path(name)
        path, bill, sha1 = folder / "bill.csv", None, None
        with suppress(NoStatement):
            sha1 = trade_bill(services.pay, on, path)
            bill = Bill(path)
        return _reconcile(
            services, Day.of(on), folder, bill=bill, sha1=sha1, foreign_prefixes=foreign_prefixes
        )


def run_file(services: Services, on: date, path: Path, *, foreign_prefixes: Sequence[str] = ()) -> Summary:
    """Reconcile a day with a bill that somebody downloaded by hand. Raises: as `run_daily`."""
    _check(services, on)
    digest = hashlib.sha1(usedforsecurity=False)
    with path.open("rb") as file:
        while piece := file.read(READ_BYTES):
            digest.update(piece)
    with tempfile.TemporaryDirectory(prefix="campusnet-bill-") as folder:
        return _reconcile(
            services,
            Day.of(on),
            Path(folder),
            bill=Bill(path),
            sha1=digest.hexdigest(),
            foreign_prefixes=foreign_prefixes,
        )


def _check(services: Services, on: date) -> None:
    if on >= campus_date(services.clock()):
        raise Refused("只能对今天以前的账")
    with services.reading() as session:
        check_open(session, on, TRADE)


def _reconcile(
    services: Services,
    day: Day,
    folder: Path,
    *,
    bill: Bill | None,
    sha1: str | None,
    foreign_prefixes: Sequence[str],
) -> Summary:
    piles = _Piles(folder, piles_for(bill.size_bytes if bill else 0))
    books = _Books()
    if bill is not None:
        with piles.refunds.open("wb") as spool:
            prefixes = tuple(prefix.encode() for prefix in foreign_prefixes)
            for lines in _bill_lines(bill, day, spool, prefixes, books.foreign):
                piles.theirs.deal(lines)
    _deal_ours(services, day, piles, books)
    with services.reading() as session:
        books.counter = at_the_counter(session, day)
    recorder = begin(services, day.on, TRADE, sha1)
    recorder.add(Credits(services, day).findings(compare(piles.promised, piles.credited)))
    recorder.add(Movements(services, day).findings(compare(piles.moved, piles.listed)))
    payments = Payments(services, day, bill)
    recorder.add(flagged(services, _numbers(piles.repaired)))
    recorder.add(payments.findings(compare(piles.theirs, piles.ours)))
    if bill is not None:
        rows = _refund_rows(bill, piles.refunds)
        recorder.add(reconcile_refunds.listed(services, day, rows, payments.foreign))
    recorder.add(reconcile_refunds.not_listed(services, day))
    recorder.add(_totals(day, bill))
    recorder.add(odd_rows(day.on, bill.odd if bill is not None else None))
    _ask_about_foreign(services, day, payments.foreign)
    settle_waiting(services, day.on)
    recorder.finish(_sums(bill, books, payments.foreign), now=services.clock())
    with services.reading() as session:
        result = summary_of(session, day.on)
    if result is None:
        raise Conflict(f"the result of {day.on} is gone")
    return result


def _deal_ours(services: Services, day: Day, piles: _Piles, books: _Books) -> None:
    """Read our day once: payments go onto piles, credits against what billing lists."""
    with piles.repaired.open("wb") as spool:

        def promised() -> Iterator[list[bytes]]:
            for step in promises(services.database, day, books.paid, books.promised):
                piles.ours.deal(step.payments)
                spool.writelines(number + b"\n" for number in step.repaired)
                yield step.credits

        if services.billing.capabilities().list_movements:
            billing = _billing_lines(services, day, piles, books)
            cancel(promised(), billing, piles.promised, piles.credited)
            for lines in expected(services.database, day, books.moved):
                piles.moved.deal(lines)
        else:
            for _ in promised():
                continue


def _numbers(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield line.rstrip("\n")


def _bill_lines(
    bill: Bill, day: Day, refunds: BinaryIO, prefixes: tuple[bytes, ...], foreign: Tally
) -> Iterator[list[bytes]]:
    """Payments as lines; refund rows go into a file of their own, rows of known systems are only counted."""
    layout, on = bill.layout, str(day.on).encode()
    number, transaction, state = layout["out_trade_no"], layout["transaction_id"], layout["state"]
    order, time = layout["order"], layout["at"]
    of_the_day = False
    for batch in bill.batches():
        rows = batch
        of_the_day = of_the_day or any(row[time].lstrip(b"`").startswith(on) for row in rows)
        if prefixes:
            known = [row for row in batch if row[number].startswith(prefixes)]
            foreign.count(len(known), sum(fen(row[order]) for row in known))
            rows = [row for row in batch if not row[number].startswith(prefixes)]
        refunds.writelines(SEPARATOR.join(row).rstrip(b"\r\n") + b"\n" for row in rows if row[state] != PAID)
        yield [
            b"\t".join((row[number], row[transaction], _fen_text(row[order])))
            for row in rows
            if row[state] == PAID
        ]
    # A row from around midnight may stand in the bill next door; a whole bill of another day is a mistake.
    if bill.totals.rows and not of_the_day:
        raise Malformed("the bill is of another day")


def _refund_rows(bill: Bill, path: Path) -> Iterator[BillRow]:
    with path.open("rb") as file:
        for line in file:
            yield from bill.row_of(line)


@lru_cache(maxsize=65_536)
def _fen_text(yuan: bytes) -> bytes:
    return str(fen(yuan)).encode()


def _billing_lines(services: Services, day: Day, piles: _Piles, books: _Books) -> Iterator[list[bytes]]:
    """Yield the credits of orders that billing lists; its other movements go onto piles of their own."""
    # Other systems credit in billing, too: their numbers begin otherwise.
    ours, skip = f"{MoneyCall.CREDIT}:{credit_no('')}".encode(), len(f"{MoneyCall.CREDIT}:")
    for batch in services.billing.movements_between(day.since, day.until):
        lines = [line[skip:] for line in batch if line.startswith(ours)]
        _count(books.credited, lines)
        if len(lines) < len(batch):
            others = [line for line in batch if is_ours(line.partition(b"\t")[0])]
            _count(books.listed, others)
            piles.listed.deal(others)
        yield lines


def _count(tally: Tally, lines: list[bytes]) -> None:
    # The tab before the amount does not disturb int().
    tally.count(len(lines), sum(int(line[line.rindex(b"\t") :]) for line in lines))


def _totals(day: Day, bill: Bill | None) -> Iterator[Finding]:
    differing = bill.differing_totals() if bill is not None else []
    if bill is not None and differing:
        facts = {
            name: {"bill_says": getattr(bill.said, name), "rows_sum_to": getattr(bill.totals, name)}
            for name in differing
        }
        yield Finding(kind=Kind.TOTALS_DIFFER, key=str(day.on), action=Action.ASKED, facts=facts)


def _ask_about_foreign(services: Services, day: Day, foreign: Foreign) -> None:
    """One question a day, however many rows: is this other system on our merchant number known?"""
    if not foreign.rows:
        return
    with services.transaction() as session:
        ask_person(
            session,
            ReviewKind.BILL_DIFFERENCE,
            f"{Kind.FOREIGN}:{day.on}",
            order_id=None,
            amount_fen=foreign.fen,
            now=services.clock(),
            difference=Kind.FOREIGN,
            bill_on=str(day.on),
            rows=foreign.rows,
            some_numbers=foreign.numbers,
        )


def _sums(bill: Bill | None, books: _Books, foreign: Foreign) -> dict[str, Any]:
    """In fen (fees in thousandths of one), as they are kept with the run."""
    return {
        "bill": asdict(bill.totals) if bill else None,
        "bill_says": asdict(bill.said) if bill else None,
        "ours": asdict(books.paid),
        "counter": asdict(books.counter),
        "promised": asdict(books.promised),
        "billing": asdict(books.credited),
        "moved": asdict(books.moved),
        "billing_moved": asdict(books.listed),
        "known_foreign": asdict(books.foreign),
        "foreign": {"rows": foreign.rows, "fen": foreign.fen},
        "odd_rows": {"repaired": bill.odd.repaired, "unreadable": bill.odd.unreadable} if bill else None,
    }
