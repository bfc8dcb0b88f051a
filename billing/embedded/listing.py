"""The credits of a stretch of time, for reconciliation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import select

from billing.embedded.ledger import CREDIT, book_of, credit_key
from billing.interface import CreditLine
from models.bulk import in_steps
from models.db import Database
from models.ledger import Entry, Posting

_KEY = slice(len(credit_key("")), None)
_ACCOUNT = slice(len(book_of("")), None)


def credit_lines(database: Database, since: datetime, until: datetime) -> Iterator[CreditLine]:
    """Every credit entry from `since` to before `until`, in the order of the ledger."""
    lines = (
        select(Entry.key, Posting.book, Posting.amount_fen)
        .join(Posting, Posting.entry_id == Entry.id)
        # The leg onto the account; the other one takes the same off the clearing book.
        .where(Entry.kind == CREDIT, Posting.amount_fen > 0)
    )
    for rows in in_steps(database, lines, Entry.id, Entry.at >= since, Entry.at < until):
        for key, book, amount_fen in rows:
            yield CreditLine(key[_KEY], book[_ACCOUNT], amount_fen)
