"""Opening entries against the imports that wrote them, and imports against the journal and the baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, cast, func, select
from sqlalchemy.orm import Session

from models.account_import import AccountImport, AccountImportRow, ImportStatus
from models.audit import OpeningBaseline
from models.db.engine import Database
from models.journal import JournalRow
from models.ledger import Entry, Posting
from models.values.actor import SYSTEM_NAMES
from payments.audit.checks.finding import Finding

OPENINGS = "openings"
BATCH = 500
# An import of more accounts than this holds all of them, when it is in question.
ACCOUNTS_MAX = 2_000
KIND = "opening"
APPLIED = "import-applied"
_ACCOUNT = "account:"
_WRITTEN = (ImportStatus.APPLYING, ImportStatus.APPLIED)


def check_openings(database: Database, *, is_production: bool) -> Iterator[Finding]:
    """Each opening entry has its row of an import, and each import adds up to what was journalled of it.

    Args:
        is_production: imports by automatic work are those of the baseline; elsewhere a demo makes more.
    """
    yield from _check_entries(database)
    yield from _check_imports(database, is_production=is_production)
    if is_production:
        yield from _check_baseline(database)


def _check_entries(database: Database) -> Iterator[Finding]:
    # Any: the columns of the outer join may be None.
    query: Any = (
        select(
            Entry.id,
            Entry.key,
            Posting.book,
            Posting.amount_fen,
            AccountImportRow.account_no,
            AccountImportRow.balance_fen,
        )
        .join(Posting, Posting.entry_id == Entry.id)
        .outerjoin(AccountImportRow, and_(AccountImportRow.entry_id == Entry.id, _is_written()))
        .where(Entry.kind == KIND, Posting.book.startswith(_ACCOUNT))
    )
    after_id = -(2**63)
    while True:
        with database.reading() as session:
            batch = session.execute(query.where(Entry.id > after_id).order_by(Entry.id).limit(BATCH)).all()
        for _, key, book, amount_fen, account_no, balance_fen in batch:
            named = book.removeprefix(_ACCOUNT)
            if account_no is None:
                text = f"{key} ({amount_fen} fen on {named}) belongs to no import"
                yield Finding(OPENINGS, key, text, (named,))
            elif (account_no, balance_fen, f"{KIND}:{account_no}") != (named, amount_fen, key):
                text = f"{key} is {amount_fen} fen on {named}, its import says {balance_fen} on {account_no}"
                yield Finding(OPENINGS, key, text, tuple(sorted({named, account_no})))
        if len(batch) < BATCH:
            return
        after_id = batch[-1].id


def _is_written() -> ColumnElement[bool]:
    """The import of this row was carried out."""
    return (
        select(AccountImport.id)
        .where(AccountImport.id == AccountImportRow.import_id, AccountImport.status.in_(_WRITTEN))
        .exists()
    )


def _check_imports(database: Database, *, is_production: bool) -> Iterator[Finding]:
    with database.reading() as session:
        baseline = session.scalar(select(OpeningBaseline))
        told = _told(session)
        imports = list(
            session.scalars(
                select(AccountImport)
                .where(AccountImport.status == ImportStatus.APPLIED)
                .order_by(AccountImport.id)
            )
        )
        for found in imports:
            opened = session.execute(_opened(found.id)).one()
            problem = _problem(found, (opened[0], opened[1]), told)
            is_system = found.prepared_by in SYSTEM_NAMES
            if not problem and is_system and is_production and not _is_baseline(opened[2], baseline):
                problem = "was made by automatic work, which imports nothing in production"
            if problem:
                text = f"import {found.id} {problem}"
                yield Finding(OPENINGS, f"import {found.id}", text, _accounts(session, found.id))


def _problem(found: AccountImport, opened: tuple[int, int], told: Mapping[int, tuple[int, int]]) -> str:
    said = (found.rows, found.total_fen)
    if opened != said:
        return f"opened {opened[0]} accounts with {opened[1]} fen, it says {said[0]} with {said[1]} fen"
    if found.prepared_by in SYSTEM_NAMES:
        return ""
    if found.id not in told:
        return f"by {found.prepared_by} has no row `{APPLIED}` in the journal"
    if told[found.id] != said:
        rows, total_fen = told[found.id]
        return f"says {said[0]} accounts with {said[1]} fen, the journal {rows} with {total_fen} fen"
    return ""


def _told(session: Session) -> dict[int, tuple[int, int]]:
    """What the journal says of each import: accounts and fen."""
    rows = session.scalars(select(JournalRow.facts).where(JournalRow.what == APPLIED))
    return {
        int(facts["import_id"]): (int(facts["rows"]), int(facts["amount_fen"]))
        for facts in rows
        if {"import_id", "rows", "amount_fen"} <= facts.keys()
    }


def _opened(import_id: int) -> Any:
    total = cast(func.coalesce(func.sum(AccountImportRow.balance_fen), 0), BigInteger)
    return select(func.count(), total, func.max(AccountImportRow.entry_id)).where(
        AccountImportRow.import_id == import_id, AccountImportRow.opened_at.is_not(None)
    )


def _is_baseline(last_entry_id: int | None, baseline: OpeningBaseline | None) -> bool:
    if last_entry_id is None:
        return True
    return baseline is not None and last_entry_id <= baseline.last_entry_id


def _check_baseline(database: Database) -> Iterator[Finding]:
    """Openings of automatic work are those that the migration counted."""
    query = (
        select(func.count(), cast(func.coalesce(func.sum(AccountImportRow.balance_fen), 0), BigInteger))
        .join(AccountImport, AccountImport.id == AccountImportRow.import_id)
        .where(AccountImport.prepared_by.in_(SYSTEM_NAMES), AccountImportRow.entry_id.is_not(None))
    )
    with database.reading() as session:
        baseline = session.scalar(select(OpeningBaseline))
        entries, total_fen = session.execute(query).one()
    wanted = (0, 0) if baseline is None else (baseline.entries, baseline.total_fen)
    if (entries, total_fen) != wanted:
        text = (
            f"{entries} openings of automatic work sum to {total_fen} fen, "
            f"at the upgrade there were {wanted[0]} with {wanted[1]} fen"
        )
        yield Finding(OPENINGS, "baseline", text)


def _accounts(session: Session, import_id: int) -> tuple[str, ...]:
    query = select(AccountImportRow.account_no).where(
        AccountImportRow.import_id == import_id, AccountImportRow.opened_at.is_not(None)
    )
    found = list(session.scalars(query.limit(ACCOUNTS_MAX + 1)))
    return tuple(sorted(found)) if len(found) <= ACCOUNTS_MAX else ()
