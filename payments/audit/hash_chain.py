"""The journal's hash chain: sealed by a job, verified by `campusnet doctor` and the nightly book check.

Seals follow the order of sealing, not of ids: a transaction that commits late gets a later place
and nothing else changes. Rows and seals are append-only in the database as well. With a key (HMAC)
write access to the database alone is not enough to compute the chain again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from models.clock import campus_date
from models.journal import GENESIS, JournalRow, JournalSeal, hash_of
from payments.audit import anchor
from payments.audit.keys import AuditKey, AuditKeys, digest
from payments.services import Services

BATCH = 1000
# So many rows may be written and sealed while the transaction of an earlier one is still open.
LATE = 2_000
# A row older than this without a seal is a finding: the sealing job runs every few seconds.
UNSEALED_FOR = timedelta(minutes=10)

log = structlog.get_logger()


@dataclass(frozen=True)
class ChainFault:
    """A place where chain and rows disagree; `row` is the journal row, None when it is gone.

    `is_proof` is False for what an outage explains too: rows that no job has sealed yet.
    """

    place: str
    text: str
    row: JournalRow | None = None
    is_proof: bool = True


class ForeignKeyId(Exception):
    """The newest seal was made with a key that this process does not have; it must not go on."""


def seal(services: Services) -> None:
    """Give the newest rows their places in the chain. Old ones are not looked at: they grow to millions."""
    with services.reading() as session:
        newest = session.scalar(select(func.max(JournalSeal.journal_id))) or 0
    _seal_from(services, newest - LATE)


def seal_late(services: Services) -> None:
    """As `seal`, through the whole journal: for a row whose transaction took very long to commit."""
    _seal_from(services, 0)


def keyed_hash(row: JournalRow, before: str, position: int, key: AuditKey | None) -> str:
    """The hash of a row at its place, with the key of that place."""
    if key is None:
        return hash_of(row, before)
    content = [row.id, row.at.isoformat(), row.what, row.order_no, row.actor, row.facts]
    return digest(["journal", position, key.key_id, content, before], key)


def verify(session: Session, now: datetime, keys: AuditKeys | None = None) -> Iterator[str]:
    """Every place where chain and rows disagree, in words; nothing when all is well."""
    return (fault.text for fault in faults(session, now, keys or AuditKeys()))


def faults(session: Session, now: datetime, keys: AuditKeys) -> Iterator[ChainFault]:
    """Walk the chain from its beginning, in flat memory."""
    # A row that is gone leaves its seal behind, on a database whose keys are not enforced.
    query = (
        select(JournalSeal, JournalRow)
        .outerjoin(JournalRow, JournalRow.id == JournalSeal.journal_id)
        .order_by(JournalSeal.position)
        .execution_options(yield_per=BATCH)
    )
    walk = _Walk(keys)
    rows: Iterable[tuple[JournalSeal, JournalRow | None]] = session.execute(query)
    try:
        for seal_, row in rows:
            yield from walk.step(seal_, row)
    except (ValueError, TypeError):
        # A date or facts that are none: the batch in which they stand cannot be walked.
        yield ChainFault("unreadable", f"a row within {BATCH} rows after {walk.last} cannot be read")
        return
    unsealed = session.scalar(
        select(func.count()).select_from(JournalRow).where(~_sealed(), JournalRow.at < now - UNSEALED_FOR)
    )
    if unsealed:
        yield ChainFault("unsealed", f"{unsealed} rows are unsealed", is_proof=False)


class _Walk:
    """Where the walk along the chain is, and what the next seal has to fit."""

    def __init__(self, keys: AuditKeys) -> None:
        self._keys = keys
        self._before, self._position = GENESIS, 0
        self.last = "the beginning"
        self._unknown: set[str] = set()

    def step(self, seal_: JournalSeal, row: JournalRow | None) -> Iterator[ChainFault]:
        expected = self._position + 1
        if seal_.position == expected + 1:
            yield ChainFault(f"seal {expected}", f"seal {expected} is missing, after {self.last}")
        elif seal_.position != expected:
            text = f"seals {expected} to {seal_.position - 1} are missing, after {self.last}"
            yield ChainFault(f"seal {expected}", text)
        if row is None:
            text = f"the row of seal {seal_.position} is gone, after {self.last}"
            yield ChainFault(f"seal {seal_.position}", text)
        else:
            yield from self._compare(seal_, row)
            self.last = place_of(row)
        self._before, self._position = seal_.hash, seal_.position

    def _compare(self, seal_: JournalSeal, row: JournalRow) -> Iterator[ChainFault]:
        key = self._keys.of_journal(seal_.position)
        key_id = seal_.key_id
        if key is None and key_id is not None and self._keys.named(key_id) is None:
            # Nothing can be said of these hashes; once is enough.
            if key_id not in self._unknown:
                self._unknown.add(key_id)
                text = f"{place_of(row)} and later ones are sealed with key {key_id}, which is not configured"
                yield ChainFault(f"key {key_id}", text, row, is_proof=bool(self._keys.keys))
        elif key_id != (None if key is None else key.key_id):
            wanted = "without a key" if key is None else f"with key {key.key_id}"
            said = "without a key" if key_id is None else f"with key {key_id}"
            yield ChainFault(f"row {row.id}", f"{place_of(row)} is sealed {said} instead of {wanted}", row)
        elif keyed_hash(row, self._before, seal_.position, key) != seal_.hash:
            yield ChainFault(f"row {row.id}", f"{place_of(row)} is not what was sealed", row)


def place_of(row: JournalRow) -> str:
    """Name a journal row by id and campus date."""
    return f"row {row.id} of {campus_date(row.at)}"


def _seal_from(services: Services, first_id: int) -> None:
    sealed = 0
    while (turn := _seal_batch(services, first_id)) == BATCH:
        sealed += turn
    if sealed + turn:
        anchor.keep_head(services)


def _seal_batch(services: Services, first_id: int) -> int:
    with services.transaction() as session:
        return seal_rows(session, services.audit.keys, first_id)


def seal_rows(session: Session, keys: AuditKeys, first_id: int = 0) -> int:
    """Seal up to BATCH rows. Returns: how many.

    Raises: ForeignKeyId - another process seals with a newer key, this one has to be restarted.
    """
    last = session.execute(
        select(JournalSeal.position, JournalSeal.hash, JournalSeal.key_id)
        .order_by(JournalSeal.position.desc())
        .limit(1)
    ).one_or_none()
    position, before, key_id = (0, GENESIS, None) if last is None else (last[0], last[1], last[2])
    current = keys.current
    begins = current is not None and current.journal_from == position + 1
    if key_id is not None and keys.named(key_id) is None and not begins:
        raise ForeignKeyId(f"the journal is sealed with key {key_id}: restart with the present [audit] key")
    unsealed = select(JournalRow).where(JournalRow.id >= first_id, ~_sealed())
    rows = list(session.scalars(unsealed.order_by(JournalRow.id).limit(BATCH)))
    for row in rows:
        position += 1
        key = keys.of_journal(position)
        before = keyed_hash(row, before, position, key)
        # The position is the key: two sealers at once end in an error for the second, never in a fork.
        named = None if key is None else key.key_id
        session.add(JournalSeal(position=position, journal_id=row.id, hash=before, key_id=named))
    return len(rows)


def _sealed() -> ColumnElement[bool]:
    return select(JournalSeal.journal_id).where(JournalSeal.journal_id == JournalRow.id).exists()
