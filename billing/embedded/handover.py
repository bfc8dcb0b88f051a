"""One session of a server under the names of two accounts: neither pays what the other has used.

A controller lets a device in by its hardware address and later by the login of a student, and the
counters go on. What counters the second account begins from is what those of the first had reached
just before: a function of the set of all samples, so that the order of arrival cannot change it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from operator import itemgetter

from sqlalchemy.orm import Session

from billing.embedded import sessions
from billing.embedded.counters import FROM_ZERO, Base, Piece, Sample, difference, in_order, walk
from billing.embedded.sessions import Line


class OthersConcerned(Exception):
    """Accounts that the batch does not name pay less or more by it; they have to be locked first."""

    def __init__(self, accounts: Collection[str]) -> None:
        super().__init__("other accounts of one session are concerned")
        self.accounts = frozenset(accounts)


def goes_straight_on(line: Line) -> bool:
    """Whether fresh samples of a line concern no other account, and its own base stays as it is."""
    if not line.kin:
        return True
    first_at = min(sample.event_at for sample, _ in line.fresh)
    return (
        line.id is not None
        and line.mark is not None
        and first_at > line.mark.at
        and all(not kin.fresh and kin.mark is not None and kin.mark.at <= first_at for kin in line.kin)
    )


def advance_together(
    session: Session, line: Line, accounts: Collection[str]
) -> Iterator[tuple[Line, list[Piece]]]:
    """Move a line and those that began with it on. Yields: each that changes, with what it adds.

    Raises: OthersConcerned - one that changes is of an account that is not among `accounts`.
    """
    group = _together(line)
    known = {id(one): in_order(sessions.samples_of(session, one.id)) if one.id else [] for one in group}
    of_all = [
        (one, samples)
        for one in group
        if (samples := in_order([*known[id(one)], *(sample for sample, _ in one.fresh)]))
    ]
    of_all.sort(key=lambda pair: (pair[1][0].event_at, pair[0].account_no))
    bases: list[tuple[Line, list[Sample], Base]] = []
    changes: list[tuple[Line, list[Piece]]] = []
    for one, samples in of_all:
        base = _base(one, samples, bases)
        bases.append((one, samples, base))
        stored = FROM_ZERO if one.mark is None else (one.mark.base_up_bytes, one.mark.base_down_bytes)
        _, before = walk(None, known[id(one)], stored)
        mark, after = walk(None, samples, base)
        pieces = difference(before, after)
        if one.fresh or mark != one.mark:
            one.mark = mark
            changes.append((one, pieces))
    if missing := {one.account_no for one, _ in changes} - set(accounts):
        raise OthersConcerned(missing)
    yield from changes


def _together(line: Line) -> list[Line]:
    found = {id(line): line}
    waiting = [line]
    while waiting:
        for kin in waiting.pop().kin:
            if id(kin) not in found:
                found[id(kin)] = kin
                waiting.append(kin)
    return list(found.values())


def _base(line: Line, samples: Sequence[Sample], before: Sequence[tuple[Line, list[Sample], Base]]) -> Base:
    """What the counters stood at just before the first sample, as the other accounts' samples tell."""
    first_at = samples[0].event_at
    reached = []
    for other, of_other, base in before:
        if other.account_no != line.account_no:
            mark, _ = walk(None, (one for one in of_other if one.event_at < first_at), base)
            if mark is not None:
                reached.append((mark.at, mark.counters))
    return max(reached, key=itemgetter(0))[1] if reached else FROM_ZERO
