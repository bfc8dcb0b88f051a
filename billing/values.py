"""What a billing backend tells about accounts: balances, traffic, packages, statements."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum


@dataclass(frozen=True)
class AccountName:
    """All that a stranger who typed an account number may see."""

    account_no: str
    masked_name: str


@dataclass(frozen=True)
class Lot:
    """High-speed traffic with a beginning and an end; `name` is what a person reads."""

    kind: str
    name: str
    total_bytes: int
    used_bytes: int
    starts_at: datetime
    ends_at: datetime

    @property
    def left_bytes(self) -> int:
        """What can still be used."""
        return self.total_bytes - self.used_bytes


class SlowReason(StrEnum):
    """Why a line is slow; it is never cut for usage."""

    NO_GRANT = "no_grant"
    GRANT_USED_UP = "grant_used_up"
    PACKAGE_USED_UP = "package_used_up"
    PACKAGE_ENDED = "package_ended"


@dataclass(frozen=True)
class Balance:
    """Money and traffic of one account at `as_of`; for its owner only.

    `lots` are those that run now, in the order in which they are used. `slow_because` is empty at
    full speed, and where the back end gives no reasons.
    """

    account_no: str
    masked_name: str
    balance_fen: int
    lots: tuple[Lot, ...]
    as_of: datetime
    slow_because: tuple[SlowReason, ...] = ()

    @property
    def left_bytes(self) -> int:
        """High-speed traffic left in all running lots."""
        return sum(lot.left_bytes for lot in self.lots)

    @property
    def throttled(self) -> bool:
        """True when no high-speed traffic is left: the line is slow, never cut."""
        return self.left_bytes <= 0

    @property
    def package(self) -> Lot | None:
        """The running bought package, or None."""
        return next((lot for lot in self.lots if lot.kind != "grant"), None)


@dataclass(frozen=True)
class Offer:
    """A package on sale now."""

    code: str
    name: str
    price_fen: int
    quota_bytes: int
    validity_months: int
    special: bool
    sale_until: datetime | None
    # None: any number; 0: sold out.
    stock_left: int | None = None
    # How many one account may buy; None: any number.
    limit_each: int | None = None


@dataclass(frozen=True)
class DayUsage:
    """Traffic of one campus day.

    `used_bytes` is what counts, `throttled_bytes` the part of it that no lot held; `up_bytes` and
    `down_bytes` are what went over the line, 0 where the back end cannot tell.
    """

    on: date
    used_bytes: int
    throttled_bytes: int = 0
    up_bytes: int = 0
    down_bytes: int = 0

    @property
    def fast_bytes(self) -> int:
        """The part at full speed."""
        return self.used_bytes - self.throttled_bytes


@dataclass(frozen=True)
class SessionUsage:
    """One connection to the network; `ended_at` None while it runs. `mark` names its place in the list."""

    mark: str
    started_at: datetime
    ended_at: datetime | None
    up_bytes: int
    down_bytes: int
    nas: str
    address: str | None


class CrossingKind(StrEnum):
    """ALMOST: 80 percent of a lot; USED_UP: all of it; THROTTLED: no running lot holds anything."""

    ALMOST = "almost"
    USED_UP = "used_up"
    THROTTLED = "throttled"


@dataclass(frozen=True)
class Crossing:
    """A line that traffic has just crossed; `cycle` is the same for the same line, however often."""

    account_no: str
    kind: CrossingKind
    cycle: str
    lot_name: str
    left_bytes: int


@dataclass(frozen=True)
class ExchangePreview:
    """What an account would have right after a swap; nothing is reserved by looking."""

    offer: Offer
    balance_fen: int
    balance_after_fen: int
    left_bytes: int
    left_after_bytes: int
    starts_at: datetime
    ends_at: datetime


@dataclass(frozen=True)
class ExchangeRecord:
    """One swap of balance for a package (换购日志); `id` continues the list."""

    at: datetime
    package_name: str
    price_fen: int
    quota_bytes: int
    ends_at: datetime
    id: int


class StatementKind(StrEnum):
    """Why money came onto or went off an account."""

    OPENING = "opening"
    CREDIT = "credit"
    REVERSAL = "reversal"
    EXCHANGE = "exchange"
    WITHDRAWAL = "withdrawal"
    ADJUSTMENT = "adjustment"
    OTHER = "other"


@dataclass(frozen=True)
class StatementLine:
    """One movement of an account's money; `id` continues the list.

    `amount_fen` is positive onto the account. `memo` is what a person reads. `order_no` names the
    order that a movement comes from, where it comes from one.
    """

    id: int
    at: datetime
    kind: StatementKind
    amount_fen: int
    balance_after_fen: int | None
    memo: str
    order_no: str | None
