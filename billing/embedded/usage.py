"""Traffic without a record behind it (first rows, other sources), and traffic per campus day."""

from __future__ import annotations

from datetime import date, datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.embedded.consumption import DaySum, Owner, add_to_days, consume
from billing.embedded.counters import Piece
from billing.interface import DayUsage
from models.clock import campus_date
from models.ledger import Account
from models.package import Counted
from models.usage import UsageDay


def record_usage(session: Session, account_no: str, used_bytes: int, at: datetime) -> int:
    """Count download on its campus day and take it from the lots that run at `at`.

    Returns: the bytes that no lot held, which ran slow; a lot never becomes negative.
    Raises: ValueError - not more than zero bytes; NoResultFound - no such account.
    """
    if used_bytes <= 0:
        raise ValueError("traffic is counted in bytes above zero")
    kind, active = session.execute(
        select(Account.kind, Account.active)
        .where(Account.account_no == account_no)
        .with_for_update(key_share=True)
    ).one()
    piece = Piece(campus_date(at), at, 0, used_bytes)
    taken = consume(
        session, {account_no: [piece]}, {account_no: Owner(kind, active)}, counted=Counted.BOTH, now=at
    )
    return taken.days[account_no, piece.on].throttled_bytes


def add_to_day(session: Session, account_no: str, used_on: date, used_bytes: int) -> None:
    """Add download to one campus day without touching lots, as if it had been fast."""
    day = DaySum(down_bytes=used_bytes, fast_bytes=used_bytes)
    add_to_days(session, {(account_no, used_on): day})


def by_day(session: Session, account_no: str, *, today: date, days: int) -> list[DayUsage]:
    """Traffic of the last `days` campus days including `today`, oldest first."""
    query = (
        select(UsageDay)
        .where(
            UsageDay.account_no == account_no,
            UsageDay.used_on > today - timedelta(days=days),
            UsageDay.used_on <= today,
        )
        .order_by(UsageDay.used_on)
    )
    return [
        DayUsage(
            on=row.used_on,
            used_bytes=row.fast_bytes + row.throttled_bytes,
            throttled_bytes=row.throttled_bytes,
            up_bytes=row.up_bytes,
            down_bytes=row.down_bytes,
        )
        for row in session.scalars(query)
    ]
