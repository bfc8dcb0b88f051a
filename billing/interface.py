"""The billing back end as the rest of the house sees it: about ten methods, in our words.

Outcomes of every method: a value is *done*; `Refused` is *certainly not done*; `Unknown` is
*may be done, ask before repeating*; `Unavailable` is *certainly not done, try later*.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import StrEnum
from typing import Protocol


class CreditOutcome(StrEnum):
    """Both mean that it was done exactly once; the second, that it was done by an earlier call."""

    APPLIED = "APPLIED"
    ALREADY_APPLIED = "ALREADY_APPLIED"


@dataclass(frozen=True)
class Capabilities:
    """What a back end can do beyond taking money; pages hide what it cannot."""

    find_credit: bool
    # True when both `reverse` and `find_reversal` work.
    reverse: bool
    exchange: bool
    usage: bool
    sessions: bool
    # True when `kick` reaches the network.
    kick: bool
    # True when calls need no network, so that a chat handler may wait for them.
    local: bool
    # True when `credits_between` works; without it reconciliation leaves billing out.
    list_credits: bool = False
    # True when `withdraw` and `find_withdrawal` work; without it nothing is paid out by bank list.
    withdraw: bool = False


@dataclass(frozen=True)
class AccountName:
    """All that a stranger who typed an account number may see."""

    account_no: str
    masked_name: str


@dataclass(frozen=True)
class CreditReceipt:
    """A credit as the back end knows it; `balance_fen` right after it, None where unknown."""

    key: str
    account_no: str
    amount_fen: int
    outcome: CreditOutcome
    balance_fen: int | None
    at: datetime


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
class ExchangeReceipt:
    """A swap that was done; `balance_fen` right after it, None where unknown."""

    key: str
    account_no: str
    code: str
    package_name: str
    price_fen: int
    quota_bytes: int
    starts_at: datetime
    ends_at: datetime
    balance_fen: int | None
    outcome: CreditOutcome


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


class BillingBackend(Protocol):
    """Implemented by `billing.embedded` and by vendor adapters; chosen by `billing.registry`."""

    def capabilities(self) -> Capabilities:
        """What this back end can do; constant for its life."""
        ...

    def find_account(self, account_no: str) -> AccountName:
        """The masked name of an account. Raises: NoSuchAccount, Unavailable."""
        ...

    def name_matches(self, account_no: str, name: str) -> bool:
        """Whether this is the full name of the account's owner; spaces and width do not matter.

        False as well for an account that does not exist or takes no money, so that nobody learns which.
        Callers limit how often a person may ask. Raises: Unavailable.
        """
        ...

    def balance(self, account_no: str) -> Balance:
        """Money and traffic now, for the account's owner. Raises: NoSuchAccount, Unavailable."""
        ...

    def credit(self, account_no: str, amount_fen: int, *, key: str) -> CreditReceipt:
        """Put money on an account once per `key`.

        A known key returns ALREADY_APPLIED when account and amount agree, else raises Refused.
        Raises: NoSuchAccount and other Refused - certainly not done; Unknown - ask `find_credit`.
        """
        ...

    def find_credit(self, key: str) -> CreditReceipt | None:
        """The credit with this key, None when there certainly is none. Raises: Unknown, Unavailable."""
        ...

    def reverse(self, account_no: str, amount_fen: int, *, key: str, credit_key: str) -> CreditReceipt:
        """Take (part of) the credit with `credit_key` off the account again, once per `key`.

        All reversals of a credit together never exceed it. A known key returns ALREADY_APPLIED when
        account, amount and credit agree. The receipt's `amount_fen` is positive: what was taken off.
        Raises: Refused - certainly not done: no such credit, or the account holds less by now;
            Unknown - ask `find_reversal`; Unavailable.
        """
        ...

    def find_reversal(self, key: str) -> CreditReceipt | None:
        """The reversal with this key, None when there certainly is none. Raises: Unknown, Unavailable."""
        ...

    def withdraw(self, account_no: str, amount_fen: int, *, key: str) -> CreditReceipt:
        """Take money off the account that is going to be paid out, once per `key`.

        A known key returns ALREADY_APPLIED when account and amount agree. The receipt's `amount_fen` is
        positive: what was taken off. Raises: NoSuchAccount and other Refused - certainly not done, such
        as an account that holds less; Unknown - ask `find_withdrawal`; Unavailable.
        """
        ...

    def find_withdrawal(self, key: str) -> CreditReceipt | None:
        """The withdrawal with this key, None when there certainly is none. Raises: Unknown, Unavailable."""
        ...

    def catalogue(self, account_no: str | None = None) -> list[Offer]:
        """Packages on sale now that the account may have, specials first, then by price.

        Without an account, and for one that is not known, those that are for everybody.
        Raises: Unavailable.
        """
        ...

    def preview_exchange(self, account_no: str, code: str) -> ExchangePreview:
        """What the account would have after buying the package now; refused as `exchange` would be.

        Raises: as `exchange`, but for PriceChanged; Unavailable.
        """
        ...

    def exchange(self, account_no: str, code: str, *, key: str, price_fen: int) -> ExchangeReceipt:
        """Buy a package from the balance at the price the person agreed to, once per `key`.

        A known key returns ALREADY_APPLIED when account, package and price agree, else raises Refused.
        Raises: NoSuchAccount, PackageNotOffered, PriceChanged, NotForYou, PackageStillRunning,
            PackageLimitReached, SoldOut, BalanceTooLow and other Refused - certainly not done;
            Unknown - ask `find_exchange`.
        """
        ...

    def find_exchange(self, key: str) -> ExchangeReceipt | None:
        """The swap with this key, None when there certainly is none. Raises: Unknown, Unavailable."""
        ...

    def exchange_log(
        self, account_no: str, *, before: int | None = None, limit: int = 20
    ) -> list[ExchangeRecord]:
        """Swaps of this account, newest first; `before` continues after the last `id` seen."""
        ...

    def statement(
        self, account_no: str, *, before: int | None = None, limit: int = 20
    ) -> list[StatementLine]:
        """Movements of this account's money, newest first; `before` continues after the last `id` seen."""
        ...

    def usage(self, account_no: str, *, days: int = 31) -> list[DayUsage]:
        """Traffic per campus day, oldest first; days without traffic are left out."""
        ...

    def sessions(
        self, account_no: str, *, before: str | None = None, limit: int = 20, running: bool = False
    ) -> list[SessionUsage]:
        """Connections of this account, newest first: those after the one with the mark `before`.

        An unknown mark begins at the top. `running`: only those that have not ended. Raises: Unavailable.
        """
        ...

    def kick(self, account_no: str, mark: str) -> None:
        """End a running connection of this account; one that has ended already is left alone.

        Raises: Refused - no such connection, or the network said no; Unknown, Unavailable.
        """
        ...

    def credits_between(self, since: datetime, until: datetime) -> Iterator[list[bytes]]:
        """Every credit applied at `since` or later and before `until`, each as often as it was, in batches.

        A credit is a line of UTF-8, `key<TAB>account_no<TAB>amount_fen`: millions are compared, and
        hardly one is ever read. About in the order of time; batches are small, so memory stays flat.
        Reversals are not credits and take nothing off the list. Raises: Unavailable, also on the way.
        """
        ...
