"""Daily reconciliation: what was compared, what differed, who signed it."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, Date, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, BigId
from models.db.state import StateMachine


class ReconStatus(StrEnum):
    """SIGNED locks the day.

    HALF_SIGNED: one operator signed although questions are open; another one has to sign as well.
    NO_BILL: the day was never reconciled and the platform does not keep its bill any longer.
    """

    RUNNING = "RUNNING"
    DONE = "DONE"
    SIGNED = "SIGNED"
    HALF_SIGNED = "HALF_SIGNED"
    NO_BILL = "NO_BILL"


FINISHED = (ReconStatus.DONE, ReconStatus.HALF_SIGNED, ReconStatus.SIGNED)


class ReconRun(Base):
    """One campus day, one kind of bill; run again, it replaces its result until it is signed.

    `first_signed_by` is the first of two signatures under a day with open questions.
    `totals` in fen: what the bill's own last line says, what we summed, ours, billing's.
    """

    __tablename__ = "recon_run"
    __table_args__ = (UniqueConstraint("bill_on", "kind"),)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    bill_on: Mapped[date] = mapped_column(Date)
    kind: Mapped[str] = mapped_column(String(16))
    status: Mapped[ReconStatus] = mapped_column(String(16))
    bill_sha1: Mapped[str | None] = mapped_column(String(40))
    totals: Mapped[dict[str, Any]] = mapped_column(JSON)
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    first_signed_by: Mapped[str | None] = mapped_column(String(64))
    first_signed_at: Mapped[datetime | None]
    signed_by: Mapped[str | None] = mapped_column(String(64))
    signed_at: Mapped[datetime | None]


RECON_STATES = StateMachine(
    name="recon_run",
    label="对账",
    model=ReconRun,
    states=ReconStatus,
    transitions={
        # To RUNNING: run again. The result and a first signature under it are replaced.
        ReconStatus.RUNNING: frozenset({ReconStatus.RUNNING, ReconStatus.DONE, ReconStatus.NO_BILL}),
        ReconStatus.DONE: frozenset({ReconStatus.RUNNING, ReconStatus.HALF_SIGNED, ReconStatus.SIGNED}),
        ReconStatus.HALF_SIGNED: frozenset({ReconStatus.RUNNING, ReconStatus.SIGNED}),
        # A bill that was downloaded by hand.
        ReconStatus.NO_BILL: frozenset({ReconStatus.RUNNING}),
    },
    number="bill_on",
)


class Difference(Base):
    """One finding of a run. `kind` is a row of the matrix; `action` what was done about it."""

    __tablename__ = "recon_difference"
    __table_args__ = (
        UniqueConstraint("run_id", "kind", "key"),
        Index("ix_recon_difference_run_kind", "run_id", "kind"),
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    run_id: Mapped[int] = mapped_column(ForeignKey("recon_run.id"))
    kind: Mapped[str] = mapped_column(String(32))
    key: Mapped[str] = mapped_column(String(80))
    order_no: Mapped[str | None] = mapped_column(String(32))
    amount_fen: Mapped[int | None]
    facts: Mapped[dict[str, Any]] = mapped_column(JSON)
    action: Mapped[str] = mapped_column(String(32))
