"""Account import: accounts, balances and running packages from a table that is checked as a whole first.

An import is prepared (every row is stored, nothing is opened), approved by a second operator where its
total needs that, and applied in batches. An opening balance is a ledger entry against the book of openings,
and the import's row names it; a running package becomes a lot. An account that is there as the table says
is left alone, so a run that was cut off is repeated as it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from billing.embedded.import_apply import StoredOpening, new_openings, open_rows
from billing.embedded.import_rows import (
    DEFAULT_RULES,
    OPENING_FIELDS,
    ImportRules,
    Opening,
    Reading,
    Report,
    open_accounts_table,
    openings,
)
from billing.embedded.rules import rule_in_force
from models import journal
from models.account_import import (
    FILE_NAME_MAX,
    IMPORT_STATES,
    AccountImport,
    AccountImportRow,
    ImportStatus,
)
from models.db.engine import Database
from models.db.state import guarded_move
from models.errors import Conflict, Refused
from models.package import Package
from models.values.actor import Actor
from models.values.tables.reader import Table

__all__ = [
    "ImportRules",
    "NoSuchImport",
    "Report",
    "approve",
    "import_accounts",
    "imports",
    "open_rows",
    "withdraw",
]

BATCH = 500
# Imports without approval add up over this time: many small files are one large one.
UNAPPROVED_WITHIN = timedelta(days=30)
_READ_BYTES = 64 * 1024


class NoSuchImport(Refused):
    """There is no import with this number that waits for a decision."""

    status = 404
    code = "E-IMPORT"

    def __init__(self, text: str = "没有这次待批准的导入") -> None:
        super().__init__(text)


@dataclass(frozen=True)
class _File:
    """A table that was opened, and the digest of its bytes."""

    path: Path
    table: Table
    sha256: str


def import_accounts(
    database: Database,
    path: Path,
    *,
    actor: Actor,
    now: datetime,
    rules: ImportRules = DEFAULT_RULES,
    dry_run: bool = False,
) -> Report:
    """Open every account of the table, or none when any row is wrong.

    Args:
        actor: the operator who runs it; recorded.
        dry_run: only check; the report is what a run would say.

    Returns:
        the report. With faults in it nothing was written; with `needs_approval` the import waits for
        `approve` by another operator and nothing was opened.

    Raises:
        TableRefused: no such table.
        Conflict: accounts were opened at the same time, or the file changed; whole batches stay, and the
            same run again finishes.
    """
    file = _File(path, open_accounts_table(path), _sha256(path))
    report = Report()
    with database.reading() as session:
        reading = _reading(session, rules, now)
        for batch in _batches(openings(file.table, reading, report)):
            new_openings(session, batch, report, rules.account_rules)
        unfinished = _unfinished(session, file.sha256)
    if dry_run or report.faulty:
        return report
    if unfinished is None and report.opened:
        unfinished = _prepare(database, file, reading, actor)
    if unfinished is None:
        return report
    import_id = report.import_id = unfinished.id
    if unfinished.status == ImportStatus.PREPARED and not _start(database, import_id, rules, now):
        report.needs_approval = True
        return report
    done = _apply(database, import_id, actor, rules, now)
    done.known += report.known
    return done


def approve(
    database: Database, import_id: int, *, actor: Actor, now: datetime, rules: ImportRules = DEFAULT_RULES
) -> Report:
    """Approve a prepared import as the second operator, and open its accounts.

    Raises: NoSuchImport; Refused - the same operator prepared it; Conflict - run it again.
    """
    with database.transaction() as session:
        prepared = _waiting(session, import_id, ImportStatus.PREPARED, ImportStatus.APPLYING)
        if actor.is_system or actor.is_same_person(prepared.prepared_by):
            raise Refused("导入须由另一位同事批准")
        if prepared.status == ImportStatus.PREPARED:
            journal.note(
                session,
                "import-approved",
                order_no=None,
                actor=actor.name,
                now=now,
                import_id=import_id,
                rows=prepared.rows,
                amount_fen=prepared.total_fen,
            )
            guarded_move(
                session,
                IMPORT_STATES,
                prepared,
                ImportStatus.APPLYING,
                cause="approved",
                now=now,
                approved_by=actor.name,
                approved_at=now,
            )
    return _apply(database, import_id, actor, rules, now)


def withdraw(database: Database, import_id: int, *, actor: Actor, now: datetime) -> None:
    """Give up an import that waits for approval. Raises: NoSuchImport."""
    with database.transaction() as session:
        prepared = _waiting(session, import_id, ImportStatus.PREPARED)
        guarded_move(session, IMPORT_STATES, prepared, ImportStatus.WITHDRAWN, cause="withdrawn", now=now)
        journal.note(
            session, "import-withdrawn", order_no=None, actor=actor.name, now=now, import_id=import_id
        )


def imports(database: Database, *, limit: int = 20) -> list[AccountImport]:
    """Return the newest imports, newest first."""
    with database.reading() as session:
        return list(session.scalars(select(AccountImport).order_by(AccountImport.id.desc()).limit(limit)))


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _reading(session: Session, rules: ImportRules, now: datetime) -> Reading:
    packages = {package.code: package for package in session.scalars(select(Package))}
    return Reading(packages, rule_in_force(session, now), rules, now)


def _unfinished(session: Session, sha256: str) -> AccountImport | None:
    """Return the import of this very file that is not done yet."""
    query = select(AccountImport).where(
        AccountImport.file_sha256 == sha256,
        AccountImport.status.in_((ImportStatus.PREPARED, ImportStatus.APPLYING)),
    )
    return session.scalar(query.order_by(AccountImport.id.desc()).limit(1))


def _waiting(session: Session, import_id: int, *states: ImportStatus) -> AccountImport:
    found = session.get(AccountImport, import_id, with_for_update=True)
    if found is None or found.status not in states:
        raise NoSuchImport
    return found


def _prepare(database: Database, file: _File, reading: Reading, actor: Actor) -> AccountImport:
    """Store every new row in one transaction."""
    rules, now, report = reading.rules, reading.now, Report()
    with database.transaction() as session:
        prepared = AccountImport(
            status=ImportStatus.PREPARED,
            file_sha256=file.sha256,
            file_name=file.path.name[:FILE_NAME_MAX],
            prepared_by=actor.name,
            prepared_at=now,
            rows=0,
            packages=0,
            total_fen=0,
        )
        session.add(prepared)
        session.flush()
        for batch in _batches(openings(file.table, reading, report)):
            rows = new_openings(session, batch, report, rules.account_rules)
            if rows:
                session.execute(insert(AccountImportRow), [_stored(prepared.id, row) for row in rows])
        if report.faulty or _sha256(file.path) != file.sha256:
            raise Conflict("the file or the accounts changed meanwhile: run the import again")
        prepared.rows, prepared.packages = report.opened, report.packages
        prepared.total_fen = report.balance_fen
        journal.note(
            session,
            "import-prepared",
            order_no=None,
            actor=actor.name,
            now=now,
            import_id=prepared.id,
            file_sha256=file.sha256,
            rows=report.opened,
            amount_fen=report.balance_fen,
        )
        return prepared


def _unapproved_fen(session: Session, import_id: int, now: datetime) -> int:
    """Return what operators have opened recently without a second one."""
    query = select(func.coalesce(func.sum(AccountImport.total_fen), 0)).where(
        AccountImport.id != import_id,
        AccountImport.file_sha256 != "",
        AccountImport.approved_by.is_(None),
        AccountImport.status.in_((ImportStatus.APPLYING, ImportStatus.APPLIED)),
        AccountImport.prepared_at > now - UNAPPROVED_WITHIN,
    )
    return int(session.scalar(query) or 0)


def _stored(import_id: int, opening: Opening) -> dict[str, object]:
    return {"import_id": import_id, **{name: getattr(opening, name) for name in OPENING_FIELDS}}


def _start(database: Database, import_id: int, rules: ImportRules, now: datetime) -> bool:
    """Let a prepared import begin without approval. Returns: False if its total needs a second operator."""
    with database.transaction() as session:
        # Two that begin at the same time wait for one another, so that their totals add up.
        every = select(AccountImport).where(AccountImport.status == ImportStatus.PREPARED)
        waiting = session.scalars(every.order_by(AccountImport.id).with_for_update()).all()
        prepared = next((row for row in waiting if row.id == import_id), None)
        if prepared is None:
            raise NoSuchImport
        total_fen = prepared.total_fen + _unapproved_fen(session, import_id, now)
        if prepared.total_fen > 0 and total_fen > rules.approve_above_fen:
            return False
        guarded_move(session, IMPORT_STATES, prepared, ImportStatus.APPLYING, cause="no-approval", now=now)
    return True


def _apply(database: Database, import_id: int, actor: Actor, rules: ImportRules, now: datetime) -> Report:
    """Open what is not open yet, batch by batch, then close the import with what it has opened."""
    report, after_id = Report(import_id=import_id), 0
    try:
        while True:
            with database.transaction() as session:
                batch = _next_rows(session, import_id, after_id)
                if not batch:
                    break
                after_id = batch[-1].row_id
                open_rows(session, batch, report, rules.account_rules, now)
    except IntegrityError:
        raise Conflict("accounts were opened at the same time: run the import again") from None
    with database.transaction() as session:
        applying = _waiting(session, import_id, ImportStatus.APPLYING)
        _finish(session, applying, actor, now)
    return report


def _next_rows(session: Session, import_id: int, after_id: int) -> list[StoredOpening]:
    query = select(AccountImportRow.id, *(getattr(AccountImportRow, name) for name in OPENING_FIELDS)).where(
        AccountImportRow.import_id == import_id,
        AccountImportRow.id > after_id,
        AccountImportRow.opened_at.is_(None),
    )
    rows = session.execute(query.order_by(AccountImportRow.id).limit(BATCH))
    return [StoredOpening(row_id, Opening(*values)) for row_id, *values in rows]


def _finish(session: Session, applying: AccountImport, actor: Actor, now: datetime) -> None:
    opened = select(
        func.count(),
        func.coalesce(func.sum(AccountImportRow.balance_fen), 0),
        func.count(AccountImportRow.package_code),
    ).where(AccountImportRow.import_id == applying.id, AccountImportRow.opened_at.is_not(None))
    rows, total_fen, packages = session.execute(opened).one()
    journal.note(
        session,
        "import-applied",
        order_no=None,
        actor=actor.name,
        now=now,
        import_id=applying.id,
        file_sha256=applying.file_sha256,
        rows=rows,
        amount_fen=int(total_fen),
    )
    guarded_move(
        session,
        IMPORT_STATES,
        applying,
        ImportStatus.APPLIED,
        cause="applied",
        now=now,
        applied_at=now,
        rows=rows,
        packages=packages,
        total_fen=int(total_fen),
    )


def _batches(rows: Iterable[Opening]) -> Iterator[list[Opening]]:
    rest = iter(rows)
    while batch := list(islice(rest, BATCH)):
        yield batch
