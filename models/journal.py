"""What happened to money, by whom and why: append-only, and sealed into a hash chain.

Rows are written in the transaction they tell of. Sealing is a job of its own (`payments.audit.hash_chain`),
because a chain built by the writers would make every payment wait for every other.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, String, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, BigId

GENESIS = "0" * 64


class JournalRow(Base):
    """One fact. `what` is a short word (paid, credited, refund-approved, ...), `facts` ids and fen only."""

    __tablename__ = "journal"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    at: Mapped[datetime]
    what: Mapped[str] = mapped_column(String(32))
    order_no: Mapped[str | None] = mapped_column(String(32), index=True)
    actor: Mapped[str] = mapped_column(String(64))
    facts: Mapped[dict[str, Any]] = mapped_column(JSON)


class JournalSeal(Base):
    """The place of a journal row in the chain: `hash` covers the row and the seal before it.

    `key_id` names the key of the hash; None: a hash without a key, from before there was one.
    """

    __tablename__ = "journal_seal"

    position: Mapped[int] = mapped_column(BigId, primary_key=True, autoincrement=False)
    journal_id: Mapped[int] = mapped_column(ForeignKey("journal.id"), unique=True)
    hash: Mapped[str] = mapped_column(String(64))
    key_id: Mapped[str | None] = mapped_column(String(16))


def note(
    session: Session, what: str, *, order_no: str | None, actor: str, now: datetime, **facts: Any
) -> None:
    """Write one fact into the journal of this transaction; ids, states and fen only, never names."""
    session.add(JournalRow(at=now, what=what, order_no=order_no, actor=actor[:64], facts=facts))


def hash_of(row: JournalRow, before: str) -> str:
    """The SHA-256 of a row and the hash before it, over sorted JSON."""
    content = [row.id, row.at.isoformat(), row.what, row.order_no, row.actor, row.facts, before]
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def journal_of(session: Session, order_no: str) -> list[JournalRow]:
    """Everything noted about an order, oldest first."""
    return list(
        session.scalars(select(JournalRow).where(JournalRow.order_no == order_no).order_by(JournalRow.id))
    )
