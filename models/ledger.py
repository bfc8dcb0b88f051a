"""Accounts and the money ledger of the embedded billing engine: append-only, each entry sums to zero."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, BigId


class Account(Base):
    """A campus network account. `balance_fen` caches the sum of its postings, in the same commit.

    `kind` is the user group that policies refer to (undergraduate, staff, ...).
    """

    __tablename__ = "account"
    __table_args__ = (
        CheckConstraint("balance_fen >= 0", name="balance_not_negative"),
        # Account numbers are found in any case of their letters.
        Index("ix_account_lower", text("lower(account_no)")),
    )

    account_no: Mapped[str] = mapped_column(String(32), primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(32))
    department: Mapped[str] = mapped_column(String(64), default="")
    active: Mapped[bool] = mapped_column(default=True)
    balance_fen: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime]


class Entry(Base):
    """One business event in money.

    `key` makes a repetition find the first one; `corrects` names a reversed entry.
    """

    __tablename__ = "ledger_entry"
    # Reconciliation reads one day of entries.
    __table_args__ = (Index("ix_ledger_entry_at", "at"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    key: Mapped[str] = mapped_column(String(80), unique=True)
    kind: Mapped[str] = mapped_column(String(32))
    memo: Mapped[str] = mapped_column(String(200), default="")
    corrects: Mapped[int | None] = mapped_column(ForeignKey("ledger_entry.id"))
    at: Mapped[datetime]


class Posting(Base):
    """One leg of an entry: `amount_fen` onto (+) or off (-) a book.

    Books are `account:<account_no>`, `clearing:payments`, `income:packages`, ...
    The legs of one entry sum to zero; a student's balance is the sum of the account's book.
    Entries and postings are never changed or deleted: triggers of the first migration refuse it.
    """

    __tablename__ = "ledger_posting"
    __table_args__ = (
        CheckConstraint("amount_fen <> 0", name="amount_not_zero"),
        # With the amount in it: a balance at any time is summed without a look at the rows.
        Index("ix_ledger_posting_book_id_amount", "book", "id", "amount_fen"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    entry_id: Mapped[int] = mapped_column(ForeignKey("ledger_entry.id"), index=True)
    book: Mapped[str] = mapped_column(String(64))
    amount_fen: Mapped[int]
