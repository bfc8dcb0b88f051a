"""An append-only copy of the journal outside the database: what WeChat Pay cannot tell after a restore.

Sealed rows are appended as lines of JSON in the order of their seals, by whichever worker holds the lock
of the file. A recovery sets the file aside first: rows written later would continue another history.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.errors import Unavailable
from models.journal import JournalRow, JournalSeal
from payments.services import Services

BATCH = 1000
TAIL_BYTES = 64 * 1024
FILE_MODE = 0o600
KNOWN_AT_ONCE = 500


@dataclass(frozen=True)
class CopiedRow:
    """One row of the journal as it was copied."""

    position: int
    id: int
    at: datetime
    what: str
    order_no: str | None
    actor: str
    facts: dict[str, Any]


def copy_rows(services: Services, path: Path) -> None:
    """Append every sealed row that the file does not have yet. Raises: Unavailable - it cannot be written."""
    try:
        with _locked(path) as file:
            position = _last_position(file)
            while rows := _sealed_after(services, position):
                os.write(file, "".join(map(_line, rows)).encode())
                position = rows[-1].position
            os.fsync(file)
    except OSError as error:
        raise Unavailable(f"the journal copy {path} cannot be written: {error.strerror}") from None


def set_aside(path: Path, recovery_id: int) -> Path:
    """Rename the file of the lost database, once for each recovery. Returns: its new name."""
    target = path.with_name(f"{path.name}.before-recovery-{recovery_id}")
    if path.exists() and not target.exists():
        path.rename(target)
    return target


def lost_rows(services: Services, path: Path, since: datetime) -> list[CopiedRow]:
    """Return the rows of the file, written since, that the database does not have.

    A last line that was cut off by a crash is left out.
    """
    if not path.exists():
        return []
    with path.open(encoding="utf-8", errors="replace") as file:
        rows = [row for row in map(_row_of, file) if row is not None and row.at >= since]
    lost: list[CopiedRow] = []
    for first in range(0, len(rows), KNOWN_AT_ONCE):
        batch = rows[first : first + KNOWN_AT_ONCE]
        with services.reading() as session:
            known = _known(session, [row.id for row in batch])
        lost += [row for row in batch if (row.id, row.at, row.what) not in known]
    return lost


@contextmanager
def _locked(path: Path) -> Iterator[int]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, FILE_MODE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)


def _last_position(file: int) -> int:
    """Return the position of the last whole line; a line that was cut off is closed and written again."""
    size = os.lseek(file, 0, os.SEEK_END)
    start = max(0, size - TAIL_BYTES)
    tail = os.pread(file, size - start, start)
    if tail and not tail.endswith(b"\n"):
        os.write(file, b"\n")
    rows = (_row_of(line.decode(errors="replace")) for line in reversed(tail.splitlines()))
    return next((row.position for row in rows if row is not None), 0)


def _sealed_after(services: Services, position: int) -> list[CopiedRow]:
    query = (
        select(JournalSeal.position, JournalRow)
        .join(JournalRow, JournalRow.id == JournalSeal.journal_id)
        .where(JournalSeal.position > position)
        .order_by(JournalSeal.position)
        .limit(BATCH)
    )
    with services.reading() as session:
        return [
            CopiedRow(place, row.id, row.at, row.what, row.order_no, row.actor, row.facts)
            for place, row in session.execute(query)
        ]


def _known(session: Session, ids: list[int]) -> set[tuple[int, datetime, str]]:
    query = select(JournalRow.id, JournalRow.at, JournalRow.what).where(JournalRow.id.in_(ids))
    return {(row_id, at, what) for row_id, at, what in session.execute(query)}


def _line(row: CopiedRow) -> str:
    return json.dumps({**vars(row), "at": row.at.isoformat()}, ensure_ascii=False) + "\n"


def _row_of(line: str) -> CopiedRow | None:
    try:
        fields = json.loads(line)
        return CopiedRow(**{**fields, "at": datetime.fromisoformat(fields["at"])})
    except (ValueError, TypeError, KeyError):
        return None
