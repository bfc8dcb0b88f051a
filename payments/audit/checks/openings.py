"""Opening entries against the imports that wrote them, and against the baseline of the migration."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import BigInteger, cast, func, select

from models.audit import OpeningBaseline
from models.db.engine import Database
from models.ledger import Entry, Posting
from payments.audit.checks.finding import Finding

OPENINGS = "openings"
BATCH = 500
KIND = "opening"
_ACCOUNT = "account:"


def check_openings(database: Database) -> Iterator[Finding]:
    """Each opening entry is of the baseline or of a recorded import, and these add up."""
    with database.reading() as session:
        baseline = session.scalar(select(OpeningBaseline))
        last_id = 0 if baseline is None else baseline.last_entry_id
        query = (
            select(func.count(), cast(func.coalesce(func.sum(Posting.amount_fen), 0), BigInteger))
            .join(Entry, Entry.id == Posting.entry_id)
            .where(Entry.kind == KIND, Posting.book.startswith(_ACCOUNT), Entry.id <= last_id)
        )
        entries, total_fen = session.execute(query).one()
    wanted = (0, 0) if baseline is None else (baseline.entries, baseline.total_fen)
    if (entries, total_fen) != wanted:
        text = (
            f"{entries} opening entries up to {last_id} sum to {total_fen} fen, "
            f"the baseline has {wanted[0]} with {wanted[1]} fen"
        )
        yield Finding(OPENINGS, "baseline", text)
    yield from _later(database, last_id)


def _later(database: Database, after_id: int) -> Iterator[Finding]:
    query = (
        select(Entry.id, Entry.key, Posting.book, Posting.amount_fen)
        .join(Posting, Posting.entry_id == Entry.id)
        .where(Entry.kind == KIND, Posting.book.startswith(_ACCOUNT))
    )
    while True:
        with database.reading() as session:
            batch = session.execute(query.where(Entry.id > after_id).order_by(Entry.id).limit(BATCH)).all()
        for _, key, book, amount_fen in batch:
            account_no = book.removeprefix(_ACCOUNT)
            text = f"{key} ({amount_fen} fen on {account_no}) belongs to no import"
            yield Finding(OPENINGS, key, text, (account_no,))
        if len(batch) < BATCH:
            return
        after_id = batch[-1].id
