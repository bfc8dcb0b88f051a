"""Transfers from a list of the bank: matched and credited, left to a person, or sent back.

Each transfer is known by the bank's number, so a list, or a row in two lists, counts once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from billing.interface import Offer
from models import journal
from models.counter import BankFile, BankLine, BankStatus, Channel, ReturnReason, Way, settle_line
from models.csv_rows import READ_BYTES, Row, read_rows
from models.errors import AmountOutOfRange, Refused
from models.money import fen_from, yuan
from payments.counter.desk import REFERENCE, find_person
from payments.counter.steps import (
    NAME_MAX,
    Booked,
    Money,
    ReceiptUsed,
    book_order,
    book_return,
    check_price,
    find_booking,
)
from payments.operators import named
from payments.services import Services

COLUMNS = {
    "reference": ("流水号", "交易流水号", "银行流水号", "reference"),
    "amount": ("金额", "收入金额", "贷方金额", "交易金额", "amount"),
    "account_no": ("学号", "账号", "校园网账号", "account_no"),
    "name": ("姓名", "付款人姓名", "name"),
}
NEEDED = ("reference", "amount", "account_no", "name")
FAULTS_MAX = 1000
ACCOUNT_MAX = 32


class NoSuchLine(Refused):
    """There is no queued transfer with this number."""

    status = 404
    code = "E-LINE"

    def __init__(self, text: str = "没有这笔待处理转账") -> None:
        super().__init__(text)


@dataclass(frozen=True)
class Transfer:
    """A usable row."""

    line_no: int
    reference: str
    amount_fen: int
    account_no: str
    name: str


@dataclass
class Report:
    """How many rows went where; `known` were there before. `faults` are rows nothing was done with."""

    credited: int = 0
    queued: int = 0
    returning: int = 0
    known: int = 0
    faults: list[str] = field(default_factory=list)

    def count(self, status: BankStatus) -> None:
        """One more."""
        self.credited += status == BankStatus.CREDITED
        self.queued += status == BankStatus.QUEUED
        self.returning += status == BankStatus.RETURNING

    def fault(self, line_no: int, what: str) -> None:
        """Nothing was done with a row."""
        if len(self.faults) < FAULTS_MAX:
            self.faults.append(f"第 {line_no} 行：{what}")


@dataclass(frozen=True)
class _Run:
    """One reading of a list: `file_id` is None for a dry run."""

    offers: Sequence[Offer]
    file_id: int | None
    actor: str
    report: Report


@dataclass(frozen=True)
class _Verdict:
    status: BankStatus
    reason: str
    masked_name: str = ""


def read_list(services: Services, path: Path, *, actor: str, dry_run: bool = False) -> Report:
    """Book every transfer of a list; again, or after it was cut off, books only what is not there yet.

    Each row is a transaction of its own. A row without the bank's number or a usable amount is only
    reported: nothing could keep it from being booked twice.
    Raises: Malformed - no such table; Unavailable - billing cannot be asked; what was booked stays.
    """
    actor, report = named(actor), Report()
    file_id = None if dry_run else _open_file(services, path, actor)
    run = _Run(services.billing.catalogue(), file_id, actor, report)
    for transfer in _transfers(path, report):
        _one(services, transfer, run)
    _close_file(services, run)
    services.wake()
    return report


def queue(services: Services, *, after_id: int = 0, limit: int = 50) -> list[BankLine]:
    """Transfers that wait for a person, oldest first; `after_id` continues the list."""
    query = select(BankLine).where(BankLine.status == BankStatus.QUEUED, BankLine.id > after_id)
    with services.reading() as session:
        return list(session.scalars(query.order_by(BankLine.id).limit(limit)))


def assign(services: Services, *, line_id: int, account_no: str, name: str, actor: str) -> Booked:
    """Credit a queued transfer to the account that a person found; number and name must match.

    Raises: NoSuchLine; NameMismatch; LimitReached; IllegalTransition - decided meanwhile; Unavailable.
    """
    actor = named(actor)
    person = find_person(services, clerk=actor, account_no=account_no, name=name)
    account_no, masked_name = person.account_no, person.masked_name
    now = services.clock()
    with _booking(services) as session:
        line = _queued(session, line_id)
        booked = book_order(session, _money(line, account_no), clerk=actor, masked_name=masked_name, now=now)
        settle_line(session, line, BankStatus.CREDITED, booking_id=booked.booking.id, actor=actor, now=now)
    services.wake()
    return booked


def send_back(services: Services, *, line_id: int, actor: str) -> Booked:
    """Nobody knows whose a queued transfer is: it goes back. Raises: NoSuchLine, IllegalTransition."""
    actor, now = named(actor), services.clock()
    with _booking(services) as session:
        line = _queued(session, line_id)
        money = _money(line, line.account_no or None)
        booked = book_return(session, money, ReturnReason.DECIDED, clerk=actor, now=now)
        session.flush()  # the line refers to the booking
        settle_line(session, line, BankStatus.RETURNING, booking_id=booked.booking.id, actor=actor, now=now)
    return booked


def accept_booked(services: Services, *, line_id: int, actor: str) -> None:
    """What a clerk has booked of a queued transfer is right, whatever the list says.

    Raises: NoSuchLine; Refused - no clerk booked it.
    """
    actor, now = named(actor), services.clock()
    with services.transaction() as session:
        line = _queued(session, line_id)
        found = find_booking(session, receipt_no=receipt_no_of(line.reference), reference=line.reference)
        if found is None:
            raise Refused("窗口没有登记过这笔转账")
        settle_line(session, line, BankStatus.CREDITED, booking_id=found.booking.id, actor=actor, now=now)
        journal.note(
            session,
            "bank-accepted",
            order_no=None if found.order is None else found.order.order_no,
            actor=actor,
            now=now,
            receipt_no=found.booking.receipt_no,
            amount_fen=line.amount_fen,
            booked_fen=found.booking.amount_fen,
        )


@contextmanager
def _booking(services: Services) -> Iterator[Session]:
    """A transaction that books a transfer. Raises: ReceiptUsed - a clerk booked it already."""
    try:
        with services.transaction() as session:
            yield session
    except IntegrityError:
        raise ReceiptUsed("窗口已登记过这笔转账，请先核对") from None


def _transfers(path: Path, report: Report) -> Iterator[Transfer]:
    for row in read_rows(path, COLUMNS, needed=NEEDED):
        amount_fen = fen_from(row["amount"])
        fault = _fault(row, amount_fen)
        if fault:
            report.fault(row.line_no, fault)
            continue
        yield Transfer(row.line_no, row["reference"], amount_fen or 0, row["account_no"], row["name"])


def _fault(row: Row, amount_fen: int | None) -> str:
    if REFERENCE.fullmatch(row["reference"]) is None:
        return "缺少银行流水号，或流水号格式不对"
    if not amount_fen:
        return "金额不是正数"
    if not (row["account_no"] + row["name"] + "-").isprintable():
        return "学号或姓名含有不可见字符"
    return ""


def _one(services: Services, transfer: Transfer, run: _Run) -> None:
    with services.reading() as session:
        known_fen = _known_fen(session, transfer)
        booked = find_booking(
            session, receipt_no=receipt_no_of(transfer.reference), reference=transfer.reference
        )
    if known_fen not in (None, transfer.amount_fen):
        run.report.fault(transfer.line_no, f"流水号已用于另一笔 {yuan(known_fen)} 元的转账")
        return
    if known_fen is not None or (booked is not None and booked.booking.amount_fen == transfer.amount_fen):
        run.report.known += 1
        return
    # A clerk booked this transfer with another amount: somebody has to look.
    verdict = _Verdict(BankStatus.QUEUED, "booked") if booked else _judge(services, transfer, run.offers)
    if run.file_id is not None and not _write(services, transfer, verdict, run.file_id, run.actor):
        run.report.known += 1
        return
    run.report.count(verdict.status)


def _known_fen(session: Session, transfer: Transfer) -> int | None:
    """The amount of the transfer that has this number already."""
    return session.scalar(select(BankLine.amount_fen).where(BankLine.reference == transfer.reference))


def _judge(services: Services, transfer: Transfer, offers: Sequence[Offer]) -> _Verdict:
    if not transfer.account_no or not transfer.name:
        return _Verdict(BankStatus.RETURNING, ReturnReason.NO_NAME)
    try:
        check_price(offers, transfer.amount_fen)
    except AmountOutOfRange:
        return _Verdict(BankStatus.RETURNING, ReturnReason.AMOUNT)
    fits = len(transfer.account_no) <= ACCOUNT_MAX and len(transfer.name) <= NAME_MAX
    if not fits or not services.billing.name_matches(transfer.account_no, transfer.name):
        return _Verdict(BankStatus.QUEUED, "mismatch")
    found = services.billing.find_account(transfer.account_no)
    return _Verdict(BankStatus.CREDITED, "match", found.masked_name)


def _write(services: Services, transfer: Transfer, verdict: _Verdict, file_id: int, actor: str) -> bool:
    """Book the row and write its line in one transaction; false when somebody else did it meanwhile."""
    now = services.clock()
    line = BankLine(
        file_id=file_id,
        line_no=transfer.line_no,
        reference=transfer.reference,
        amount_fen=transfer.amount_fen,
        account_no=transfer.account_no[:ACCOUNT_MAX],
        noted_name=transfer.name[:NAME_MAX],
        status=verdict.status,
        reason=verdict.reason,
        decided_by=actor,
        decided_at=now,
    )
    try:
        with services.transaction() as session:
            if verdict.status == BankStatus.CREDITED:
                money = _money(line, line.account_no)
                booked = book_order(session, money, clerk=actor, masked_name=verdict.masked_name, now=now)
                line.booking_id = booked.booking.id
            elif verdict.status == BankStatus.RETURNING:
                money, reason = _money(line, line.account_no or None), ReturnReason(verdict.reason)
                booked = book_return(session, money, reason, clerk=actor, now=now)
                session.flush()  # the line refers to the booking
                line.booking_id = booked.booking.id
            session.add(line)
    except IntegrityError:
        return False
    return True


def receipt_no_of(reference: str) -> str:
    """Our receipt number of a transfer; a clerk's own receipts cannot have one like it."""
    return f"bank{hashlib.sha256(reference.encode()).hexdigest()[:28]}"


