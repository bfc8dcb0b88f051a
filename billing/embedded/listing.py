"""The credits of a stretch of time, read in steps so that memory and locks stay small."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime

from sqlalchemy import func, select

from billing.embedded.ledger import CREDIT, book_of, credit_key
from billing.interface import CreditLine
from models.db import Database
from models.ledger import Entry, Posting

STEP = 10_000

_KEY_START = len(credit_key("")) + 1
_BOOK_START = len(book_of("")) + 1


def credit_lines(database: Database, since: datetime, until: datetime) -> Iterator[CreditLine]:
    """Every credit entry from `since` to before `until`; each step is a short read of its own."""
    in_time = (Entry.at >= since, Entry.at < until)
    with database.connection() as connection:
        ends = select(func.min(Entry.id), func.max(Entry.id)).where(*in_time)
        found_ends: Sequence[int | None] = connection.execute(ends).one()
    first, last = found_ends
    if first is None or last is None:
        return
    lines = (
        select(func.substr(Entry.key, _KEY_START), func.substr(Posting.book, _BOOK_START), Posting.amount_fen)
        .join(Posting, Posting.entry_id == Entry.id)
        .where(*in_time, Entry.kind == CREDIT, Posting.book.startswith(book_of("")))
    )
    # Steps of ids, not of rows: nothing to sort, and the primary key leads straight to each.
    for start in range(first, last + 1, STEP):
        with database.connection() as connection:
            found = connection.execute(lines.where(Entry.id.between(start, start + STEP - 1))).all()
        for key, account_no, amount_fen in found:
            yield CreditLine(key, account_no, amount_fen)
