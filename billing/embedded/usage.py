"""Traffic as it was used: written per campus day, taken from the running lots in their order."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from sqlalchemy import case, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from billing.embedded.quota import spread
from billing.interface import DayUsage
from models.clock import campus_date
from models.package import DailyUsage, LotKind, TrafficLot


def record_usage(session: Session, account_no: str, used_bytes: int, at: datetime) -> int:
    """Count traffic on its campus day and take it from the lots that run at `at`.

    Returns: the bytes that no lot held, which ran slow; a lot never becomes negative.
    Raises: ValueError - not more than zero bytes.
    """
    if used_bytes <= 0:
        raise ValueError("traffic is counted in bytes above zero")
    lots = session.execute(
        select(TrafficLot.id, TrafficLot.total_bytes - TrafficLot.used_bytes)
        .where(TrafficLot.account_no == account_no, TrafficLot.starts_at <= at, TrafficLot.ends_at > at)
        .order_by(
            case((TrafficLot.kind == LotKind.GRANT, 0), else_=1), TrafficLot.ends_at, TrafficLot.starts_at
        )
        .with_for_update()
    ).all()
    parts = spread([left for _, left in lots], used_bytes)
    for (lot_id, _), taken in zip(lots, parts.taken, strict=True):
        if taken:
            session.execute(
                update(TrafficLot)
                .where(TrafficLot.id == lot_id)
                .values(used_bytes=TrafficLot.used_bytes + taken)
                .execution_options(synchronize_session=False)
            )
    add_to_day(session, account_no, campus_date(at), used_bytes)
    return parts.throttled_bytes


def add_to_day(session: Session, account_no: str, used_on: date, used_bytes: int) -> None:
    """Add traffic to one campus day without touching lots."""
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    row = insert(DailyUsage).values(account_no=account_no, used_on=used_on, used_bytes=used_bytes)
    session.execute(
        row.on_conflict_do_update(
            index_elements=["account_no", "used_on"],
            set_={"used_bytes": DailyUsage.used_bytes + row.excluded.used_bytes},
        )
    )


def by_day(session: Session, account_no: str, *, today: date, days: int) -> list[DayUsage]:
    """Traffic of the last `days` campus days including `today`, oldest first."""
    query = (
        select(DailyUsage.used_on, DailyUsage.used_bytes)
        .where(
            DailyUsage.account_no == account_no,
            DailyUsage.used_on > today - timedelta(days=days),
            DailyUsage.used_on <= today,
        )
        .order_by(DailyUsage.used_on)
    )
    return [DayUsage(used_on, used_bytes) for used_on, used_bytes in session.execute(query)]
