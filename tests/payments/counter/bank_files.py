"""Bank lists as files, read by the counter of a test, and what is on record afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from sqlalchemy import select

from models.counter import BankLine, BankStatus, ReturnItem
from models.order import Order
from models.review import ReviewItem, ReviewKind
from models.values.actor import Actor
from payments.counter import bank_list
from payments.counter.bank_list import Report
from tests.payments.counter.till import LI, WANG, Till

HEADER = "交易日期,流水号,金额,学号,姓名"
CLERK, SECOND, THIRD = Actor("anna"), Actor("bert"), Actor("clara")


def li(reference: str, *, day: str = "2026-03-10", amount: str = "20.00") -> str:
    """A row in which LI paid."""
    return f"{day},{reference},{amount},{LI.account_no},{LI.name}"


def wang(reference: str, *, day: str = "2026-03-10", amount: str = "20.00") -> str:
    """A row in which WANG paid."""
    return f"{day},{reference},{amount},{WANG.account_no},{WANG.name}"


def write(folder: Path, rows: Sequence[str], *, header: str = HEADER, name: str = "list.csv") -> Path:
    """Write a list in UTF-8."""
    path = folder / name
    path.write_bytes("\r\n".join([header, *rows, ""]).encode())
    return path


def read(till: Till, path: Path, *, source: str = "", dry_run: bool = False) -> Report:
    """Read a list and deliver what it credited."""
    report = bank_list.read_list(till.services, path, actor=SECOND, source=source, dry_run=dry_run)
    till.work()
    return report


def read_rows(till: Till, folder: Path, *rows: str, header: str = HEADER, source: str = "") -> Report:
    """Write and read a list of these rows."""
    return read(till, write(folder, rows, header=header), source=source)


def lines(till: Till, status: BankStatus | None = None) -> list[BankLine]:
    """The transfers on record, oldest first."""
    with till.database.reading() as session:
        found = list(session.scalars(select(BankLine).order_by(BankLine.id)))
    return [line for line in found if status is None or line.status == status]


def reasons(till: Till) -> list[str]:
    """Why the queued transfers wait, oldest first."""
    return [line.reason for line in lines(till, BankStatus.QUEUED)]


def balances(till: Till) -> tuple[int, int]:
    """What LI and WANG have."""
    return till.balance_fen(), till.balance_fen(WANG.account_no)


def orders(till: Till) -> list[tuple[str, int]]:
    """Account and amount of every order, oldest first."""
    with till.database.reading() as session:
        found = session.scalars(select(Order).order_by(Order.id))
        return [(order.account_no, order.amount_fen) for order in found]


def owed(till: Till) -> list[tuple[str | None, int]]:
    """Number and amount of everything that goes back, oldest first."""
    with till.database.reading() as session:
        found = session.scalars(select(ReturnItem).order_by(ReturnItem.id))
        return [(item.reference, item.amount_fen) for item in found]


def questions(till: Till, kind: ReviewKind) -> list[ReviewItem]:
    """The review items of this kind."""
    with till.database.reading() as session:
        return list(
            session.scalars(select(ReviewItem).where(ReviewItem.kind == kind).order_by(ReviewItem.id))
        )
