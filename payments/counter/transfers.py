"""The identity of a transfer, and whether two records of one are the same money.

A transfer is known by the bank account it came in on, its date, number, amount and payer. Only what is
the same in all five is the same transfer. What may be the same money under another spelling or number is
never booked by itself and never dropped: it goes to the queue, or the clerk is refused.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import ColumnElement, Select, or_, select, text
from sqlalchemy.orm import InstrumentedAttribute, Session

from models.clock import campus_date
from models.counter import BankLine, Channel, CounterBooking, Way
from models.values.names import normal_name
from models.values.tables.errors import CellError
from models.values.tables.text import clean, excerpt, half_width

# Transfers of an unknown date may have happened this long before they were read or booked.
NEARBY = timedelta(days=31)
# In another list, the same payer and amount fewer days apart may be the same money.
BETWEEN_LISTS = timedelta(days=3)
# Identities of transfers that were read when the number alone was one (migration 0013).
OLD_IDENTITY = "reference:"
# How the unique keys of transfers begin that a clerk booked since then.
BY_CLERK = "clerk:"
KEY_MAX = 64
ACCOUNT_MAX = 32
# A spreadsheet keeps this many digits of a number and writes zeros for the rest.
SPREADSHEET_DIGITS = 15
REFERENCE = re.compile(r"[0-9A-Za-z_-]{4,64}", re.ASCII)
_AS_FORMULA = re.compile(r'="([^"]*)"')
_WHOLE = re.compile(r"([0-9]+)\.0+", re.ASCII)
_SCIENTIFIC = re.compile(r"[0-9]+(?:\.[0-9]*)?E\+[0-9]+", re.ASCII | re.IGNORECASE)
_APOSTROPHES = "'`\N{RIGHT SINGLE QUOTATION MARK}\N{LEFT SINGLE QUOTATION MARK}"
_UNSEEN = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp"})
# An arbitrary constant: one transaction at a time compares and books transfers.
_LOCK = 4_657_013


class Likeness(StrEnum):
    """Why a transfer waits for an operator: the values are reasons of `bank_line`."""

    NUMBER = "number"
    SPELLING = "spelling"
    DOUBLE = "double"
    BOOKED = "booked"


@dataclass(frozen=True)
class Transfer:
    """Incoming money as a bank list tells it; `day` is None where the list has no date.

    `occurrence` counts the rows of one file that are the same in everything because a spreadsheet has
    rounded their numbers; elsewhere it is 1.
    """

    line_no: int
    source: str
    day: date | None
    reference: str
    amount_fen: int
    account_no: str
    name: str
    occurrence: int = 1

    @property
    def identity(self) -> str:
        """A digest of what makes two rows the same transfer."""
        day = self.day.isoformat() if self.day else ""
        payer = (self.account_no, name_key(self.name))
        parts = [self.source, day, self.reference, str(self.amount_fen), *payer]
        if self.occurrence > 1:
            parts.append(str(self.occurrence))
        return hashlib.sha256("\x1f".join(parts).encode("utf-8", "replace")).hexdigest()

    def as_occurrence(self, number: int) -> Transfer:
        """Return the n-th of several rows that are the same in everything."""
        return replace(self, occurrence=number)


@dataclass(frozen=True)
class Known:
    """A transfer that is on record, from a list or from a clerk (`booking_id` only)."""

    line_id: int | None
    booking_id: int | None
    source: str
    day: date | None
    seen_on: date
    reference: str
    amount_fen: int
    account_no: str
    name_key: str
    identity: str
    file_id: int | None

    @property
    def is_clerks(self) -> bool:
        """True for a clerk's booking that no list has confirmed."""
        return self.clerks_booking_id is not None

    @property
    def clerks_booking_id(self) -> int | None:
        """The booking, if a clerk made it and no list has confirmed it."""
        return self.booking_id if self.line_id is None else None


@dataclass(frozen=True)
class Match:
    """What a transfer is to what is on record: the same, a clerk's booking it confirms, or alike."""

    same: Known | None = None
    confirms: Known | None = None
    like: Known | None = None
    why: Likeness | None = None


def name_key(name: str) -> str:
    """Return a name as transfers are compared and kept."""
    return normal_name(name)[:KEY_MAX]


def reference_key(reference: str) -> str:
    """Return what is left of a bank's number however it is written: no case, width, hyphens, zeros ahead."""
    plain = unicodedata.normalize("NFKC", reference).casefold()
    return ("".join(c for c in plain if c.isalnum()).lstrip("0") or "0")[:KEY_MAX]


def parse_reference(cell: str) -> str:
    """Return the bank's number in a cell or as it was typed, unwrapped from what spreadsheets do to it.

    Raises:
        CellError: none, one that lost digits, or characters that no bank uses.
    """
    text = clean(half_width(cell))
    if wrapped := _AS_FORMULA.fullmatch(text):
        text = wrapped[1]
    text = "".join(c for c in text.lstrip(_APOSTROPHES) if unicodedata.category(c) not in _UNSEEN)
    if whole := _WHOLE.fullmatch(text):
        text = whole[1]
    if not text:
        raise CellError("缺少银行流水号")
    if _SCIENTIFIC.fullmatch(text):
        raise CellError(f"流水号“{excerpt(cell)}”被表格软件写成了科学计数法，请按文本格式重新导出")
    if REFERENCE.fullmatch(text) is None:
        raise CellError(f"流水号“{excerpt(cell)}”不是 4 至 64 位数字或字母")
    return text


