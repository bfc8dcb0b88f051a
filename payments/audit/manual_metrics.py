"""Figures of what operators decided: money written off or owed, payments of other systems, open days."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from models.statement import ReconRun, ReconStatus
from models.write_off import WriteOff, WriteOffKind
from payments.reconcile.result import TRADE


@dataclass(frozen=True)
class ManualFigures:
    """`kept_fen` by kind; `foreign` are payments of other systems in the last reconciled bill."""

    kept_fen: dict[str, int]
    foreign_rows: int
    foreign_fen: int


def manual_figures(session: Session) -> ManualFigures:
    """Return the figures now, in two queries."""
    kept = select(WriteOff.kind, func.sum(WriteOff.amount_fen)).where(WriteOff.ended_at.is_(None))
    by_kind = {str(kind): int(fen) for kind, fen in session.execute(kept.group_by(WriteOff.kind))}
    last = (
        select(ReconRun.totals)
        .where(ReconRun.kind == TRADE, ReconRun.status != ReconStatus.RUNNING)
        .order_by(ReconRun.bill_on.desc())
        .limit(1)
    )
    totals = session.scalar(last) or {}
    tallies = [totals.get(name) or {} for name in ("known_foreign", "foreign")]
    return ManualFigures(
        kept_fen={kind: by_kind.get(kind, 0) for kind in WriteOffKind},
        foreign_rows=sum(int(tally.get("rows", 0)) for tally in tallies),
        foreign_fen=sum(int(tally.get("fen", 0)) for tally in tallies),
    )
