"""Closing an account: requested by one operator, approved by another."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import String
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, BigId
from models.db.state import StateMachine, guarded_move


class ClosingStatus(StrEnum):
    """DONE: billing takes no more money for the account."""

    REQUESTED = "REQUESTED"
    DONE = "DONE"
    REJECTED = "REJECTED"


class AccountClosing(Base):
    """One request. `open_key` is the account while the request waits, so that there is one at a time."""

    __tablename__ = "account_closing"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    open_key: Mapped[str | None] = mapped_column(String(32), unique=True)
    account_no: Mapped[str] = mapped_column(String(32), index=True)
    status: Mapped[ClosingStatus] = mapped_column(String(16))
    requested_by: Mapped[str] = mapped_column(String(64))
    decided_by: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime]
    changed_at: Mapped[datetime]


CLOSING_STATES = StateMachine(
    name="account_closing",
    label="销户申请",
    model=AccountClosing,
    states=ClosingStatus,
    transitions={ClosingStatus.REQUESTED: frozenset({ClosingStatus.DONE, ClosingStatus.REJECTED})},
    number="account_no",
    refusal="这个销户申请已经处理",
)


def decide_closing(
    session: Session, closing: AccountClosing, new: ClosingStatus, *, actor: str, now: datetime
) -> None:
    """Record what became of a request. Raises: IllegalTransition - decided before."""
    guarded_move(
        session,
        CLOSING_STATES,
        closing,
        new,
        cause=actor,
        now=now,
        open_key=None,
        decided_by=actor,
        changed_at=now,
    )
