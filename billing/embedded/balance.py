"""One account's money and running traffic in one statement: the hot path of the bot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import and_, bindparam, select

from billing.embedded.quota import in_order_of_use, slow_reasons
from billing.interface import Balance, Lot
from models.clock import month_start
from models.db.engine import Database
from models.ledger import Account
from models.money import mask_name
from models.package import GrantPolicy, LotKind, Package, TrafficLot
from models.prepared import Prepared

GRANT_NAME = "本月免费流量"
EXAMPLE_MARK = "（示例）"
PACKAGE_NAME = "流量包"

# Written once: SQLAlchemy then finds its compiled form by the statement, not by building it again.
# Every table is entered by a key, so the cost does not depend on how many accounts there are.
_ACCOUNT_WITH_LOTS = Prepared(
    select(
        Account.name,
        Account.kind,
        Account.active,
        Account.balance_fen,
        TrafficLot.kind,
        TrafficLot.total_bytes,
        TrafficLot.used_bytes,
        TrafficLot.starts_at,
        TrafficLot.ends_at,
        Package.name,
        GrantPolicy.example,
    )
    .select_from(Account)
    .outerjoin(
        TrafficLot,
        and_(
            TrafficLot.account_no == Account.account_no,
            # What ended this month says why the line is slow now.
            TrafficLot.ends_at > bindparam("month"),
            TrafficLot.starts_at <= bindparam("now"),
            # Closed: used up or ended, and followed by another package.
            TrafficLot.closed_at.is_(None),
        ),
    )
    .outerjoin(Package, Package.code == TrafficLot.package_code)
    .outerjoin(GrantPolicy, GrantPolicy.id == TrafficLot.grant_policy_id)
    .where(Account.account_no == bindparam("account_no"))
)


@dataclass(frozen=True)
class Found:
    """A balance, and what decides whether this month's grant is still to be opened."""

    balance: Balance
    kind: str
    grant_missing: bool


def read_balance(database: Database, account_no: str, now: datetime) -> Found | None:
    """The account's money and the lots that run at `now`, None when there is no such account."""
    rows = database.look(_ACCOUNT_WITH_LOTS, account_no=account_no, now=now, month=month_start(now))
    if not rows:
        return None
    name, kind, active, balance_fen = rows[0][:4]
    known = [_lot(row[4:]) for row in rows if row[4] is not None]
    lots = [lot for lot in known if lot.ends_at > now]
    balance = Balance(
        account_no=account_no,
        masked_name=mask_name(name),
        balance_fen=balance_fen,
        lots=in_order_of_use(lots),
        as_of=now,
        slow_because=slow_reasons(known, now),
    )
    # A closed account gets no new traffic.
    missing = active and not any(lot.kind == LotKind.GRANT for lot in lots)
    return Found(balance, kind, missing)


def _lot(row: Sequence[Any]) -> Lot:
    kind, total_bytes, used_bytes, starts_at, ends_at, package_name, example = row
    if kind == LotKind.GRANT:
        name = GRANT_NAME + EXAMPLE_MARK if example else GRANT_NAME
    else:
        name = package_name or PACKAGE_NAME
    return Lot(kind, name, total_bytes, used_bytes, starts_at, ends_at)
