"""Traffic taken from the lots that ran when it was used, and written down per day."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from operator import itemgetter
from typing import Any

from sqlalchemy import BigInteger, bindparam, cast, func, select, update
from sqlalchemy.orm import Session

from billing.embedded import grants
from billing.embedded.counters import Piece
from billing.embedded.quota import in_order_of_use, spread
from billing.interface import Lot
from models.clock import month_start
from models.many import adding, inserting, moving, one_of
from models.package import Counted, LotKind, TrafficLot
from models.usage import LotUse, UsageDay

_TAKE = moving(TrafficLot.metadata.tables[TrafficLot.__tablename__], adds=("used_bytes",))
_NOTE_USE = inserting(LotUse.metadata.tables[LotUse.__tablename__], ("lot_id", "used_on", "used_bytes", "at"))
_DAY = UsageDay.metadata.tables[UsageDay.__tablename__]
_SUMS = ("up_bytes", "down_bytes", "fast_bytes", "throttled_bytes")
_ADD = adding(_DAY, ("account_no", "used_on"), _SUMS)
_CORRECT = (
    update(_DAY)
    .where(_DAY.c.account_no == bindparam("account"), _DAY.c.used_on == bindparam("day"))
    .values({name: _DAY.c[name] + bindparam(name) for name in _SUMS})
)


@dataclass(frozen=True)
class Owner:
    """What decides which grant an account gets; a closed one (`active` false) gets no new ones."""

    kind: str
    active: bool


@dataclass
class OpenLot:
    """A lot while traffic is taken from it; `was_used_bytes` as the transaction found it."""

    id: int
    account_no: str
    lot: Lot
    used_bytes: int
    was_used_bytes: int

    @property
    def left_bytes(self) -> int:
        """What it still holds."""
        return self.lot.total_bytes - self.used_bytes

    def runs_at(self, at: datetime) -> bool:
        """Whether it may be used at an instant."""
        return self.lot.starts_at <= at < self.lot.ends_at


@dataclass
class DaySum:
    """What is added to one day of one account; negative: taken back."""

    up_bytes: int = 0
    down_bytes: int = 0
    fast_bytes: int = 0
    throttled_bytes: int = 0


@dataclass
class Taken:
    """All that a transaction takes: lots by account in their order of use, uses, days."""

    lots: dict[str, list[OpenLot]]
    uses: dict[tuple[int, date], int] = field(default_factory=lambda: defaultdict(int))
    days: dict[tuple[str, date], DaySum] = field(default_factory=lambda: defaultdict(DaySum))


def consume(
    session: Session,
    pieces: Mapping[str, Sequence[Piece]],
    owners: Mapping[str, Owner],
    *,
    counted: Counted,
    now: datetime,
) -> Taken:
    """Take the traffic of accounts from their lots and add it to their days.

    Each piece is taken from the lots that ran when it was used, in their order; what they do not
    hold is throttled traffic: a lot is never overdrawn, and nobody owes bytes. A negative piece
    gives back first what was throttled on its day, then what its day took from lots.
    The rows of the accounts must be locked by the caller: account before lot, as a purchase does.
    """
    wanted = {account_no: found for account_no, found in pieces.items() if found}
    if not wanted:
        return Taken({})
    _open_grants(session, wanted, owners)
    taken = Taken(_load_lots(session, wanted))
    _give_back_all(session, wanted, counted, taken)
    for account_no, found in wanted.items():
        for piece in sorted(found, key=lambda piece: piece.at):
            day = taken.days[account_no, piece.on]
            day.up_bytes += piece.up_bytes
            day.down_bytes += piece.down_bytes
            if counted_of(piece, counted) > 0:
                _take(taken, account_no, piece, counted_of(piece, counted))
    _write(session, taken, now)
    return taken


def counted_of(piece: Piece, counted: Counted) -> int:
    """The bytes of a piece that count."""
    if counted == Counted.DOWN:
        return piece.down_bytes
    return piece.up_bytes if counted == Counted.UP else piece.up_bytes + piece.down_bytes


def _take(taken: Taken, account_no: str, piece: Piece, count: int) -> None:
    running = [lot for lot in taken.lots.get(account_no, ()) if lot.runs_at(piece.at)]
    parts = spread([lot.left_bytes for lot in running], count)
    for lot, part in zip(running, parts.taken, strict=True):
        lot.used_bytes += part
        taken.uses[lot.id, piece.on] += part
    day = taken.days[account_no, piece.on]
    day.fast_bytes += count - parts.throttled_bytes
    day.throttled_bytes += parts.throttled_bytes


def _give_back_all(
    session: Session, pieces: Mapping[str, Sequence[Piece]], counted: Counted, taken: Taken
) -> None:
    back: dict[tuple[str, date], int] = defaultdict(int)
    for account_no, found in pieces.items():
        for piece in found:
            back[account_no, piece.on] += max(0, -counted_of(piece, counted))
    for (account_no, on), count in back.items():
        if count:
            _give_back(session, taken, account_no, on, count)


def _give_back(session: Session, taken: Taken, account_no: str, on: date, count: int) -> None:
    stood = session.execute(
        select(UsageDay.fast_bytes, UsageDay.throttled_bytes).where(
            UsageDay.account_no == account_no, UsageDay.used_on == on
        )
    ).one()
    slow = min(stood.throttled_bytes, count)
    # Never more than there is: another direction may have counted when it was taken.
    rest = min(stood.fast_bytes, count - slow)
    day = taken.days[account_no, on]
    day.throttled_bytes -= slow
    day.fast_bytes -= rest
    lots = taken.lots.get(account_no, [])
    total = cast(func.sum(LotUse.used_bytes), BigInteger)
    used = (
        select(LotUse.lot_id, total)
        .where(LotUse.lot_id.in_([lot.id for lot in lots]), LotUse.used_on == on)
        .group_by(LotUse.lot_id)
    )
    found: dict[int, int] = {row[0]: row[1] for row in session.execute(used)}
    # The last one used gives back first.
    for lot in reversed(lots):
        part = min(found.get(lot.id, 0), rest)
        lot.used_bytes -= part
        taken.uses[lot.id, on] -= part
        rest -= part


def _open_grants(
    session: Session, pieces: Mapping[str, Sequence[Piece]], owners: Mapping[str, Owner]
) -> None:
    months: dict[datetime, set[str]] = defaultdict(set)
    for account_no, found in pieces.items():
        if owners[account_no].active:
            for piece in found:
                months[month_start(piece.at)].add(account_no)
    for month, accounts in months.items():
        have = select(TrafficLot.account_no).where(
            one_of(session, TrafficLot.account_no, sorted(accounts)),
            TrafficLot.kind == LotKind.GRANT,
            TrafficLot.starts_at == month,
        )
        missing = sorted(accounts - set(session.scalars(have)))
        for kind in {owners[account_no].kind for account_no in missing}:
            policy = grants.policy_in_force(session, kind, month)
            if policy is not None:
                theirs = [account_no for account_no in missing if owners[account_no].kind == kind]
                grants.open_grants(session, theirs, policy, month)


def _load_lots(session: Session, pieces: Mapping[str, Sequence[Piece]]) -> dict[str, list[OpenLot]]:
    # A day more on both sides: whoever gives back may have used a lot that ended earlier that day, and
    # what goes back may stand with one that began later, for another session that used it.
    first = min(piece.at for found in pieces.values() for piece in found) - timedelta(days=1)
    last = max(piece.at for found in pieces.values() for piece in found) + timedelta(days=1)
    query = (
        select(
            TrafficLot.id,
            TrafficLot.account_no,
            TrafficLot.kind,
            TrafficLot.total_bytes,
            TrafficLot.used_bytes,
            TrafficLot.starts_at,
            TrafficLot.ends_at,
        )
        .where(
            one_of(session, TrafficLot.account_no, sorted(pieces)),
            TrafficLot.ends_at > first,
            TrafficLot.starts_at <= last,
        )
        .order_by(TrafficLot.id)
        .with_for_update()
    )
    found: dict[str, dict[Lot, OpenLot]] = defaultdict(dict)
    for number, account_no, kind, total, used, starts_at, ends_at in session.execute(query):
        # The number stands for the name: no two lots are the same to the order of use.
        lot = Lot(kind, str(number), total, used, starts_at, ends_at)
        found[account_no][lot] = OpenLot(number, account_no, lot, used, used)
    return {
        account_no: [lots[lot] for lot in in_order_of_use(list(lots))] for account_no, lots in found.items()
    }


def _write(session: Session, taken: Taken, now: datetime) -> None:
    moved = [
        {"number": lot.id, "used_bytes": lot.used_bytes - lot.was_used_bytes}
        for lots in taken.lots.values()
        for lot in lots
        if lot.used_bytes != lot.was_used_bytes
    ]
    connection = session.connection()
    if moved:
        _TAKE.run(connection, moved)
    uses = [
        {"lot_id": lot, "used_on": on, "used_bytes": count, "at": now}
        for (lot, on), count in taken.uses.items()
        if count
    ]
    if uses:
        _NOTE_USE.run(connection, uses)
    add_to_days(session, taken.days)


def add_to_days(session: Session, days: Mapping[tuple[str, date], DaySum]) -> None:
    """Add to days, beginning those that have no row yet; taking back is for days that have one."""
    more: list[dict[str, Any]] = []
    less: list[dict[str, Any]] = []
    for (account_no, on), day in sorted(days.items(), key=itemgetter(0)):
        sums = {name: getattr(day, name) for name in _SUMS}
        # The checks look at what would be inserted, even where a row is there already.
        if min(sums.values()) < 0:
            less.append({"account": account_no, "day": on, **sums})
        else:
            more.append({"account_no": account_no, "used_on": on, **sums})
    connection = session.connection()
    if more:
        _ADD.run(connection, more)
    if less:
        connection.execute(_CORRECT, less)
