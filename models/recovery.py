"""Verified backups, and recoveries: what has to be rebuilt after a backup was restored."""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import JSON, BigInteger, Date, String, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from models.base import Base, BigId
from models.db.state import StateMachine
from models.errors import Refused


class RecoveryStatus(StrEnum):
    """OPEN: nothing works but recovery. WATCHING: bills are missing, nothing is paid out until they came."""

    OPEN = "OPEN"
    WATCHING = "WATCHING"
    DONE = "DONE"
    SKIPPED = "SKIPPED"


class BackupRun(Base):
    """One backup whose files were read back and verified."""

    __tablename__ = "backup_run"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    backup_no: Mapped[str] = mapped_column(String(64), unique=True)
    started_at: Mapped[datetime]
    verified_at: Mapped[datetime]
    size_bytes: Mapped[int] = mapped_column(BigInteger)
    manifest_sha256: Mapped[str] = mapped_column(String(64))


class Recovery(Base):
    """One restored database; the events since `since` are missing in it.

    `read_until` is the last campus day whose bill was read. `result` counts what was rebuilt.
    """

    __tablename__ = "recovery"

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    backup_no: Mapped[str | None] = mapped_column(String(64))
    since: Mapped[datetime]
    opened_at: Mapped[datetime]
    status: Mapped[RecoveryStatus] = mapped_column(String(16), index=True)
    read_until: Mapped[date | None] = mapped_column(Date)
    result: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    done_by: Mapped[str | None] = mapped_column(String(64))
    skip_by: Mapped[str | None] = mapped_column(String(64))
    skip_reason: Mapped[str | None] = mapped_column(String(200))
    changed_at: Mapped[datetime]


RECOVERY_STATES = StateMachine(
    name="recovery",
    label="恢复",
    model=Recovery,
    states=RecoveryStatus,
    transitions={
        RecoveryStatus.OPEN: frozenset(
            {RecoveryStatus.WATCHING, RecoveryStatus.DONE, RecoveryStatus.SKIPPED}
        ),
        RecoveryStatus.WATCHING: frozenset({RecoveryStatus.DONE, RecoveryStatus.SKIPPED}),
    },
    number="id",
)


class UnderMaintenance(Refused):
    """A restored database is being recovered: nobody orders, buys or is paid out meanwhile."""

    status = 503
    code = "E-MAINT"

    def __init__(
        self, text: str = "系统维护中，正在恢复数据，请稍后再试。您已支付的款项不会丢失，请勿重复支付"
    ) -> None:
        super().__init__(text)


def is_recovering(session: Session) -> bool:
    """Return True while a restored database waits for `campusnet recover`."""
    query = select(Recovery.id).where(Recovery.status == RecoveryStatus.OPEN).limit(1)
    return session.scalar(query) is not None


def check_not_recovering(session: Session) -> None:
    """Return when orders and purchases may be made. Raises: UnderMaintenance."""
    if is_recovering(session):
        raise UnderMaintenance


def check_may_pay_out(session: Session) -> None:
    """Return when money may leave: also every bill since the backup was read. Raises: UnderMaintenance."""
    unfinished = (RecoveryStatus.OPEN, RecoveryStatus.WATCHING)
    query = select(Recovery.id).where(Recovery.status.in_(unfinished)).limit(1)
    if session.scalar(query) is not None:
        raise UnderMaintenance("系统维护中，正在恢复数据，余额暂不能换购或退费，请稍后再试")


def last_verified_at(session: Session) -> datetime | None:
    """Return when the newest verified backup was begun: what happened later is not in it."""
    return session.scalar(select(func.max(BackupRun.started_at)))
