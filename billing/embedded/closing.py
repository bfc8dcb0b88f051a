"""Closed keys: an entry without postings holds a key, so that no later call can take effect under it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError

from billing.interface import MoneyCall
from models.db.engine import Database
from models.ledger import Entry

CLOSED = "closed"


def close_key(database: Database, call: MoneyCall, key: str, at: datetime) -> bool:
    """Hold the key of a call that has not been made. Returns: False if the call took effect before.

    A call that is being written holds its key already: this waits for its commit and then fails.
    """
    entry_key = f"{call}:{key}"
    try:
        with database.transaction() as session:
            session.execute(insert(Entry).values(key=entry_key, kind=CLOSED, memo="", corrects=None, at=at))
    except IntegrityError:
        return is_closed(database, call, key)
    return True


def is_closed(database: Database, call: MoneyCall, key: str) -> bool:
    """Return True if no call of this kind can take effect under `key` any more."""
    with database.reading() as session:
        return session.scalar(select(Entry.kind).where(Entry.key == f"{call}:{key}")) == CLOSED
