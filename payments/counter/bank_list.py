"""Reading the bank's list of transfers: each row is booked, queued, returned, known or reported.

Each row is a transaction of its own. A list that was cut off, read again, or that overlaps another one
books only what is not on record yet; `payments.counter.transfers` decides what that is.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import Session

from billing.interface import Offer
from models import journal
from models.clock import campus_date, months_earlier
from models.counter import BankFile, BankLine, BankStatus, Channel, ReturnReason, Way
from models.errors import AmountOutOfRange
from models.values.actor import Actor
from models.values.tables.errors import RowError, TableRefused
from models.values.tables.reader import Table, open_table
from payments.counter import bank_rows
from payments.counter.bank_rows import COLUMNS, REQUIRED, Contested, check_columns
from payments.counter.reversals import REVERSED, note_reversals
from payments.counter.steps import NAME_MAX, Money, book_order, book_return, check_price
from payments.counter.transfers import (
    ACCOUNT_MAX,
    Known,
    Match,
    Transfer,
    candidates,
    compare,
    is_rounded,
    known_row,
    lock_transfers,
    name_key,
    reference_key,
)
from payments.services import Services

FAULTS_MAX = 1000
# The reason of a transfer that is more than a year old and was never read before.
OLD = "old"
# The reason of a transfer for a closed account, number and name of which match.
CLOSED = "closed"
READ_BYTES = 64 * 1024


@dataclass
class Report:
    """How many rows went where; `known` were there before.

    Nothing was done with `rejected` rows; `faults` says why, for the first thousand of them.
    """

    credited: int = 0
    queued: int = 0
    returning: int = 0
    known: int = 0
    rejected: int = 0
    faults: list[str] = field(default_factory=list)

    def count(self, status: BankStatus) -> None:
        """Count a transfer that is new."""
        self.credited += status == BankStatus.CREDITED
        self.queued += status == BankStatus.QUEUED
        self.returning += status == BankStatus.RETURNING

    def reject(self, error: RowError) -> None:
        """Count a row that nothing was done with."""
        self.rejected += 1
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(error.text)


@dataclass(frozen=True)
class _Verdict:
    """What becomes of a transfer that is not on record."""

    status: BankStatus
    reason: str
    masked_name: str = ""
    account_no: str = ""
    is_owner: bool = False


@dataclass
class _Run:
    """One reading of a list: `file_id` is None for a dry run, which keeps what it has `seen` instead."""

    services: Services
    offers: Sequence[Offer]
    file_id: int | None
    actor: Actor
    contested: Contested
    report: Report = field(default_factory=Report)
    rounded: Counter[str] = field(default_factory=Counter)
    seen: dict[str, list[Known]] = field(default_factory=dict)
    confirmed: set[int] = field(default_factory=set)


def read_list(
    services: Services, path: Path, *, actor: Actor | str, dry_run: bool = False, source: str = ""
) -> Report:
    """Book every transfer of a list that is not on record yet.

    Args:
        source: the bank account the list belongs to; by default what the file says, then
            `[counter] bank_account`.

    Raises:
        TableRefused: no such table, a direction, currency or status column that is not understood, or
            `source` is not the account that the file names, or the content was read under another one.
        Unavailable: billing cannot be asked; what was booked stays.
    """
    actor = Actor.from_name(actor) if isinstance(actor, str) else actor
    table = open_table(path, COLUMNS, required=REQUIRED)
    check_columns(table)
    given = bank_rows.normal_source(source)
    bank_rows.check_source(table, given)
    default = given or bank_rows.account_above(table)
    default = default or bank_rows.normal_source(services.counter_rules.bank_account)
    rules = services.counter_rules
    contested = bank_rows.contested(table, accounts=services.account_rules, max_fen=rules.max_fen)
    digest = _digest(path)
    _check_not_elsewhere(services, digest, default, own=bank_rows.sources_in(table))
    file_id = None if dry_run else _open_file(services, digest, actor)
    run = _Run(services, services.billing.catalogue(), file_id, actor, contested)
    _read_rows(table, run, default, fixed=bool(given))
    if file_id is not None:
        note_reversals(services, contested, file_id=file_id)
    _close_file(run)
    services.wake()
    return run.report


def _read_rows(table: Table, run: _Run, source: str, *, fixed: bool) -> None:
    services = run.services
    for row in table.rows():
        try:
            transfer = bank_rows.transfer_of(
                row,
                accounts=services.account_rules,
                source=source,
                fixed_source=fixed,
                max_fen=services.counter_rules.max_fen,
                today=campus_date(services.clock()),
            )
        except RowError as error:
            run.report.reject(error)
            continue
        key = reference_key(transfer.reference)
        if is_rounded(key):
            run.rounded[transfer.identity] += 1
            transfer = transfer.as_occurrence(run.rounded[transfer.identity])
        _one(transfer, run)


def _one(transfer: Transfer, run: _Run) -> None:
    services = run.services
    with services.reading() as session:
        # Most rows of a list that overlaps another one end here, without a question to billing.
        if _match(session, transfer, run, is_owner=False).same is not None:
            run.report.known += 1
            return
    verdict = _judge(transfer, run)
    if run.file_id is None:
        with services.reading() as session:
            match = _match(session, transfer, run, is_owner=verdict.is_owner)
        _remember(transfer, match, run)
        _count(run.report, match, verdict)
        return
    with services.transaction() as session:
        lock_transfers(session)
        match = _match(session, transfer, run, is_owner=verdict.is_owner)
        if match.same is None:
            _write(session, transfer, match, verdict, run)
    _count(run.report, match, verdict)


def _match(session: Session, transfer: Transfer, run: _Run, *, is_owner: bool) -> Match:
    keys = _keys(transfer) if run.seen else ()
    seen = [row for key in keys for row in run.seen.get(key, ())]
    today = campus_date(run.services.clock())
    days = run.services.counter_rules.confirm_transfers_days
    found = candidates(session, transfer, today=today, confirm_days=days)
    known = (row for row in found if row.booking_id not in run.confirmed)
    return compare(
        transfer,
        [*known, *seen],
        is_owner=is_owner,
        today=today,
        confirm_days=days,
    )


def _count(report: Report, match: Match, verdict: _Verdict) -> None:
    if match.same is not None or match.confirms is not None:
        report.known += 1
    elif match.like is not None:
        report.queued += 1
    else:
        report.count(verdict.status)


def _judge(transfer: Transfer, run: _Run) -> _Verdict:
    """Decide by the row alone. Raises: Unavailable."""
    if not transfer.account_no or not transfer.name:
        verdict = _Verdict(BankStatus.RETURNING, ReturnReason.NO_NAME)
    else:
        verdict = _judge_payer(run.services, transfer, run.offers)
    if run.contested.concerns(transfer):
        # Not the owner's as far as a clerk's booking is concerned: that is not confirmed.
        return _Verdict(BankStatus.QUEUED, REVERSED)
    if transfer.day is not None and transfer.day < months_earlier(campus_date(run.services.clock()), 12):
        return _Verdict(BankStatus.QUEUED, OLD)
    return verdict


def _judge_payer(services: Services, transfer: Transfer, offers: Sequence[Offer]) -> _Verdict:
    fits = len(transfer.account_no) <= ACCOUNT_MAX and len(transfer.name) <= NAME_MAX
    is_owner = fits and services.billing.name_matches(transfer.account_no, transfer.name)
    try:
        check_price(offers, transfer.amount_fen)
    except AmountOutOfRange:
        return _Verdict(BankStatus.RETURNING, ReturnReason.AMOUNT, is_owner=is_owner)
    if not is_owner:
        was_owner = fits and services.billing.name_matches(transfer.account_no, transfer.name, closed=True)
        return _Verdict(BankStatus.QUEUED, CLOSED if was_owner else "mismatch")
    found = services.billing.find_account(transfer.account_no)
    return _Verdict(BankStatus.CREDITED, "match", found.masked_name, found.account_no, is_owner=True)


def _write(session: Session, transfer: Transfer, match: Match, verdict: _Verdict, run: _Run) -> None:
    """Write the row, and its booking where there is one, in this transaction."""
    now, clerk = run.services.clock(), run.actor.name
    status, reason = verdict.status, verdict.reason
    if match.confirms is not None:
        status, reason = BankStatus.CREDITED, "confirmed"
    elif match.why is not None:
        status, reason = BankStatus.QUEUED, REVERSED if verdict.reason == REVERSED else match.why
    line = BankLine(
        file_id=run.file_id,
        line_no=transfer.line_no,
        identity=transfer.identity,
        source=transfer.source,
        occurred_on=transfer.day,
        reference=transfer.reference,
        reference_key=reference_key(transfer.reference),
        amount_fen=transfer.amount_fen,
        account_no=transfer.account_no[:ACCOUNT_MAX],
        noted_name=transfer.name[:NAME_MAX],
        name_key=name_key(transfer.name),
        status=status,
        reason=reason,
        resembles_line_id=None if match.like is None else match.like.line_id,
        resembles_booking_id=None if match.like is None else match.like.clerks_booking_id,
        decided_by=clerk,
        decided_at=now,
    )
    if match.confirms is not None:
        line.booking_id = match.confirms.booking_id
    elif status == BankStatus.CREDITED:
        money = money_of(line, verdict.account_no)
        booked = book_order(session, money, clerk=clerk, masked_name=verdict.masked_name, now=now)
        line.booking_id = booked.booking.id
    elif status == BankStatus.RETURNING:
        money = money_of(line, line.account_no or None)
        booked = book_return(session, money, ReturnReason(reason), clerk=clerk, now=now)
        session.flush()  # the line refers to the booking
        line.booking_id = booked.booking.id
    session.add(line)


def _remember(transfer: Transfer, match: Match, run: _Run) -> None:
    """Keep what a dry run would have written for the rows below it."""
    if match.same is not None:
        return
    if match.confirms is not None and match.confirms.booking_id is not None:
        run.confirmed.add(match.confirms.booking_id)
    row = known_row(transfer, campus_date(run.services.clock()))
    for key in _keys(transfer):
        run.seen.setdefault(key, []).append(row)


def _keys(transfer: Transfer) -> tuple[str, ...]:
    """Where a dry run looks for rows that may be this one; as `candidates` does in the database."""
    number = reference_key(transfer.reference)[:15]
    payer = (
        f"{kind}:{text}:{transfer.amount_fen}"
        for kind, text in (("a", transfer.account_no), ("n", name_key(transfer.name)))
        if text
    )
    return (f"r:{number}", *payer)


def receipt_no_of(identity: str) -> str:
    """Return our receipt number of a transfer; a clerk's own receipts cannot have one like it."""
    return f"bank{hashlib.sha256(identity.encode()).hexdigest()[:28]}"


