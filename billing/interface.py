"""The billing backend as all other packages see it, in our words.

Outcomes of every method: a value is *done*; `Refused` is *certainly not done*; `Unknown` is
*may be done, ask before repeating*; `Unavailable` is *certainly not done, try later*.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from billing.values import (
    AccountName,
    Balance,
    Crossing,
    CrossingKind,
    DayUsage,
    ExchangePreview,
    ExchangeRecord,
    Lot,
    Offer,
    SessionUsage,
    SlowReason,
    StatementKind,
    StatementLine,
)

__all__ = [
    "AccountName",
    "Balance",
    "BillingBackend",
    "Capabilities",
    "CreditOutcome",
    "CreditReceipt",
    "Crossing",
    "CrossingKind",
    "DayUsage",
    "ExchangePreview",
    "ExchangeReceipt",
    "ExchangeRecord",
    "Lot",
    "MoneyCall",
    "Offer",
    "SessionUsage",
    "SlowReason",
    "StatementKind",
    "StatementLine",
]


class CreditOutcome(StrEnum):
    """Both mean that it was done exactly once; the second, that it was done by an earlier call."""

    APPLIED = "APPLIED"
    ALREADY_APPLIED = "ALREADY_APPLIED"


class MoneyCall(StrEnum):
    """The calls that move money. Each has its own keys: one key may serve one call of each kind."""

    CREDIT = "credit"
    REVERSAL = "reversal"
    WITHDRAWAL = "withdrawal"
    EXCHANGE = "exchange"


@dataclass(frozen=True)
class Capabilities:
    """What a backend can do beyond taking money; pages hide what it cannot.

    The defaults promise nothing: without a query, or without a confirmation window, a call that got no
    answer goes to manual resolution.
    """

    find_credit: bool
    # True when `reverse` works.
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
    # True when `withdraw` works; without it nothing is paid out by bank list.
    withdraw: bool = False
    # True when `adjust` and `find_adjustment` work.
    adjust: bool = False
    # True when `close_account` works.
    close_account: bool = False
    find_reversal: bool = False
    find_withdrawal: bool = False
    find_exchange: bool = False
    # True when a call repeated under a known key changes nothing: credits, and the other money calls.
    credit_is_idempotent: bool = False
    # How many seconds after it was sent a call may still take effect; None: the backend gives no limit.
    confirmation_window_s: int | None = None
    # True when `close_key` works: no call under a closed key takes effect, however late it arrives.
    close_key: bool = False
    # True when the backend issues an identifier for a call before it: see `prepare`.
    prepare: bool = False

    def can_find(self, call: MoneyCall) -> bool:
        """Return True if the backend answers queries for calls of this kind."""
        return {
            MoneyCall.CREDIT: self.find_credit,
            MoneyCall.REVERSAL: self.find_reversal,
            MoneyCall.WITHDRAWAL: self.find_withdrawal,
            MoneyCall.EXCHANGE: self.find_exchange,
        }[call]


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


class BillingBackend(Protocol):
    """Implemented by `billing.embedded` and by vendor adapters; chosen by `billing.registry`."""

    def capabilities(self) -> Capabilities:
        """What this back end can do; constant for its life."""
        ...

    def find_account(self, account_no: str) -> AccountName:
        """The masked name of an account. Raises: NoSuchAccount, Unavailable."""
        ...

    def name_matches(self, account_no: str, name: str, *, closed: bool = False) -> bool:
        """Whether this is the full name of the account's owner; spaces and width do not matter.

        False as well for an account that does not exist or takes no money, so that nobody learns which.
        Callers limit how often a person may ask.

        Args:
            closed: also compare with the name of a closed account, whose money can still be paid out.
        Raises: Unavailable.
        """
        ...

    def balance(self, account_no: str) -> Balance:
        """Money and traffic now, for the account's owner. Raises: NoSuchAccount, Unavailable."""
        ...

    def prepare(self, call: MoneyCall, account_no: str, amount_fen: int, *, key: str) -> str:
        """Return the backend's own identifier for the call that follows; nothing else happens.

        The caller stores it before the call and hands it to the call and to every query as `ref`. Only
        where `capabilities().prepare`; elsewhere `ref` is None. Raises: Refused, Unknown, Unavailable.
        """
        ...

    def close_key(self, call: MoneyCall, account_no: str, key: str) -> bool:
        """Refuse every call of this kind under `key` from now on, however late it arrives.

        Closing again changes nothing. Only where `capabilities().close_key`.
        Returns: True if no such call took effect and none will; False if one did: query it.
        Raises: Unknown, Unavailable.
        """
        ...

    def credit(self, account_no: str, amount_fen: int, *, key: str, ref: str | None = None) -> CreditReceipt:
        """Put money on an account once per `key`.

        A known key returns ALREADY_APPLIED when account and amount agree, else raises Refused (where
        `credit_is_idempotent`). What is raised speaks of this call alone, never of an earlier one.
        Raises: NoSuchAccount and other Refused - certainly not done; Unknown - ask `find_credit`;
            Unavailable.
        """
        ...

    def find_credit(self, account_no: str, key: str, *, ref: str | None = None) -> CreditReceipt | None:
        """Return the credit of this account with this key, None if there is none now.

        None says nothing about a call that is still on its way: see `Capabilities.confirmation_window_s`.
        Raises: Unknown, Unavailable.
        """
        ...

    def reverse(
        self, account_no: str, amount_fen: int, *, key: str, credit_key: str, ref: str | None = None
    ) -> CreditReceipt:
        """Take (part of) the credit with `credit_key` off the account again, once per `key`.

        All reversals of a credit together never exceed it. A known key returns ALREADY_APPLIED when
        account, amount and credit agree. The receipt's `amount_fen` is positive: what was taken off.
        Raises: Refused - certainly not done: no such credit, or the account holds less by now;
            Unknown - ask `find_reversal`; Unavailable.
        """
        ...

    def find_reversal(self, account_no: str, key: str, *, ref: str | None = None) -> CreditReceipt | None:
        """Return the reversal on this account with this key, as `find_credit`.

        Raises: Unknown, Unavailable.
        """
        ...

    def withdraw(
        self, account_no: str, amount_fen: int, *, key: str, ref: str | None = None
    ) -> CreditReceipt:
        """Take money off the account that is going to be paid out, once per `key`.

        A known key returns ALREADY_APPLIED when account and amount agree. The receipt's `amount_fen` is
        positive: what was taken off. Raises: NoSuchAccount and other Refused - certainly not done, such
        as an account that holds less; Unknown - ask `find_withdrawal`; Unavailable.
        """
        ...

    def find_withdrawal(self, account_no: str, key: str, *, ref: str | None = None) -> CreditReceipt | None:
        """Return the withdrawal from this account with this key, as `find_credit`.

        Raises: Unknown, Unavailable.
        """
        ...

    def adjust(self, account_no: str, amount_fen: int, *, key: str, memo: str) -> CreditReceipt:
        """Put money on the account, or take it off, by an adjusting entry, once per `key`.

        A known key returns ALREADY_APPLIED when account and amount agree.

        Args:
            amount_fen: positive onto the account, negative off it; the receipt has the same sign.
            memo: the reason, as the owner of the account reads it.
        Raises: NoSuchAccount and other Refused - certainly not done, such as an account that holds less;
            Unknown - ask `find_adjustment`; Unavailable.
        """
        ...

    def find_adjustment(self, account_no: str, key: str) -> CreditReceipt | None:
        """Return the entry with this key, None when there certainly is none. Raises: Unknown, Unavailable."""
        ...

    def close_account(self, account_no: str) -> None:
        """Take no more money for this account; what is on it can still be paid out. Again changes nothing.

        Raises: NoSuchAccount; Unknown, Unavailable - call again.
        """
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

    def exchange(
        self, account_no: str, code: str, *, key: str, price_fen: int, ref: str | None = None
    ) -> ExchangeReceipt:
        """Buy a package from the balance at the price the person agreed to, once per `key`.

        A known key returns ALREADY_APPLIED when account, package and price agree, else raises Refused.
        Raises: NoSuchAccount, PackageNotOffered, PriceChanged, NotForYou, PackageStillRunning,
            PackageLimitReached, SoldOut, BalanceTooLow and other Refused - certainly not done;
            Unknown - ask `find_exchange`.
        """
        ...

    def find_exchange(self, account_no: str, key: str, *, ref: str | None = None) -> ExchangeReceipt | None:
        """Return the purchase of this account with this key, as `find_credit`.

        Raises: Unknown, Unavailable.
        """
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
