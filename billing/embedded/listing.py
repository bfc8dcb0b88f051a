"""The movements of a stretch of time, for reconciliation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import String, func, select

from billing.embedded.ledger import book_of
from billing.interface import MoneyCall
from models.bulk import in_steps, line_of, lines, taken_apart
from models.db.engine import Database
from models.ledger import Entry, Posting

_ACCOUNT = book_of("")


def movement_lines(database: Database, since: datetime, until: datetime) -> Iterator[list[bytes]]:
    """Every movement from `since` to before `until`, in the order of the ledger."""
    account_no = func.substr(Posting.book, len(_ACCOUNT) + 1, type_=String)
    query = (
        # The key of an entry begins with its kind and a colon.
        select(lines(line_of(Entry.key, account_no, func.abs(Posting.amount_fen))))
        .select_from(Entry)
        .join(Posting, Posting.entry_id == Entry.id)
        # The leg of the account; the other one is of a book of ours.
        .where(Entry.kind.in_(list(MoneyCall)), Posting.book.startswith(_ACCOUNT))
    )
    for row in in_steps(database, query, Entry.id, Entry.at >= since, Entry.at < until):
        yield taken_apart(row[0])
