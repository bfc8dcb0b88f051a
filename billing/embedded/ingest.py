"""Accounting records in: what is new in them is counted, once, on the day on which it was used.

What the order of arrival cannot change, with each record keeping its time of receipt:
- up and down bytes of each session, and of each account on each campus day, exactly;
- what counts of them (fast and throttled together) of each account on each campus day, exactly;
- the bytes taken from each lot, and so fast and throttled of a month, as long as the same lots run
  at every event that changes places. Where they differ (a package that ran at one event and not at
  the other), traffic is taken in the order of arrival: that is what the line did meanwhile. Which of
  the days of a month holds the throttled part follows the arrival as well.
This holds while the beginnings told for one session lie within a minute, and two sessions with the
same name begin more than a quarter of an hour apart. Whether a silent session counts as ended (by a
restart, by the sweep) follows the arrival, too; it changes no byte.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from enum import StrEnum

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.embedded import accounts, handover, sessions
from billing.embedded.consumption import Owner, Taken, consume
from billing.embedded.counters import FROM_ZERO, Piece, Sample, difference, in_order, walk
from billing.embedded.records import Report
from billing.embedded.sessions import Line
from models.accounting import CounterDoubt
from models.clock import campus_date
from models.ledger import Account
from models.many import adding, one_of
from models.package import Counted
from models.values.account_no import DEFAULT_RULES, AccountRules

_ADD_DOUBTS = adding(
    CounterDoubt.metadata.tables[CounterDoubt.__tablename__], ("nas", "seen_on"), ("reports",)
)


class Outcome(StrEnum):
    """What became of a record. Every one of them is an answer: none needs to be sent again."""

    # Counted, as the newest of its session.
    COUNTED = "counted"
    # Older than what was known of its session: sorted in, days were corrected.
    SORTED_IN = "sorted_in"
    # The very same record was here before.
    KNOWN = "known"
    # A whole NAS: its sessions are ended.
    CLOSED = "closed"
    NO_ACCOUNT = "no_account"
    MALFORMED = "malformed"


@dataclass(frozen=True)
class Ingested:
    """Outcomes in the order of the reports, and what was taken from whom."""

    outcomes: list[Outcome]
    taken: Taken


def ingest(
    session: Session,
    reports: Sequence[Report],
    *,
    counted: Counted = Counted.BOTH,
    now: datetime,
    account_rules: AccountRules = DEFAULT_RULES,
    also: Collection[str] = (),
) -> Ingested:
    """Count a batch of reports in this transaction.

    `also` are accounts to lock besides those that the reports name.

    The sum of all days (up and down) is the sum of what the counters of all sessions have reached,
    and what counts of it is the sum of lot uses and throttled bytes. `counted` is the direction that
    counts against the lots. Accounts are locked in the order of their numbers, then sessions, then
    lots, so that batches at the same time wait for one another and never in a circle.
    Raises: OthersConcerned - accounts for `also`, in a new transaction.
    """
    numbers = accounts.resolve(session, {report.account_no for report in reports}, account_rules)
    reports = [_of_account(report, numbers) for report in reports]
    owners = _lock_accounts(session, {*numbers.values(), *also})
    places = [place for place, report in enumerate(reports) if report.account_no in owners]
    ours = [reports[place] for place in places]
    outcomes = [Outcome.NO_ACCOUNT] * len(reports)
    lines = sessions.assign(session, ours) if ours else []
    for place, outcome in zip(places, _sort(session, ours, lines), strict=True):
        outcomes[place] = outcome
    pieces: dict[str, list[Piece]] = defaultdict(list)
    moved = {id(line): line for line in lines if line.fresh}
    doubts = {number: line.mark.doubts if line.mark else 0 for number, line in moved.items()}
    together: set[int] = set()
    for number, line in list(moved.items()):
        if not line.kin or handover.goes_straight_on(line):
            pieces[line.account_no] += _advance(session, line)
        elif number not in together:
            for one, added in handover.advance_together(session, line, owners):
                doubts.setdefault(id(one), one.remarks[2])
                moved[id(one)] = one
                together.add(id(one))
                pieces[one.account_no] += added
    sessions.save(session, list(moved.values()))
    _note_doubts(session, moved, doubts)
    taken = consume(session, pieces, owners, counted=counted, now=now)
    return Ingested(outcomes, taken)


def _note_doubts(session: Session, moved: Mapping[int, Line], before: Mapping[int, int]) -> None:
    added: dict[tuple[str, date], int] = defaultdict(int)
    for number, line in moved.items():
        if line.mark is not None and line.mark.doubts != before[number]:
            added[line.nas, campus_date(line.mark.at)] += line.mark.doubts - before[number]
    if added:
        rows = [
            {"nas": nas, "seen_on": on, "reports": reports} for (nas, on), reports in sorted(added.items())
        ]
        _ADD_DOUBTS.run(session.connection(), rows)


def _of_account(report: Report, numbers: Mapping[str, str]) -> Report:
    number = numbers.get(report.account_no, report.account_no)
    return report if number == report.account_no else replace(report, account_no=number)


def _lock_accounts(session: Session, wanted: set[str]) -> dict[str, Owner]:
    query = (
        select(Account.account_no, Account.kind, Account.active)
        .where(one_of(session, Account.account_no, sorted(wanted)))
        .order_by(Account.account_no)
        # Rows that refer to the account may still be written by others.
        .with_for_update(key_share=True)
    )
    return {account_no: Owner(kind, active) for account_no, kind, active in session.execute(query)}


def _sort(session: Session, reports: Sequence[Report], lines: Sequence[Line]) -> list[Outcome]:
    # Only a sample that is not newer than all before can be known already.
    doubtful = {
        (line.id, report.sample.event_at)
        for report, line in zip(reports, lines, strict=True)
        if line.id is not None and line.mark and report.sample.event_at <= line.mark.at
    }
    known = sessions.samples_at(session, doubtful)
    seen: set[tuple[int, Sample]] = set()
    outcomes = []
    for report, line in zip(reports, lines, strict=True):
        sample = report.sample
        if (line.id, sample) in known or (id(line), sample) in seen:
            outcomes.append(Outcome.KNOWN)
            continue
        seen.add((id(line), sample))
        line.fresh.append((sample, report.received_at))
        line.heard(sample)
        late = line.mark is not None and sample.event_at <= line.mark.at
        outcomes.append(Outcome.SORTED_IN if late else Outcome.COUNTED)
    return outcomes


def _advance(session: Session, line: Line) -> list[Piece]:
    fresh = in_order(sample for sample, _ in line.fresh)
    if line.id is None or (line.mark and fresh[0].event_at > line.mark.at):
        line.mark, pieces = walk(line.mark, fresh)
        return pieces
    # Somewhere in between: what the session was worth before and what it is worth now.
    known = sessions.samples_of(session, line.id)
    base = (line.mark.base_up_bytes, line.mark.base_down_bytes) if line.mark else FROM_ZERO
    _, before = walk(None, in_order(known), base)
    line.mark, after = walk(None, in_order([*known, *fresh]), base)
    return difference(before, after)
