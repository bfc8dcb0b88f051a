"""The check of all books: what `campusnet doctor` prints, and what the nightly job acts on.

The job writes each finding down, opens a review item, raises an alarm and holds the accounts
concerned. A finding that a later run does not see again ends, and its holds with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime

import structlog
from sqlalchemy import func, select, text, update
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from models import journal
from models.audit import EVERY_ACCOUNT, AccountHold, BookCheckRun, BookFinding
from models.db import append_only
from models.db.state import rows_changed
from models.review import ReviewKind, ask_person
from payments.audit import anchor, hash_chain, invariants, ledger_chain
from payments.audit.checks import journal_rows, ledger, openings
from payments.audit.checks.finding import Finding
from payments.services import Services

BATCH = 100
# More of one kind than this: every account is held, and the rest is not listed.
FINDINGS_MAX = 2_000
# Each finding up to here has a review item of its own, all others of its check share one.
ITEMS_MAX = 50
SUBJECT_MAX = 100
INVARIANTS, TRIGGERS = "invariants", "triggers"
ACTOR = "system"

log = structlog.get_logger()


@dataclass(frozen=True)
class Outcome:
    """What a run found: findings that are open and not accepted, by check."""

    failures: dict[str, int]
    held_accounts: int


@dataclass(frozen=True)
class BookFigures:
    """For metrics: the last run that ran to its end, and the accounts that are held."""

    failures: dict[str, int]
    age_s: float
    held_accounts: int


def nightly(services: Services) -> None:
    """The periodic job: seal what is not sealed yet, check everything, then anchor the heads.

    Raises: OSError, subprocess.SubprocessError - an anchor could not be sent; the job is repeated.
    """
    try:
        hash_chain.seal_late(services)
        ledger_chain.seal_ledger(services)
    finally:
        # Also when nothing can be sealed: that is for the operators to hear of as well.
        run(services)
    anchor.send(services)


def run(services: Services, *, lines: Iterable[str] = ()) -> Outcome:
    """Check all books and act on what is wrong.

    Args:
        lines: anchors that were kept elsewhere.
    """
    with services.transaction() as session:
        row = BookCheckRun(started_at=services.clock(), failures=0)
        session.add(row)
        session.flush()
        run_id = row.id
    recorder = _Recorder(services, run_id)
    for finding in findings(services, lines=lines):
        recorder.add(finding)
    outcome = recorder.finish()
    if outcome.failures:
        log.error(
            "book_check_failed", run=run_id, held_accounts=outcome.held_accounts, **_named(outcome.failures)
        )
    return outcome


def findings(services: Services, *, lines: Iterable[str] = ()) -> Iterator[Finding]:
    """Everything that is wrong in the books now; nothing is written."""
    counts: Counter[str] = Counter()
    for finding in _all(services, lines):
        counts[finding.check] += 1
        if counts[finding.check] <= FINDINGS_MAX:
            yield finding
    for check, count in counts.items():
        if count > FINDINGS_MAX:
            yield Finding(check, "more", f"more than {FINDINGS_MAX} places are wrong: all accounts are held")


def figures(session: Session, now: datetime) -> BookFigures:
    """The figures of the book checks for metrics."""
    last = session.scalar(select(func.max(BookCheckRun.finished_at)))
    held = select(func.count(AccountHold.account_no.distinct())).where(AccountHold.ended_at.is_(None))
    return BookFigures(
        failures=_failures(session),
        age_s=float("inf") if last is None else max(0.0, (now - last).total_seconds()),
        held_accounts=session.scalar(held) or 0,
    )


def _all(services: Services, lines: Iterable[str]) -> Iterator[Finding]:
    database, audit, now = services.database, services.audit, services.clock()
    with _unhurried(services) as session:
        for table in append_only.unprotected(session.connection()):
            yield Finding(
                TRIGGERS, table, f"the triggers that keep {table} append-only are gone", holds=False
            )
        yield from _readable(journal_rows.JOURNAL, journal_rows.check_chain(session, audit, now))
        yield from _readable(journal_rows.ANCHOR, journal_rows.check_anchors(session, audit, now, lines))
    yield from _readable(journal_rows.JOURNAL_ROWS, journal_rows.check_rows(database))
    if audit.embedded:
        yield from _readable(ledger.BALANCES, ledger.check_balances(database))
        yield from _readable(ledger.ENTRIES, ledger.check_entries(database, audit.keys))
        yield from _readable(ledger.ENTRIES, ledger.check_written(database))
        yield from _readable(
            openings.OPENINGS, openings.check_openings(database, is_production=audit.is_production)
        )
    with _unhurried(services) as session:
        for said in invariants.check(session, embedded=audit.embedded):
            accounts = journal_rows.accounts_named(session, said)
            yield Finding(INVARIANTS, said, said, accounts, holds=bool(accounts))


def _readable(check: str, found: Iterator[Finding]) -> Iterator[Finding]:
    """Values that no code of ours has written end a check, and are a finding themselves."""
    try:
        yield from found
    except (ValueError, TypeError) as error:
        log.exception("book_check_cut_off", check=check)
        yield Finding(
            check, "unreadable", f"a row cannot be read ({type(error).__name__}): the rest was not checked"
        )


@contextmanager
def _unhurried(services: Services) -> Iterator[Session]:
    """A session whose statements may take as long as the books are, all of one moment."""
    with services.reading() as session:
        if services.database.dialect == "postgresql":
            session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
            session.execute(text("SET LOCAL statement_timeout = 0"))
        yield session


class _Recorder:
    """Writes the findings of one run, a few at a time."""

    def __init__(self, services: Services, run_id: int) -> None:
        self._services = services
        self._run_id = run_id
        self._waiting: list[Finding] = []
        self._seen: Counter[tuple[str, str]] = Counter()
        self._counts: Counter[str] = Counter()

    def add(self, finding: Finding) -> None:
        # Two findings about one place are two findings.
        place = finding.check, finding.subject[:SUBJECT_MAX]
        self._seen[place] += 1
        number = self._seen[place]
        suffix = f" #{number}" if number > 1 else ""
        subject = f"{place[1][: SUBJECT_MAX - len(suffix)]}{suffix}"
        self._waiting.append(replace(finding, subject=subject))
        if len(self._waiting) == BATCH:
            self._write()

    def finish(self) -> Outcome:
        """End what was not seen again, and the run."""
        self._write()
        now = self._services.clock()
        with self._services.transaction() as session:
            gone = (BookFinding.ended_at.is_(None), BookFinding.run_id < self._run_id)
            ended = select(BookFinding.id).where(*gone)
            rows_changed(
                session,
                update(AccountHold)
                .where(AccountHold.finding_id.in_(ended), AccountHold.ended_at.is_(None))
                .values(ended_at=now),
            )
            rows_changed(session, update(BookFinding).where(*gone).values(ended_at=now))
            found = figures(session, now)
            row = session.get_one(BookCheckRun, self._run_id)
            row.finished_at, row.failures = now, sum(found.failures.values())
        return Outcome(found.failures, found.held_accounts)

    def _write(self) -> None:
        if not self._waiting:
            return
        now = self._services.clock()
        with self._services.transaction() as session:
            for finding in self._waiting:
                self._record(session, finding, now)
        self._waiting.clear()

    def _record(self, session: Session, finding: Finding, now: datetime) -> None:
        query = select(BookFinding).where(
            BookFinding.check_name == finding.check,
            BookFinding.subject == finding.subject,
            BookFinding.ended_at.is_(None),
        )
        known = session.scalar(query)
        if known is not None and not finding.holds:
            known.detail = finding.detail
        if known is not None and known.detail != finding.detail:
            # Something else is wrong at this place now: what was accepted was not this.
            known.ended_at = now
            self._end_holds(session, known.id, now)
            session.flush()
            known = None
        if known is None:
            known = self._open(session, finding, now)
        known.run_id = max(known.run_id, self._run_id)
        if finding.holds and known.accepted_at is None:
            self._hold(session, known, finding.accounts or (EVERY_ACCOUNT,), now)

    def _open(self, session: Session, finding: Finding, now: datetime) -> BookFinding:
        row = BookFinding(
            check_name=finding.check,
            subject=finding.subject,
            detail=finding.detail,
            found_at=now,
            run_id=self._run_id,
        )
        session.add(row)
        session.flush()  # its id goes into the review item and the holds
        self._counts[finding.check] += 1
        own = self._counts[finding.check] <= ITEMS_MAX
        ask_person(
            session,
            ReviewKind.BOOKS_WRONG,
            f"{row.id}:{finding.check}:{finding.subject}" if own else f"{self._run_id}:{finding.check}:more",
            order_id=None,
            amount_fen=None,
            now=now,
            check=finding.check,
            finding=row.id if own else None,
            subject=finding.subject if own else "more",
            reason=finding.detail[:300] if own else "further findings of this check",
        )
        if own:
            log.error("books_wrong", check=finding.check, finding=row.id)
        journal.note(
            session,
            "books-wrong",
            order_no=None,
            actor=ACTOR,
            now=now,
            check=finding.check,
            finding=row.id,
            holds=(len(finding.accounts) or EVERY_ACCOUNT) if finding.holds else 0,
        )
        return row

    def _hold(self, session: Session, row: BookFinding, accounts: tuple[str, ...], now: datetime) -> None:
        insert = postgres_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
        reason = f"{row.check_name}: {row.detail}"[:200]
        for account_no in accounts:
            values = {"account_no": account_no[:32], "finding_id": row.id, "reason": reason, "since": now}
            session.execute(
                insert(AccountHold)
                .values(**values)
                .on_conflict_do_nothing(index_elements=["finding_id", "account_no"])
            )

    def _end_holds(self, session: Session, finding_id: int, now: datetime) -> None:
        held = (AccountHold.finding_id == finding_id, AccountHold.ended_at.is_(None))
        rows_changed(session, update(AccountHold).where(*held).values(ended_at=now))


def _failures(session: Session) -> dict[str, int]:
    query = (
        select(BookFinding.check_name, func.count())
        .where(BookFinding.ended_at.is_(None), BookFinding.accepted_at.is_(None))
        .group_by(BookFinding.check_name)
    )
    return dict(session.execute(query).all())


def _named(failures: dict[str, int]) -> dict[str, int]:
    return {check.replace("-", "_"): count for check, count in failures.items()}
