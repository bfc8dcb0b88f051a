"""The embedded ledger in sealed runs: each seal covers some entries with their postings.

Entries are sealed once they are an hour old, when no transaction can still be writing one among them.
The check of a run also hands its entries on, so that the nightly check reads the ledger once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.audit import LedgerSeal
from models.clock import campus_date
from models.db.engine import Database
from models.journal import GENESIS
from models.ledger import Entry, Posting
from payments.audit import anchor
from payments.audit.keys import AuditKey, AuditKeys, digest
from payments.services import Services

RUN = 500
SEAL_AFTER = timedelta(hours=1)
_LOWEST_ID = -(2**63)
_HIGHEST_ID = 2**63 - 1


@dataclass(frozen=True)
class LedgerRun:
    """Some entries in the order of their ids, with the postings that name them, by entry id.

    `fault` says why the run is not what was sealed; empty when it is, or is not sealed yet.
    """

    entries: Sequence[Entry]
    postings: dict[int, list[Posting]]
    place: str
    fault: str = ""


def seal_ledger(services: Services) -> None:
    """Seal the entries that are old enough; a periodic job."""
    if not services.audit.embedded:
        return
    more = True
    while more:
        with services.transaction() as session:
            more = _seal_run(session, services.audit.keys, services.clock())
    anchor.keep_head(services)


def seal_empty_run(session: Session, key: AuditKey, now: datetime) -> None:
    """Begin to seal with this key: processes that do not have it cannot go on."""
    last = _last(session)
    _add_seal(session, last, [], last.last_id, key=key, now=now)


def runs(database: Database, keys: AuditKeys) -> Iterator[LedgerRun]:
    """Read the whole ledger run by run, each in a short transaction of its own."""
    before, after_id, position = GENESIS, _LOWEST_ID, 0
    while True:
        with database.reading() as session:
            query = select(LedgerSeal).where(LedgerSeal.position > position)
            seal = session.scalar(query.order_by(LedgerSeal.position).limit(1))
            if seal is None:
                break
            yield _sealed_run(session, seal, Expected(position + 1, after_id, before), keys)
        before, after_id, position = seal.hash, seal.last_id, seal.position
    while True:
        with database.reading() as session:
            found = _entries(session, after_id, _HIGHEST_ID, RUN)
            until = found[-1].id if len(found) == RUN else _HIGHEST_ID
            yield LedgerRun(found, _postings(session, after_id, until), f"entries after {after_id}")
        if until == _HIGHEST_ID:
            return
        after_id = until


@dataclass(frozen=True)
class Expected:
    """What the seal before says the next one begins with."""

    position: int
    after_id: int
    before: str


def _sealed_run(session: Session, seal: LedgerSeal, expected: Expected, keys: AuditKeys) -> LedgerRun:
    entries = _entries(session, seal.after_id, seal.last_id, None)
    postings = _postings(session, seal.after_id, seal.last_id)
    first = entries[0].id if entries else seal.last_id
    place = f"entries {first} to {seal.last_id}"
    fault = ""
    key = keys.named(seal.key_id) if seal.key_id else None
    wanted = keys.of_ledger(seal.position)
    if seal.position != expected.position or seal.after_id != expected.after_id:
        fault = f"ledger seal {expected.position} is missing"
    elif seal.key_id is not None and key is None:
        # The journal says the same of its own seals: there it is a finding.
        fault = (
            "" if wanted is None else f"{place} are sealed with key {seal.key_id}, which is not configured"
        )
    elif key != wanted:
        fault = f"{place} are not sealed with the key of their place"
    elif len(entries) != seal.entries or _hash(seal, entries, postings, expected.before, key) != seal.hash:
        dated = f" of {campus_date(entries[0].at)}" if entries else ""
        fault = f"{place}{dated} are not what was sealed"
    return LedgerRun(entries, postings, f"ledger seal {seal.position}", fault)


def _last(session: Session) -> LedgerSeal:
    """The newest seal; one without entries where there is none."""
    last = session.scalar(select(LedgerSeal).order_by(LedgerSeal.position.desc()).limit(1))
    return last or LedgerSeal(position=0, hash=GENESIS, last_id=_LOWEST_ID)


def _seal_run(session: Session, keys: AuditKeys, now: datetime) -> bool:
    last = _last(session)
    if last.key_id is not None and keys.named(last.key_id) is None:
        raise LookupError(
            f"the ledger is sealed with key {last.key_id}: restart with the present [audit] key"
        )
    entries = _old_enough(_entries(session, last.last_id, _HIGHEST_ID, RUN), now)
    if not entries:
        return False
    key = keys.of_ledger(last.position + 1)
    _add_seal(session, last, entries, entries[-1].id, key=key, now=now)
    return len(entries) == RUN


def _add_seal(
    session: Session,
    last: LedgerSeal,
    entries: Sequence[Entry],
    last_id: int,
    *,
    key: AuditKey | None,
    now: datetime,
) -> None:
    seal = LedgerSeal(
        position=last.position + 1,
        after_id=last.last_id,
        last_id=last_id,
        entries=len(entries),
        key_id=None if key is None else key.key_id,
        sealed_at=now,
    )
    postings = _postings(session, last.last_id, last_id)
    seal.hash = _hash(seal, entries, postings, last.hash, key)
    session.add(seal)


def _old_enough(entries: Sequence[Entry], now: datetime) -> list[Entry]:
    """The entries up to the first that is younger than an hour."""
    old: list[Entry] = []
    for entry in entries:
        if entry.at > now - SEAL_AFTER:
            break
        old.append(entry)
    return old


def _entries(session: Session, after_id: int, last_id: int, limit: int | None) -> list[Entry]:
    query = select(Entry).where(Entry.id > after_id, Entry.id <= last_id).order_by(Entry.id).limit(limit)
    return list(session.scalars(query))


def _postings(session: Session, after_id: int, last_id: int) -> dict[int, list[Posting]]:
    query = select(Posting).where(Posting.entry_id > after_id, Posting.entry_id <= last_id)
    found: dict[int, list[Posting]] = {}
    for posting in session.scalars(query.order_by(Posting.id)):
        found.setdefault(posting.entry_id, []).append(posting)
    return found


def _hash(
    seal: LedgerSeal,
    entries: Sequence[Entry],
    postings: dict[int, list[Posting]],
    before: str,
    key: AuditKey | None,
) -> str:
    bounds = [seal.position, seal.after_id, seal.last_id, seal.entries, seal.sealed_at.isoformat()]
    # Postings whose entry is gone are covered too.
    rows = [[e.id, e.key, e.kind, e.memo, e.corrects, e.at.isoformat()] for e in entries]
    legs = [[p.id, p.entry_id, p.book, p.amount_fen] for _, some in sorted(postings.items()) for p in some]
    return digest(["ledger", bounds, None if key is None else key.key_id, rows, legs, before], key)
