"""Records that were acknowledged and could not be counted: kept as they came, shown, counted later.

They hold account numbers: they are for the database and the operator's terminal, never for a log.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from models.accounting import CounterDoubt, DeadLetter
from models.many import keeping

# Longer records are cut to the fields that this project reads, each to a length.
ATTRIBUTES_MAX = 4096
VALUE_MAX = 200
FIELDS = (
    "kind", "nas", "session", "account", "event_at", "delay_s", "session_time_s", "started_at",
    "input_octets", "input_gigawords", "output_octets", "output_gigawords", "address", "received_at",
)  # fmt: skip
REASON_MAX = 32
_STEP = 1000
_TABLE = DeadLetter.metadata.tables[DeadLetter.__tablename__]
_KEEP = keeping(_TABLE, ("digest", "reason", "attributes", "whole", "received_at", "source"), ("digest",))


@dataclass(frozen=True)
class Letter:
    """A record and why it was not counted: the name of a field, or an outcome."""

    record: Any = field(repr=False)
    reason: str


@dataclass(frozen=True)
class Shown:
    """A kept record as an operator sees it."""

    id: int
    reason: str
    received_at: datetime
    source: str
    attributes: str = field(repr=False)
    whole: bool


@dataclass(frozen=True)
class AccountingFigures:
    """Records that wait, by reason, and reports of counters in doubt, by server."""

    dead_letters: dict[str, int]
    in_doubt: dict[str, int]


def keep(session: Session, letters: Sequence[Letter], *, source: str, now: datetime) -> None:
    """Write records in one statement; one that is kept already stays as it is."""
    rows = {row["digest"]: row for row in (_row(letter, source, now) for letter in letters)}
    if rows:
        _KEEP.run(session.connection(), list(rows.values()))


def waiting(
    session: Session, *, reason: str | None = None, after: int = 0, limit: int, newest: bool = False
) -> list[Shown]:
    """Return records that were not counted so far, in the order in which they came, or the newest first."""
    columns = (
        DeadLetter.id, DeadLetter.reason, DeadLetter.received_at, DeadLetter.source,
        DeadLetter.attributes, DeadLetter.whole,
    )  # fmt: skip
    query = select(*columns).where(DeadLetter.replayed_at.is_(None), DeadLetter.id > after).limit(limit)
    if reason is not None:
        query = query.where(DeadLetter.reason == reason)
    query = query.order_by(DeadLetter.id.desc() if newest else DeadLetter.id)
    return [Shown(*row) for row in session.execute(query)]


def mark_counted(session: Session, outcomes: Mapping[int, str], now: datetime) -> None:
    """Note that records were counted after all."""
    by_outcome: dict[str, list[int]] = {}
    for number, outcome in outcomes.items():
        by_outcome.setdefault(outcome, []).append(number)
    for outcome, numbers in by_outcome.items():
        session.execute(
            update(DeadLetter)
            .where(DeadLetter.id.in_(numbers), DeadLetter.replayed_at.is_(None))
            .values(replayed_at=now, outcome=outcome)
            .execution_options(synchronize_session=False)
        )


def purge(session: Session, received_before: datetime) -> int:
    """Delete up to a step of records received before. Returns: how many."""
    old = select(DeadLetter.id).where(DeadLetter.received_at < received_before).limit(_STEP)
    numbers = list(session.scalars(old.order_by(DeadLetter.received_at)))
    if numbers:
        session.execute(
            delete(DeadLetter).where(DeadLetter.id.in_(numbers)).execution_options(synchronize_session=False)
        )
    return len(numbers)


def figures(session: Session) -> AccountingFigures:
    """Return the figures now, in two queries."""
    by_reason = (
        select(DeadLetter.reason, func.count())
        .where(DeadLetter.replayed_at.is_(None))
        .group_by(DeadLetter.reason)
    )
    by_nas = select(CounterDoubt.nas, func.sum(CounterDoubt.reports)).group_by(CounterDoubt.nas)
    return AccountingFigures(
        dead_letters={reason: int(count) for reason, count in session.execute(by_reason)},
        in_doubt={nas: int(reports) for nas, reports in session.execute(by_nas) if reports},
    )


def record_of(shown: Shown) -> Any:
    """Return the record for another attempt, with the time of its receipt."""
    record = json.loads(shown.attributes)
    if isinstance(record, dict) and record.get("received_at") in (None, ""):
        return record | {"received_at": int(shown.received_at.timestamp())}
    return record


def _row(letter: Letter, source: str, now: datetime) -> dict[str, Any]:
    whole = _json(letter.record)
    attributes = whole
    if len(whole) > ATTRIBUTES_MAX:
        record = letter.record if isinstance(letter.record, Mapping) else {"record": letter.record}
        cut = {name: _cut(record[name]) for name in (*FIELDS, "record") if name in record}
        attributes = _json(cut)
    return {
        "digest": hashlib.sha256(whole.encode()).hexdigest(),
        "reason": letter.reason[:REASON_MAX],
        "attributes": attributes,
        "whole": attributes == whole,
        "received_at": now,
        "source": source,
    }


def _cut(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return value
    text = value if isinstance(value, str) else _json(value)
    if len(text) > VALUE_MAX:
        return text[:VALUE_MAX]
    return value


def _json(record: Any) -> str:
    # ASCII: half a surrogate and the zero byte are escapes, which every database takes.
    return json.dumps(record, sort_keys=True, default=str, separators=(",", ":"))