def _money(line: BankLine, account_no: str | None) -> Money:
    return Money(
        receipt_no_of(line.reference), Channel.BANK, Way.TRANSFER, line.reference, line.amount_fen, account_no
    )


def _queued(session: Session, line_id: int) -> BankLine:
    line = session.get(BankLine, line_id, with_for_update=True)
    if line is None or line.status != BankStatus.QUEUED:
        raise NoSuchLine
    return line


def _open_file(services: Services, path: Path, actor: str) -> int:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(READ_BYTES):
            digest.update(piece)
    name = digest.hexdigest()
    with services.transaction() as session:
        insert = postgres_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
        session.execute(
            insert(BankFile)
            .values(sha256=name, imported_by=actor, started_at=services.clock())
            .on_conflict_do_nothing(index_elements=["sha256"])
        )
        return session.scalars(select(BankFile.id).where(BankFile.sha256 == name)).one()


def _close_file(services: Services, run: _Run) -> None:
    """A dry run is noted as well: it tells which names match."""
    now, file_id, report = services.clock(), run.file_id, run.report
    with services.transaction() as session:
        if file_id is not None:
            session.get_one(BankFile, file_id).finished_at = now
        journal.note(
            session,
            "bank-list" if file_id is not None else "bank-list-dry",
            order_no=None,
            actor=run.actor,
            now=now,
            credited=report.credited,
            queued=report.queued,
            returning=report.returning,
            known=report.known,
            faults=len(report.faults),
        )
