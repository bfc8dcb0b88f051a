"""The credits of a stretch of time, for reconciliation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import String, func, select

from billing.embedded.ledger import CREDIT, book_of, credit_key
from models.bulk import in_steps, line_of, lines, taken_apart
from models.db.engine import Database
from models.ledger import Entry, Posting

_KEY_AT = len(credit_key("")) + 1
_ACCOUNT_AT = len(book_of("")) + 1


def credit_lines(database: Database, since: datetime, until: datetime) -> Iterator[list[bytes]]:
    """Every credit entry from `since` to before `until`, in the order of the ledger."""
    key = func.substr(Entry.key, _KEY_AT, type_=String)
    account_no = func.substr(Posting.book, _ACCOUNT_AT, type_=String)
    query = (
        select(lines(line_of(key, account_no, Posting.amount_fen)))
        .select_from(Entry)
        .join(Posting, Posting.entry_id == Entry.id)
        # The leg onto the account; the other one takes the same off the clearing book.
        .where(Entry.kind == CREDIT, Posting.amount_fen > 0)
    )
    for row in in_steps(database, query, Entry.id, Entry.at >= since, Entry.at < until):
        yield taken_apart(row[0])
