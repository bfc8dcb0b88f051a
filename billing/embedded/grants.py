"""The free monthly traffic: opened when an account is first looked at in a month, and only once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import case, select, text
from sqlalchemy.orm import Session

from models.clock import month_start, next_month_start
from models.many import beginning
from models.package import GrantPolicy, LotKind, TrafficLot

EVERYBODY = "*"

# Two looks at the same moment: the unique index lets one of them in.
_OPEN = beginning(
    TrafficLot.metadata.tables[TrafficLot.__tablename__],
    ("account_no", "kind", "grant_policy_id", "total_bytes", "used_bytes", "starts_at", "ends_at"),
    key=("account_no", "starts_at"),
    where=TrafficLot.kind == text("'grant'"),
)


def policy_in_force(session: Session, kind: str, now: datetime) -> GrantPolicy | None:
    """The policy that was in force for a user group when this campus month began, or None.

    A rule for the group beats the rule for everybody. The start of the month decides, so that
    the grant does not depend on the day on which somebody looks.
    """
    query = (
        select(GrantPolicy)
        .where(GrantPolicy.kind.in_((kind, EVERYBODY)), GrantPolicy.effective_from <= month_start(now))
        .order_by(case((GrantPolicy.kind == EVERYBODY, 1), else_=0), GrantPolicy.effective_from.desc())
        .limit(1)
    )
    return session.scalar(query)


def open_grant(session: Session, account_no: str, policy: GrantPolicy, now: datetime) -> None:
    """Open this month's grant under a policy; nothing happens when it is open already."""
    open_grants(session, [account_no], policy, now)


def open_grants(session: Session, account_nos: Sequence[str], policy: GrantPolicy, now: datetime) -> None:
    """As `open_grant`, for many accounts at once: on the first of a month all of them come together."""
    rows = [
        {
            "account_no": account_no,
            "kind": LotKind.GRANT,
            "grant_policy_id": policy.id,
            "total_bytes": policy.quota_bytes,
            "used_bytes": 0,
            "starts_at": month_start(now),
            "ends_at": next_month_start(now),
        }
        for account_no in account_nos
    ]
    _OPEN.run(session.connection(), rows)
