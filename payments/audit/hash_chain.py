"""The journal's hash chain: sealed by a job, verified by `campusnet doctor`.

Seals follow the order of sealing, not of ids: a transaction that commits late gets a later place
and nothing else changes. Rows and seals are append-only in the database as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from models.journal import GENESIS, JournalRow, JournalSeal, hash_of
from payments.services import Services

BATCH = 1000
# So many rows may be written and sealed while the transaction of an earlier one is still open.
LATE = 2_000
# A row older than this without a seal is a finding: the sealing job runs every few seconds.
UNSEALED_FOR = timedelta(minutes=10)


def seal(services: Services) -> None:
    """Give the newest rows their places in the chain. Old ones are not looked at: they grow to millions."""
    with services.reading() as session:
        newest = session.scalar(select(func.max(JournalSeal.journal_id))) or 0
    _seal_from(services, newest - LATE)


def seal_late(services: Services) -> None:
    """As `seal`, through the whole journal: for a row whose transaction took very long to commit."""
    _seal_from(services, 0)


def verify(session: Session, now: datetime) -> Iterator[str]:
    """Every place where chain and rows disagree, in words; nothing when all is well."""
    before, position = GENESIS, 0
    # A row that is gone leaves its seal behind, on a database whose keys are not enforced.
    query = (
        select(JournalSeal.position, JournalSeal.hash, JournalRow)
        .outerjoin(JournalRow, JournalRow.id == JournalSeal.journal_id)
        .order_by(JournalSeal.position)
        .execution_options(yield_per=BATCH)
    )
    rows: Iterable[tuple[int, str, JournalRow | None]] = session.execute(query)
    for sealed_at, sealed, row in rows:
        position += 1
        if sealed_at != position:
            yield f"seal {position} is missing"
            position = sealed_at
        if row is None:
            yield f"the row of seal {sealed_at} is gone"
        elif hash_of(row, before) != sealed:
            yield f"row {row.id} is not what was sealed"
        before = sealed
    unsealed = session.scalar(
        select(func.count()).select_from(JournalRow).where(~_sealed(), JournalRow.at < now - UNSEALED_FOR)
    )
    if unsealed:
        yield f"{unsealed} rows are unsealed"


def _seal_from(services: Services, first_id: int) -> None:
    while _seal_batch(services, first_id) == BATCH:
        pass


def _seal_batch(services: Services, first_id: int) -> int:
    with services.transaction() as session:
        last = session.execute(
            select(JournalSeal.position, JournalSeal.hash).order_by(JournalSeal.position.desc()).limit(1)
        ).one_or_none()
        position, before = (0, GENESIS) if last is None else (last[0], last[1])
        unsealed = select(JournalRow).where(JournalRow.id >= first_id, ~_sealed())
        rows = list(session.scalars(unsealed.order_by(JournalRow.id).limit(BATCH)))
        for row in rows:
            position, before = position + 1, hash_of(row, before)
            # The position is the key: two sealers at once end in an error for the second, never in a fork.
            session.add(JournalSeal(position=position, journal_id=row.id, hash=before))
        return len(rows)


def _sealed() -> ColumnElement[bool]:
    return select(JournalSeal.journal_id).where(JournalSeal.journal_id == JournalRow.id).exists()