def lock_transfers(session: Session) -> None:
    """Let one transaction at a time compare transfers and book them; it ends with the transaction."""
    # SQLite has one writer at a time already.
    if session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})


def compare(
    transfer: Transfer,
    known: Iterable[Known],
    *,
    is_owner: bool,
    today: date,
    confirm_days: int,
    file_id: int | None,
) -> Match:
    """Return what a row of a list is to the transfers on record.

    Args:
        known: what `candidates` found, and what a dry run has seen in the same file.
        is_owner: the name in the row is that of the account's owner, by billing.
        confirm_days: how far apart a clerk's booking and the same money under another number may be.
        file_id: of the list that is read, None where a dry run is its first reading.
    """
    rows = list(known)
    for row in rows:
        if row.identity == transfer.identity or _same_as_old(transfer, row):
            return Match(same=row)
    for row in rows:
        if row.is_clerks and is_owner and _confirms(transfer, row, today):
            return Match(confirms=row)
    alike = [(row, _likeness(transfer, row, today, confirm_days, file_id)) for row in rows]
    matches = [Match(like=row, why=why) for row, why in alike if why is not None]
    return min(matches, key=lambda match: _distance(transfer, match), default=Match())


_ORDER: list[Likeness | None] = [Likeness.NUMBER, Likeness.BOOKED, Likeness.SPELLING, Likeness.DOUBLE]


def _distance(transfer: Transfer, match: Match) -> tuple[bool, int]:
    """Return how far a record is from the transfer: the same payer and amount come first."""
    row = match.like
    same_money = row is not None and _same_payer(transfer, row) and row.amount_fen == transfer.amount_fen
    return not same_money, _ORDER.index(match.why)


def _same_as_old(transfer: Transfer, row: Known) -> bool:
    """Return True for a transfer that was read when its date was not kept, and not after that."""
    return (
        row.identity.startswith(OLD_IDENTITY)
        and row.line_id is not None
        and (transfer.day is None or transfer.day <= row.seen_on)
        and (transfer.reference, transfer.amount_fen) == (row.reference, row.amount_fen)
        and (transfer.account_no, name_key(transfer.name)) == (row.account_no, row.name_key)
    )


def _confirms(transfer: Transfer, row: Known, today: date) -> bool:
    day = transfer.day or today
    return (
        (transfer.reference, transfer.amount_fen) == (row.reference, row.amount_fen)
        and transfer.account_no == row.account_no
        and abs(day - row.seen_on) <= NEARBY
    )


def _likeness(
    transfer: Transfer, row: Known, today: date, confirm_days: int, file_id: int | None
) -> Likeness | None:
    payer = _same_payer(transfer, row)
    money = transfer.amount_fen == row.amount_fen and payer
    if same_number(transfer.reference, row.reference):
        if transfer.source and row.source and transfer.source != row.source and not payer:
            # Two bank accounts number their transfers on their own.
            return None
        if row.is_clerks:
            return Likeness.BOOKED
        return Likeness.NUMBER if transfer.reference == row.reference else Likeness.SPELLING
    if row.is_clerks:
        # A clerk knows the account and types no date; a row without an account could be that money.
        near = abs((transfer.day or today) - row.seen_on) <= timedelta(days=confirm_days)
        alike = transfer.amount_fen == row.amount_fen and transfer.account_no in ("", row.account_no)
        return Likeness.BOOKED if near and alike else None
    same_day = _same_day(transfer.day, today, row)
    return Likeness.DOUBLE if money and (same_day or _next_to(transfer, row, file_id)) else None


def _next_to(transfer: Transfer, row: Known, file_id: int | None) -> bool:
    """Return True if another list has a row of about the same day; one list has each transfer once."""
    if row.file_id == file_id or transfer.day is None or row.day is None:
        return False
    if (transfer.account_no, name_key(transfer.name)) != (row.account_no, row.name_key):
        return False
    return abs(transfer.day - row.day) < BETWEEN_LISTS


def _same_payer(transfer: Transfer, row: Known) -> bool:
    if transfer.account_no and row.account_no:
        return transfer.account_no == row.account_no
    key = name_key(transfer.name)
    return bool(key) and key == row.name_key


def _same_day(day: date | None, today: date, row: Known) -> bool:
    if day is not None and row.day is not None:
        return day == row.day
    return abs((day or today) - (row.day or row.seen_on)) <= NEARBY


def same_number(one: str, other: str) -> bool:
    """Return True if two numbers of a bank may be the same one, written or kept differently."""
    first, second = reference_key(one), reference_key(other)
    if first == second:
        return True
    if len(first) != len(second) or len(first) <= SPREADSHEET_DIGITS:
        return False
    if not (first.isdecimal() and second.isdecimal()):
        return False
    return first[:SPREADSHEET_DIGITS] == second[:SPREADSHEET_DIGITS] and (
        is_rounded(first) or is_rounded(second)
    )


