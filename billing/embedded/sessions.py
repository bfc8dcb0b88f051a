"""Accounting sessions: found again by what names them, opened, closed, listed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from typing import Any

from sqlalchemy import ColumnElement, literal, select, tuple_, update
from sqlalchemy.orm import Session

from billing.embedded.counters import Mark, Sample
from billing.embedded.records import UNKNOWN_BEGINNING, NasRestart, Report
from billing.interface import SessionUsage
from models.many import inserting, moving, one_of
from models.usage import AccountingSession, EndReason, SampleKind, UsageSample

# The beginning of a session is told again and again, by seconds differently.
START_SLACK = timedelta(seconds=60)
# A NAS whose clock drifts past the limit of belief is corrected from then on: the same session then
# seems to begin up to ten minutes later, though not by its own clock.
CLAMPED_SLACK = timedelta(minutes=15)
# A session that another account takes over without telling when it began was heard of so shortly before.
VAGUE_SLACK = timedelta(hours=1)
CLOSE_STEP = 1000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# Far beyond any date: 16 digits of microseconds end in 2286.
_MARK_DIGITS = 16

_SAMPLE = (
    UsageSample.accounting_session_id,
    UsageSample.event_at,
    UsageSample.kind,
    UsageSample.up_octets,
    UsageSample.down_octets,
    UsageSample.up_wide,
    UsageSample.down_wide,
    UsageSample.began_at,
)

_LINE = (
    AccountingSession.id,
    AccountingSession.account_no,
    AccountingSession.nas,
    AccountingSession.session_no,
    AccountingSession.address,
    AccountingSession.started_at,
    AccountingSession.nas_started_at,
    AccountingSession.last_at,
    AccountingSession.up_bytes,
    AccountingSession.down_bytes,
    AccountingSession.base_up_bytes,
    AccountingSession.base_down_bytes,
    AccountingSession.doubts,
    AccountingSession.in_doubt,
    AccountingSession.ended_at,
    AccountingSession.end_reason,
)
_MOVED = ("address", "last_at", "up_bytes", "down_bytes", "ended_at", "end_reason")
_TABLE = AccountingSession.metadata.tables[AccountingSession.__tablename__]
_NAMED = ("account_no", "nas", "session_no", "started_at")
_OPEN = inserting(_TABLE, (*_NAMED, "nas_started_at", *_MOVED), "id", *_NAMED)
_MOVE_ON = moving(_TABLE, sets=_MOVED)
# Of few sessions: written beside the rest only where they change.
_REMARKS = ("base_up_bytes", "base_down_bytes", "doubts", "in_doubt")
_REMARK = moving(_TABLE, sets=_REMARKS)
_NONE = (0, 0, 0, False)
_KEEP = inserting(
    UsageSample.metadata.tables[UsageSample.__tablename__],
    (*(column.key for column in _SAMPLE), "received_at"),
)


@dataclass(slots=True)
class Line:
    """A session while a batch is worked in; `id` None: not in the database yet."""

    id: int | None
    account_no: str
    nas: str
    session_no: str
    address: str | None
    started_at: datetime
    nas_started_at: datetime
    mark: Mark | None
    ended_at: datetime | None = None
    end_reason: EndReason | None = None
    fresh: list[tuple[Sample, datetime]] = field(default_factory=list)
    # Sessions of other accounts under the same number that began together with it.
    kin: list[Line] = field(default_factory=list, repr=False)
    remarks: tuple[Any, ...] = _NONE

    @property
    def is_vague(self) -> bool:
        """Whether it is not known when the session began."""
        return self.nas_started_at == UNKNOWN_BEGINNING

    @property
    def name(self) -> tuple[str, str, str]:
        """What a NAS calls it; after a restart it may call another one the same."""
        return self.session_no, self.nas, self.account_no

    def is_of(self, report: Report) -> bool:
        """Whether the report speaks of this session, going by when it began."""
        return self.began_at(report.sample.began_at, report.nas_began_at)

    def began_at(self, began_at: datetime, nas_began_at: datetime) -> bool:
        """Whether this is a beginning of the session, by our time and by that of the NAS."""
        if self.is_vague:
            return began_at <= self.started_at + START_SLACK
        apart = abs(began_at - self.started_at)
        if apart <= START_SLACK:
            return True
        return apart <= CLAMPED_SLACK and abs(nas_began_at - self.nas_started_at) <= START_SLACK

    def began_with(self, other: Line) -> bool:
        """Whether this may be the same connection under another account's name."""
        if not self.is_vague:
            return not other.is_vague and self.began_at(other.started_at, other.nas_started_at)
        # Not known when it began: then it is one that was heard of until now.
        return other.mark is not None and timedelta() <= self.started_at - other.mark.at <= VAGUE_SLACK

    def is_spanned_by(self, report: Report) -> bool:
        """Whether the report tells of a time before and after this session began, which cannot be."""
        return report.sample.began_at < self.started_at <= report.sample.event_at

    def heard(self, sample: Sample) -> None:
        """Note what a sample says about the end: a stop ends it for good, other ends may have been wrong."""
        if sample.kind is SampleKind.STOP:
            last = self.ended_at if self.end_reason == EndReason.STOP else None
            self.ended_at = max(last, sample.event_at) if last else sample.event_at
            self.end_reason = EndReason.STOP
        elif self.ended_at and self.end_reason != EndReason.STOP and sample.event_at > self.ended_at:
            self.ended_at = self.end_reason = None


