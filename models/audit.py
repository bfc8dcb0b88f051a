"""Checks of the books: runs, findings, held accounts, seals over the ledger, anchors of the hash chain."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, BigId

# A finding that names no account holds every account: which ones were touched is unknown.
EVERY_ACCOUNT = "*"
_OPEN = text("ended_at IS NULL")


class BookCheckRun(Base):
    """One run over all books; `finished_at` None: it is running, or was cut off."""

    __tablename__ = "book_check_run"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None] = mapped_column(index=True)
    failures: Mapped[int] = mapped_column(default=0)


class BookFinding(Base):
    """One thing that is wrong in the books, from the run that found it first to the first clean one.

    `subject` is the place (a journal row, an entry key, an account), `run_id` the run that saw it last.
    `accepted_at` is set when two operators released its holds: the same finding does not hold the
    account again.
    """

    __tablename__ = "book_finding"
    __table_args__ = (
        Index(
            "uq_book_finding_open",
            "check_name",
            "subject",
            unique=True,
            sqlite_where=_OPEN,
            postgresql_where=_OPEN,
        ),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    check_name: Mapped[str] = mapped_column(String(24))
    subject: Mapped[str] = mapped_column(String(100))
    detail: Mapped[str] = mapped_column(Text)
    found_at: Mapped[datetime]
    run_id: Mapped[int] = mapped_column(ForeignKey("book_check_run.id"))
    ended_at: Mapped[datetime | None]
    accepted_at: Mapped[datetime | None]


class AccountHold(Base):
    """Money of this account does not go out while this row is open; `account_no` may be EVERY_ACCOUNT.

    It ends by a clean check, or by two operators: `released_by` proposed it, `approved_by` agreed.
    """

    __tablename__ = "account_hold"
    __table_args__ = (
        Index("ix_account_hold_open", "account_no", sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("uq_account_hold_finding", "finding_id", "account_no", unique=True),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_no: Mapped[str] = mapped_column(String(32))
    finding_id: Mapped[int] = mapped_column(ForeignKey("book_finding.id"))
    reason: Mapped[str] = mapped_column(String(200))
    since: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    released_by: Mapped[str | None] = mapped_column(String(64))
    approved_by: Mapped[str | None] = mapped_column(String(64))
    evidence: Mapped[str | None] = mapped_column(Text)


class LedgerSeal(Base):
    """A run of ledger entries sealed as one: `hash` covers them, their postings and the seal before.

    It covers the ids above `after_id` up to `last_id`. Append-only.
    """

    __tablename__ = "ledger_seal"

    position: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    after_id: Mapped[int]
    last_id: Mapped[int]
    entries: Mapped[int]
    hash: Mapped[str] = mapped_column(String(64))
    key_id: Mapped[str | None] = mapped_column(String(16))
    sealed_at: Mapped[datetime]


class AuditAnchor(Base):
    """A head of both chains that was sent off this machine. Append-only; `line` is what was sent."""

    __tablename__ = "audit_anchor"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime]
    position: Mapped[int]
    line: Mapped[str] = mapped_column(Text)


class OpeningBaseline(Base):
    """The opening entries from before imports were recorded, counted by the migration; one row, or none."""

    __tablename__ = "opening_baseline"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    last_entry_id: Mapped[int]
    entries: Mapped[int]
    total_fen: Mapped[int]
    at: Mapped[datetime]