def is_rounded(key: str) -> bool:
    """Return True if a spreadsheet may have replaced the end of this number by zeros."""
    return key.isdecimal() and not key[SPREADSHEET_DIGITS:].strip("0") and len(key) > SPREADSHEET_DIGITS


def candidates(session: Session, transfer: Transfer, *, today: date, confirm_days: int) -> Iterator[Known]:
    """Yield the transfers on record that could be this one: by number, then by payer and amount."""
    payer = [BankLine.account_no == transfer.account_no[:ACCOUNT_MAX]] if transfer.account_no else []
    key = name_key(transfer.name)
    if key:
        payer.append(BankLine.name_key == key)
    alike = [_by_number(BankLine.reference_key, transfer.reference)]
    if payer:
        alike.append(or_(*payer) & (BankLine.amount_fen == transfer.amount_fen))
    for condition in (BankLine.identity == transfer.identity, *alike):
        for line in session.scalars(select(BankLine).where(condition).order_by(BankLine.id)):
            yield known_line(line)
    day, near = transfer.day or today, timedelta(days=confirm_days)
    money = (CounterBooking.amount_fen == transfer.amount_fen) & CounterBooking.business_on.between(
        day - near, day + near
    )
    if transfer.account_no:
        money = money & (CounterBooking.payer_key == transfer.account_no[:ACCOUNT_MAX])
    for condition in (_by_number(CounterBooking.reference_key, transfer.reference), money):
        for booking in session.scalars(unconfirmed_bookings().where(condition)):
            yield known_booking(booking)


def booked_before(
    session: Session, *, reference: str, payer_key: str, amount_fen: int, on: date, confirm_days: int
) -> Known | None:
    """Return the transfer on record that a clerk may be booking once more, or None."""
    for known in _with_number(session, reference):
        if same_number(reference, known.reference):
            return known
    near = timedelta(days=confirm_days)
    line_of = (BankLine.account_no == payer_key) & (BankLine.amount_fen == amount_fen)
    lines = session.scalars(select(BankLine).where(line_of).order_by(BankLine.id))
    booking_of = (CounterBooking.payer_key == payer_key) & (CounterBooking.amount_fen == amount_fen)
    bookings = session.scalars(unconfirmed_bookings().where(booking_of))
    for known in (*map(known_line, lines), *map(known_booking, bookings)):
        if abs((known.day or known.seen_on) - on) <= near:
            return known
    return None


def unconfirmed_bookings() -> Select[CounterBooking]:
    """Select the transfers booked by clerks that no row of a bank list belongs to, oldest first."""
    confirmed = select(BankLine.id).where(BankLine.booking_id == CounterBooking.id).exists()
    return (
        select(CounterBooking)
        .where(CounterBooking.channel == Channel.COUNTER, CounterBooking.way == Way.TRANSFER, ~confirmed)
        .order_by(CounterBooking.id)
    )


def known_line(line: BankLine) -> Known:
    """Return a row of an earlier list as it is compared."""
    return Known(
        line_id=line.id,
        booking_id=line.booking_id,
        source=line.source,
        day=line.occurred_on,
        seen_on=campus_date(line.decided_at),
        reference=line.reference,
        amount_fen=line.amount_fen,
        account_no=line.account_no,
        name_key=line.name_key,
        identity=line.identity,
        file_id=line.file_id,
    )


def known_booking(booking: CounterBooking) -> Known:
    """Return a clerk's booking as it is compared; a clerk types neither date nor bank account."""
    return Known(
        line_id=None,
        booking_id=booking.id,
        source="",
        day=None,
        seen_on=booking.business_on,
        reference=booking.reference or "",
        amount_fen=booking.amount_fen,
        account_no=booking.payer_key or "",
        name_key="",
        identity="",
        file_id=None,
    )


def _with_number(session: Session, reference: str) -> Iterator[Known]:
    lines = select(BankLine).where(_by_number(BankLine.reference_key, reference)).order_by(BankLine.id)
    yield from map(known_line, session.scalars(lines))
    clerks = select(CounterBooking).where(
        CounterBooking.channel == Channel.COUNTER, _by_number(CounterBooking.reference_key, reference)
    )
    yield from map(known_booking, session.scalars(clerks.order_by(CounterBooking.id)))


def _by_number(column: InstrumentedAttribute[Any], reference: str) -> ColumnElement[bool]:
    """Return the condition for numbers that `same_number` might call the same."""
    key = reference_key(reference)
    if not key.isdecimal() or len(key) <= SPREADSHEET_DIGITS:
        return column == key
    kept, lost = key[:SPREADSHEET_DIGITS], len(key) - SPREADSHEET_DIGITS
    if is_rounded(key):
        return column.between(f"{kept}{'0' * lost}", f"{kept}{'9' * lost}")
    return column.in_((key, f"{kept}{'0' * lost}"))