def assign(session: Session, reports: Sequence[Report]) -> list[Line]:
    """The session of each report, in the same order; one that nobody has heard of is begun in memory.

    The rows are locked, always in the order of their numbers.
    """
    known: dict[tuple[str, str, str], list[Line]] = {}
    for row in _load(session, {report.session_no for report in reports}):
        known.setdefault(row.name, []).append(row)
    found: list[Line] = []
    for report in reports:
        lines = known.setdefault((report.session_no, report.nas, report.account_no), [])
        line = _line_of(report, lines)
        if line is None:
            line = Line(
                None, report.account_no, report.nas, report.session_no, report.address,
                report.sample.began_at, report.nas_began_at, None,
            )  # fmt: skip
            lines.append(line)
        line.address = report.address or line.address
        found.append(line)
    _find_kin(known)
    return found


def _line_of(report: Report, lines: Sequence[Line]) -> Line | None:
    if not lines:
        return None
    if report.nas_began_at != UNKNOWN_BEGINNING:
        of_it = [line for line in lines if line.is_of(report)]
        found = next((line for line in of_it if not line.is_vague), of_it[0] if of_it else None)
        # Two sessions never run under one name: the length that the report tells is wrong.
        return found or next((line for line in lines if line.is_spanned_by(report)), None)
    by_beginning = sorted(lines, key=lambda line: line.started_at)
    before = [line for line in by_beginning if line.started_at <= report.sample.event_at + START_SLACK]
    return before[-1] if before else by_beginning[0]


def _find_kin(known: Mapping[tuple[str, str, str], Sequence[Line]]) -> None:
    if len({name[:2] for name in known}) == len(known):
        return
    numbered: dict[tuple[str, str], list[Sequence[Line]]] = {}
    for (session_no, nas, _), lines in known.items():
        numbered.setdefault((session_no, nas), []).append(lines)
    for of_accounts in numbered.values():
        if len(of_accounts) > 1:
            together = [line for lines in of_accounts for line in lines]
            for line in together:
                line.kin = [
                    other
                    for other in together
                    if other.account_no != line.account_no
                    and (line.began_with(other) or other.began_with(line))
                ]


def save(session: Session, lines: Sequence[Line]) -> None:
    """Write sessions and their fresh samples."""
    new = [line for line in lines if line.id is None]
    changed = sorted(
        ({"number": line.id, **_state(line)} for line in lines if line.id is not None),
        key=itemgetter("number"),
    )
    connection = session.connection()
    if new:
        opened = _OPEN.run(connection, [_row(line) for line in new])
        # No two of them have the same name and beginning: it is unique.
        numbers: dict[tuple[Any, ...], int] = {tuple(row[1:]): row[0] for row in opened.all()}
        for line in new:
            line.id = numbers[line.account_no, line.nas, line.session_no, line.started_at]
    if changed:
        _MOVE_ON.run(connection, changed)
    remarked = [line for line in lines if line.mark and _remarks(line.mark) != line.remarks]
    if remarked:
        rows = [
            dict(zip(_REMARKS, _remarks(line.mark), strict=True)) | {"number": line.id}
            for line in remarked
            if line.mark
        ]
        _REMARK.run(connection, sorted(rows, key=itemgetter("number")))
    samples = [_sample_row(line, sample, at) for line in lines for sample, at in line.fresh]
    if samples:
        _KEEP.run(connection, samples)


def _remarks(mark: Mark) -> tuple[Any, ...]:
    return mark.base_up_bytes, mark.base_down_bytes, mark.doubts, mark.in_doubt


def samples_at(session: Session, times: Iterable[tuple[int, datetime]]) -> set[tuple[int, Sample]]:
    """Samples of sessions at given instants, as (session, sample)."""
    wanted = list(times)
    if not wanted:
        return set()
    query = select(*_SAMPLE).where(
        tuple_(UsageSample.accounting_session_id, UsageSample.event_at).in_(wanted)
    )
    return {(row[0], _sample(row)) for row in session.execute(query)}


def samples_of(session: Session, number: int) -> list[Sample]:
    """All samples of a session, in no order."""
    query = select(*_SAMPLE).where(UsageSample.accounting_session_id == number)
    return [_sample(row) for row in session.execute(query)]


