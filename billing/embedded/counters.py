"""From cumulative counters to traffic per campus day: pure arithmetic over the samples of one session.

A session's traffic is a function of the *set* of its samples, put in the order in which they
happened; so it cannot depend on the order in which they arrived.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from models.clock import campus_date, next_midnight
from models.usage import SampleKind

# Acct-Input-Octets has 32 bits; the gigawords beside it count how often it has come round.
WRAP_BYTES = 2**32
# A counter without gigawords that fell by more than half of that came round, else it went back (as
# serial numbers, RFC 1982). What is in doubt is not counted: less than 2 GiB may pass between samples.
HALF_WRAP_BYTES = 2**31

# What the counters of a session, up and down, stood at before it.
Base = tuple[int, int]
FROM_ZERO: Base = (0, 0)

_RANK = {SampleKind.START: 0, SampleKind.INTERIM: 1, SampleKind.STOP: 2}
_BEFORE_MIDNIGHT = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class Sample:
    """One report of a session's counters, at the resolved time of the event; see `models.usage`."""

    event_at: datetime
    kind: SampleKind
    up_octets: int
    down_octets: int
    up_wide: bool
    down_wide: bool
    began_at: datetime


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a session has come: its counters from their bases on, wraps undone, at an instant.

    `doubts`: how many reports of it were in doubt; `in_doubt`: the last one was.
    """

    at: datetime
    up_bytes: int
    down_bytes: int
    base_up_bytes: int = 0
    base_down_bytes: int = 0
    doubts: int = 0
    in_doubt: bool = False

    @property
    def counters(self) -> Base:
        """What the counters stand at."""
        return self.base_up_bytes + self.up_bytes, self.base_down_bytes + self.down_bytes


@dataclass(frozen=True, slots=True)
class Piece:
    """Traffic of one campus day, all of it used by `at`; negative bytes take some back."""

    on: date
    at: datetime
    up_bytes: int
    down_bytes: int


def in_order(samples: Iterable[Sample]) -> list[Sample]:
    """Samples as they happened; at the same instant a start is first and a stop last."""
    return sorted(
        samples,
        key=lambda s: (
            s.event_at, _RANK[s.kind], s.up_octets, s.down_octets, s.up_wide, s.down_wide, s.began_at,
        ),
    )  # fmt: skip


def walk(
    mark: Mark | None, samples: Iterable[Sample], base: Base = FROM_ZERO
) -> tuple[Mark | None, list[Piece]]:
    """Go on from a mark (None: the session's first samples) through samples in order.

    `base` is what the counters stood at when the session was handed over, of use for the first samples
    only. A start of no length tells the base itself: nothing was used in it yet.
    Returns: the mark after the last one, and the traffic on the way. A counter that went back adds
    nothing until it has passed where it was: repeated, wrong or older figures are never paid twice.
    """
    pieces: list[Piece] = []
    for sample in samples:
        if mark is None:
            mark = _begun(sample, base)
        base_up, base_down = mark.base_up_bytes, mark.base_down_bytes
        up_at, down_at = base_up + mark.up_bytes, base_down + mark.down_bytes
        up_bytes = reached(up_at, sample.up_octets, wide=sample.up_wide) - base_up
        down_bytes = reached(down_at, sample.down_octets, wide=sample.down_wide) - base_down
        open_question = not (sample.up_wide and sample.down_wide) and _undecided(sample, up_at, down_at)
        # After a report in doubt the next one is compared with one before it.
        doubts = mark.doubts + (open_question or mark.in_doubt)
        after = Mark(sample.event_at, up_bytes, down_bytes, base_up, base_down, doubts, open_question)
        pieces.extend(_cut(mark, after))
        mark = after
    return mark, pieces


def _begun(sample: Sample, base: Base) -> Mark:
    at = min(sample.began_at, sample.event_at)
    if sample.kind is SampleKind.START and at == sample.event_at:
        base = (sample.up_octets, sample.down_octets)
    elif base != FROM_ZERO and not (
        _may_follow(base[0], sample.up_octets, wide=sample.up_wide)
        and _may_follow(base[1], sample.down_octets, wide=sample.down_wide)
    ):
        # Less than before: the counters were set back.
        base = FROM_ZERO
    return Mark(at, 0, 0, *base)


def _may_follow(base_bytes: int, octets: int, *, wide: bool) -> bool:
    return octets >= base_bytes if wide else (octets - base_bytes) % WRAP_BYTES < HALF_WRAP_BYTES


def _undecided(sample: Sample, up_at: int, down_at: int) -> bool:
    return (not sample.up_wide and _fell(up_at, sample.up_octets)) or (
        not sample.down_wide and _fell(down_at, sample.down_octets)
    )


def _fell(base_bytes: int, octets: int) -> bool:
    moved = octets - base_bytes % WRAP_BYTES
    return moved < 0 and moved + WRAP_BYTES >= HALF_WRAP_BYTES


def reached(base_bytes: int, octets: int, *, wide: bool) -> int:
    """What a counter that stood at `base_bytes` has reached when it reports `octets`; never less.

    `wide`: the gigawords are in it. Without them only the lower 32 bits are known.
    """
    if wide:
        return max(base_bytes, octets)
    moved = octets - base_bytes % WRAP_BYTES
    if moved < 0:
        moved += WRAP_BYTES
        if moved >= HALF_WRAP_BYTES:
            return base_bytes
    return base_bytes + moved


def by_day(pieces: Iterable[Piece]) -> dict[date, Piece]:
    """One piece for each day."""
    days: dict[date, Piece] = {}
    for piece in pieces:
        known = days.get(piece.on)
        if known is None:
            days[piece.on] = piece
            continue
        up_bytes, down_bytes = known.up_bytes + piece.up_bytes, known.down_bytes + piece.down_bytes
        days[piece.on] = Piece(piece.on, max(known.at, piece.at), up_bytes, down_bytes)
    return days


def difference(old: Iterable[Piece], new: Iterable[Piece]) -> list[Piece]:
    """What has to be added to each day (or taken back) so that `old` becomes `new`."""
    before, after = by_day(old), by_day(new)
    pieces = []
    for on in sorted(before.keys() | after.keys()):
        was, now = before.get(on), after.get(on)
        at = max(piece.at for piece in (was, now) if piece)
        up_bytes = (now.up_bytes if now else 0) - (was.up_bytes if was else 0)
        down_bytes = (now.down_bytes if now else 0) - (was.down_bytes if was else 0)
        if up_bytes or down_bytes:
            pieces.append(Piece(on, at, up_bytes, down_bytes))
    return pieces


def _cut(before: Mark, after: Mark) -> Iterator[Piece]:
    # Between two samples traffic is taken to flow evenly, so a session over midnight pays each day
    # (and month) its share. Whole bytes: each border gets the floor, the last day the rest.
    up_bytes, down_bytes = after.up_bytes - before.up_bytes, after.down_bytes - before.down_bytes
    if not up_bytes and not down_bytes:
        return
    span, up_done, down_done = after.at - before.at, 0, 0
    border = next_midnight(before.at)
    while border <= after.at and span:
        passed = border - before.at
        up_share = up_bytes * _micros(passed) // _micros(span)
        down_share = down_bytes * _micros(passed) // _micros(span)
        at = border - _BEFORE_MIDNIGHT
        if up_share > up_done or down_share > down_done:
            yield Piece(campus_date(at), at, up_share - up_done, down_share - down_done)
        up_done, down_done = up_share, down_share
        border = next_midnight(border)
    if up_bytes > up_done or down_bytes > down_done:
        yield Piece(campus_date(after.at), after.at, up_bytes - up_done, down_bytes - down_done)


def _micros(span: timedelta) -> int:
    return span // timedelta(microseconds=1)
