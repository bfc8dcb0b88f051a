"""Alerts about traffic and money: each told once in its cycle, to those who want to be told."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import CheckConstraint, ForeignKey, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, BigId

LOW_BALANCE_FEN = 500


class AlertKind(StrEnum):
    """What happened to an account."""

    TRAFFIC_80 = "traffic_80"
    TRAFFIC_100 = "traffic_100"
    THROTTLED = "throttled"
    RESTORED = "restored"
    ENDING = "ending"
    LOW_BALANCE = "low_balance"


class Alert(Base):
    """It happened in this cycle (a lot, a month): the row is what keeps it from being told again."""

    __tablename__ = "alert"
    __table_args__ = (UniqueConstraint("account_no", "kind", "cycle"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_no: Mapped[str] = mapped_column(String(32))
    kind: Mapped[AlertKind] = mapped_column(String(16))
    cycle: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime] = mapped_column(index=True)


class AlertChoice(Base):
    """What a person has chosen; without a row alerts are on, with the usual threshold.

    `low_balance_fen`: below it the balance is low; 0 never.
    """

    __tablename__ = "alert_choice"
    __table_args__ = (CheckConstraint("low_balance_fen >= 0", name="threshold_not_negative"),)

    person_id: Mapped[int] = mapped_column(ForeignKey("person.id"), primary_key=True)
    wanted: Mapped[bool]
    low_balance_fen: Mapped[int]
    changed_at: Mapped[datetime]
