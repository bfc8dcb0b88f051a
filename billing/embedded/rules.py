"""What the fee rules leave open, as it is answered at a moment (docs/policy.md)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.money import BYTES_PER_GB
from models.package import TrafficRule


def rule_in_force(session: Session, at: datetime) -> TrafficRule:
    """The rule at `at`; the migrations wrote one that is older than anything."""
    query = select(TrafficRule).where(TrafficRule.effective_from <= at)
    return session.scalars(query.order_by(TrafficRule.effective_from.desc()).limit(1)).one()


def quota_bytes(rule: TrafficRule, printed_bytes: int) -> int:
    """What a package gives: its printed GB (10^9 bytes each) at the size that the rule says."""
    return printed_bytes * rule.bytes_per_gb // BYTES_PER_GB
