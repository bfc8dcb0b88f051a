"""What a batch of traffic crossed: 80 and 100 percent of a lot, the end of all lots."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.embedded.balance import GRANT_NAME, PACKAGE_NAME
from billing.embedded.consumption import OpenLot, Taken
from billing.interface import Crossing, CrossingKind
from models.package import LotKind, Package, TrafficLot

ALMOST_PERCENT = 80


def crossings(session: Session, taken: Taken, now: datetime) -> list[Crossing]:
    """What was crossed of lots that run at `now`; late records of lots that ended tell nobody."""
    found: list[tuple[OpenLot, CrossingKind]] = []
    for lots in taken.lots.values():
        running = [lot for lot in lots if lot.runs_at(now)]
        emptied = [lot for lot in running if not lot.left_bytes and lot.used_bytes > lot.was_used_bytes]
        found += [(lot, CrossingKind.ALMOST) for lot in running if lot.left_bytes and _almost(lot)]
        found += [(lot, CrossingKind.USED_UP) for lot in emptied]
        if emptied and not any(lot.left_bytes for lot in running):
            found.append((emptied[-1], CrossingKind.THROTTLED))
    names = _names(session, [lot.id for lot, kind in found]) if found else {}
    return [
        Crossing(lot.account_no, kind, f"lot:{lot.id}", names[lot.id], lot.left_bytes) for lot, kind in found
    ]


def _almost(lot: OpenLot) -> bool:
    line = ALMOST_PERCENT * lot.lot.total_bytes
    return lot.was_used_bytes * 100 < line <= lot.used_bytes * 100


def _names(session: Session, numbers: Sequence[int]) -> dict[int, str]:
    query = (
        select(TrafficLot.id, TrafficLot.kind, Package.name)
        .outerjoin(Package, Package.code == TrafficLot.package_code)
        .where(TrafficLot.id.in_(numbers))
    )
    return {
        number: GRANT_NAME if kind == LotKind.GRANT else name or PACKAGE_NAME
        for number, kind, name in session.execute(query)
    }