def money_of(line: BankLine, account_no: str | None) -> Money:
    """Return the money of a transfer as it is booked for this account, or for none."""
    return Money(
        receipt_no=receipt_no_of(line.identity),
        channel=Channel.BANK,
        way=Way.TRANSFER,
        reference=line.reference,
        amount_fen=line.amount_fen,
        account_no=account_no,
        transfer_key=f"list:{line.identity}"[:80],
        payer_key=line.account_no,
    )


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(READ_BYTES):
            digest.update(piece)
    return digest.hexdigest()


def _check_not_elsewhere(services: Services, digest: str, source: str, *, own: set[str]) -> None:
    """Raises: TableRefused - the same content was read as the list of another bank account."""
    query = (
        select(BankLine.source)
        .join(BankFile, BankFile.id == BankLine.file_id)
        .where(BankFile.sha256 == digest, BankLine.source.not_in({"", source, *own}))
        .limit(1)
    )
    with services.reading() as session:
        other = session.scalar(query)
    if other is not None:
        raise TableRefused(
            f"这份清单的内容与以前读过的一份完全相同，那次的本方账户是“{other}”，"
            f"这次是“{source or '未注明'}”；请核对 --source"
        )


def _open_file(services: Services, name: str, actor: Actor) -> int:
    with services.transaction() as session:
        insert = postgres_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
        row = (
            insert(BankFile)
            .values(sha256=name, imported_by=actor.name, started_at=services.clock())
            .on_conflict_do_nothing(index_elements=["sha256"])
        )
        session.execute(row)
        return session.scalars(select(BankFile.id).where(BankFile.sha256 == name)).one()


def _close_file(run: _Run) -> None:
    """Note the reading in the journal; a dry run as well: it tells which names match."""
    services, file_id, report = run.services, run.file_id, run.report
    now = services.clock()
    with services.transaction() as session:
        if file_id is not None:
            session.get_one(BankFile, file_id).finished_at = now
        journal.note(
            session,
            "bank-list" if file_id is not None else "bank-list-dry",
            order_no=None,
            actor=run.actor.name,
            now=now,
            credited=report.credited,
            queued=report.queued,
            returning=report.returning,
            known=report.known,
            faults=report.rejected,
        )