def close_nas(session: Session, restart: NasRestart) -> int:
    """End up to a step of the sessions that a restart has ended. Returns: how many; 0 when none is left."""
    wanted = (AccountingSession.nas == restart.nas, AccountingSession.started_at < restart.event_at)
    return _close(session, _held_open(session, *wanted), EndReason.NAS)


def close_stale(session: Session, silent_since: datetime) -> int:
    """End up to a step of the sessions not heard of since. Returns: how many; 0 when none is left.

    Nothing is counted: what their last sample said is all that is known.
    """
    return _close(session, _held_open(session, AccountingSession.last_at < silent_since), EndReason.STALE)


def page(
    session: Session, account_no: str, *, before: str | None, limit: int, running: bool = False
) -> list[SessionUsage]:
    """Sessions of an account, newest first, that come after the one with the mark `before`."""
    query = select(AccountingSession).where(AccountingSession.account_no == account_no)
    if running:
        query = query.where(AccountingSession.ended_at.is_(None))
    place = _place(before)
    if place is not None:
        query = query.where(tuple_(AccountingSession.started_at, AccountingSession.id) < place)
    query = query.order_by(AccountingSession.started_at.desc(), AccountingSession.id.desc()).limit(limit)
    return [
        SessionUsage(
            mark=f"{(row.started_at - _EPOCH) // _MICROSECOND}-{row.id}",
            started_at=row.started_at,
            ended_at=row.ended_at,
            up_bytes=row.up_bytes,
            down_bytes=row.down_bytes,
            nas=row.nas,
            address=row.address,
        )
        for row in session.scalars(query)
    ]


def _load(session: Session, numbers: set[str]) -> list[Line]:
    query = (
        select(*_LINE)
        .where(one_of(session, AccountingSession.session_no, sorted(numbers)))
        .order_by(AccountingSession.id)
        .with_for_update()
    )
    rows: Iterable[Sequence[Any]] = session.execute(query)
    return [
        Line(
            row[0], row[1], row[2], row[3], row[4], row[5], row[6], Mark(*row[7:14]), row[14],
            EndReason(row[15]) if row[15] else None,
            remarks=tuple(row[10:14]),
        )
        for row in rows
    ]  # fmt: skip


def _row(line: Line) -> dict[str, Any]:
    return {
        "account_no": line.account_no,
        "nas": line.nas,
        "session_no": line.session_no,
        "started_at": line.started_at,
        "nas_started_at": line.nas_started_at,
        **_state(line),
    }


def _state(line: Line) -> dict[str, Any]:
    if line.mark is None:
        raise ValueError("a session without samples cannot be saved")
    return {
        "address": line.address,
        "last_at": line.mark.at,
        "up_bytes": line.mark.up_bytes,
        "down_bytes": line.mark.down_bytes,
        "ended_at": line.ended_at,
        "end_reason": line.end_reason,
    }


def _sample_row(line: Line, sample: Sample, received_at: datetime) -> dict[str, Any]:
    return {
        "accounting_session_id": line.id,
        "event_at": sample.event_at,
        "kind": sample.kind,
        "up_octets": sample.up_octets,
        "down_octets": sample.down_octets,
        "up_wide": sample.up_wide,
        "down_wide": sample.down_wide,
        "began_at": sample.began_at,
        "received_at": received_at,
    }


def _sample(row: Sequence[Any]) -> Sample:
    return Sample(row[1], SampleKind(row[2]), *row[3:])


def _held_open(session: Session, *wanted: ColumnElement[bool]) -> list[int]:
    # Found in the order of the index of open sessions: in the order of their numbers, millions that
    # ended long ago would be read to find a thousand. Locked in the order of their numbers, as a batch does.
    is_open = AccountingSession.ended_at.is_(None)
    found = (
        select(AccountingSession.id)
        .where(is_open, *wanted)
        .order_by(AccountingSession.nas, AccountingSession.last_at)
        .limit(CLOSE_STEP)
    )
    held = (
        select(AccountingSession.id)
        .where(AccountingSession.id.in_(found), is_open, *wanted)
        .order_by(AccountingSession.id)
        .with_for_update()
    )
    return list(session.scalars(held))


def _close(session: Session, numbers: list[int], reason: EndReason) -> int:
    if numbers:
        session.execute(
            update(AccountingSession)
            .where(AccountingSession.id.in_(numbers))
            .values(ended_at=AccountingSession.last_at, end_reason=reason)
            .execution_options(synchronize_session=False)
        )
    return len(numbers)


def _place(mark: str | None) -> ColumnElement[Any] | None:
    if mark is None:
        return None
    micros, _, number = mark.partition("-")
    if not all(
        part.isascii() and part.isdecimal() and len(part) <= _MARK_DIGITS for part in (micros, number)
    ):
        return None
    started_at = _EPOCH + int(micros) * _MICROSECOND
    return tuple_(literal(started_at, AccountingSession.started_at.type), literal(int(number)))
