"""The embedded billing backend: `billing.interface.BillingBackend` on our own tables."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy.exc import IntegrityError

from billing.embedded import accounts, closing, exchange, grants, ledger, sessions, statement
from billing.embedded.adjusting import Adjusting
from billing.embedded.balance import Found, read_balance
from billing.embedded.catalogue import offers
from billing.embedded.faults import changing, looking
from billing.embedded.listing import credit_lines
from billing.embedded.reversal import Reversal, find_reversal, post_reversal
from billing.embedded.usage import by_day
from billing.embedded.withdrawal import find_withdrawal, post_withdrawal
from billing.interface import (
    AccountName,
    Balance,
    Capabilities,
    CreditOutcome,
    CreditReceipt,
    DayUsage,
    ExchangePreview,
    ExchangeReceipt,
    ExchangeRecord,
    MoneyCall,
    Offer,
    SessionUsage,
    StatementLine,
)
from models.clock import campus_date
from models.errors import AmountInvalid, KeyClosed, NoSuchAccount, Refused
from models.money import mask_name

# Far beyond any recharge; keeps sums within 64 bits.
MAX_CREDIT_FEN = 10**11
MAX_KEY_LENGTH = 64
SESSIONS_MAX = 100


class EmbeddedBilling(Adjusting):
    """Each method is a journey of one or two short transactions on the given database."""

    def capabilities(self) -> Capabilities:
        """What this engine can do today; it is asked without a network."""
        return Capabilities(
            find_credit=True,
            reverse=True,
            exchange=True,
            usage=True,
            sessions=True,
            kick=False,
            local=True,
            list_credits=True,
            withdraw=True,
            find_reversal=True,
            find_withdrawal=True,
            find_exchange=True,
            credit_is_idempotent=True,
            # A process may stop for any time between its decision to call and the call itself.
            confirmation_window_s=None,
            close_key=True,
            adjust=True,
            close_account=True,
        )

    def prepare(self, call: MoneyCall, account_no: str, amount_fen: int, *, key: str) -> str:
        """Refused: this engine knows a call by our own key."""
        del call, account_no, amount_fen, key
        raise Refused("无需预先取号")

    def close_key(self, call: MoneyCall, account_no: str, key: str) -> bool:
        """Refuse every later call under `key`; False if one took effect. Raises: Unknown."""
        del account_no
        _check_key(key)
        with changing():
            return closing.close_key(self._database, call, key, self._clock())

    def find_account(self, account_no: str) -> AccountName:
        """The number and the masked name of an account that takes money, found in any of its spellings.

        Raises: NoSuchAccount, Unavailable.
        """
        with looking(), self._database.reading() as session:
            found = accounts.find_active(session, account_no, self._account_rules)
        if found is None:
            raise NoSuchAccount
        return AccountName(found.account_no, mask_name(found.name))

    def name_matches(self, account_no: str, name: str, *, closed: bool = False) -> bool:
        """Whether an account that takes money, or a closed one, has this full name. Raises: Unavailable."""
        find = accounts.find_owner if closed else accounts.find_active
        with looking(), self._database.reading() as session:
            found = find(session, account_no, self._account_rules)
        return found is not None and accounts.same_name(found.name, name)

    def balance(self, account_no: str) -> Balance:
        """Money and running traffic; the first look in a month opens its grant.

        Raises: NoSuchAccount, Unavailable.
        """
        found = self._read_balance(account_no)
        number = found.balance.account_no
        if found.grant_missing and self._open_grant(number, found.kind):
            found = self._read_balance(number)
        return found.balance

    def credit(self, account_no: str, amount_fen: int, *, key: str, ref: str | None = None) -> CreditReceipt:
        """Put money on an account once per key, whoever calls how often at the same time.

        Raises: NoSuchAccount, AmountInvalid, KeyUsedOtherwise, KeyClosed - certainly not done; Unknown - ask.
        """
        del ref
        _check(amount_fen, key)
        with changing():
            try:
                return self._credit_once(account_no, amount_fen, key)
            except IntegrityError:
                # Somebody committed the same key between our look and our insert.
                known = self._known_credit(key)
                if known is None:
                    self._check_open(MoneyCall.CREDIT, key)
                    raise
        return _same_credit(known, account_no, amount_fen)

    def find_credit(self, account_no: str, key: str, *, ref: str | None = None) -> CreditReceipt | None:
        """Return the credit with this key, on whatever account, or None. Raises: Unavailable."""
        del account_no, ref
        with looking():
            return self._known_credit(key)

    def reverse(
        self, account_no: str, amount_fen: int, *, key: str, credit_key: str, ref: str | None = None
    ) -> CreditReceipt:
        """Take (part of) a credit off the account again, once per key.

        Raises: AmountInvalid, NotReversible, BalanceTooLow, KeyUsedOtherwise, KeyClosed - certainly not
            done; Unknown - ask.
        """
        del ref
        _check(amount_fen, key)
        with changing():
            try:
                return self._reverse_once(account_no, amount_fen, key, credit_key)
            except IntegrityError:
                # Somebody committed the same key between our look and our insert.
                known = self._known_reversal(key)
                if known is None:
                    self._check_open(MoneyCall.REVERSAL, key)
                    raise
        return _same_reversal(known, account_no, amount_fen, credit_key)

    def find_reversal(self, account_no: str, key: str, *, ref: str | None = None) -> CreditReceipt | None:
        """Return the reversal with this key, on whatever account, or None. Raises: Unavailable."""
        del account_no, ref
        with looking():
            known = self._known_reversal(key)
        return None if known is None else _receipt(key, known.entry)

    def withdraw(
        self, account_no: str, amount_fen: int, *, key: str, ref: str | None = None
    ) -> CreditReceipt:
        """Take money off the account that is going to be paid out, once per key.

        Raises: NoSuchAccount, AmountInvalid, BalanceTooLow, KeyUsedOtherwise, KeyClosed - certainly not
            done; Unknown - ask.
        """
        del ref
        _check(amount_fen, key)
        if not accounts.plausible(account_no):
            raise NoSuchAccount
        with changing():
            try:
                return self._withdraw_once(account_no, amount_fen, key)
            except IntegrityError:
                # Somebody committed the same key between our look and our insert.
                known = self._known_withdrawal(key)
                if known is None:
                    self._check_open(MoneyCall.WITHDRAWAL, key)
                    raise
        return _same_credit(known, account_no, amount_fen)

    def find_withdrawal(self, account_no: str, key: str, *, ref: str | None = None) -> CreditReceipt | None:
        """Return the withdrawal with this key, on whatever account, or None. Raises: Unavailable."""
        del account_no, ref
        with looking():
            return self._known_withdrawal(key)

    def close_account(self, account_no: str) -> None:
        """Take no more money for this account. Raises: NoSuchAccount; Unknown - call again."""
        with changing(), self._database.transaction() as session:
            if accounts.owner_name(session, account_no) is None:
                raise NoSuchAccount
            accounts.close_account(session, account_no)

    def catalogue(self, account_no: str | None = None) -> list[Offer]:
        """Packages on sale now, specials first, then by price; specials only to whom they are for.

        Raises: Unavailable.
        """
        with looking(), self._database.reading() as session:
            group = accounts.group_of(session, account_no) if account_no else None
            return offers(session, self._clock(), group)

    def preview_exchange(self, account_no: str, code: str) -> ExchangePreview:
        """What the account would have after buying now. Raises: as `exchange`; Unavailable."""
        balance = self.balance(account_no)
        with looking(), self._database.reading() as session:
            deal = exchange.agree(session, account_no, code, balance.as_of, lock=False)
        return ExchangePreview(
            offer=deal.offer,
            balance_fen=deal.balance_fen,
            balance_after_fen=deal.balance_fen - deal.offer.price_fen,
            left_bytes=balance.left_bytes,
            left_after_bytes=balance.left_bytes + deal.offer.quota_bytes + deal.carried_bytes,
            starts_at=balance.as_of,
            ends_at=deal.ends_at,
        )

    def exchange(
        self, account_no: str, code: str, *, key: str, price_fen: int, ref: str | None = None
    ) -> ExchangeReceipt:
        """Buy a package from the balance, once per key, whoever calls how often at the same time.

        Raises: Refused in its kinds (see the interface) - certainly not done; Unknown - ask.
        """
        del ref
        _check_key(key)
        now = self._clock()
        with changing():
            try:
                with self._database.transaction() as session:
                    return exchange.buy(session, account_no, code, key=key, price_fen=price_fen, now=now)
            except IntegrityError:
                # Another account committed the same key between our look and our insert.
                known = self._known_exchange(key)
                if known is None:
                    self._check_open(MoneyCall.EXCHANGE, key)
                    raise
        return exchange.same(known, account_no, code, price_fen)

    def find_exchange(self, account_no: str, key: str, *, ref: str | None = None) -> ExchangeReceipt | None:
        """Return the purchase with this key, on whatever account, or None. Raises: Unavailable."""
        del account_no, ref
        with looking():
            return self._known_exchange(key)

    def exchange_log(
        self, account_no: str, *, before: int | None = None, limit: int = 20
    ) -> list[ExchangeRecord]:
        """Swaps of this account, newest first. Raises: Unavailable."""
        with looking(), self._database.reading() as session:
            return exchange.log(session, account_no, before=before, limit=limit)

    def statement(
        self, account_no: str, *, before: int | None = None, limit: int = 20
    ) -> list[StatementLine]:
        """Movements of this account's money, newest first. Raises: Unavailable."""
        with looking(), self._database.reading() as session:
            return statement.lines(session, account_no, before=before, limit=limit)

    def usage(self, account_no: str, *, days: int = 31) -> list[DayUsage]:
        """Traffic per campus day, oldest first. Raises: Unavailable."""
        with looking(), self._database.reading() as session:
            return by_day(session, account_no, today=campus_date(self._clock()), days=days)

    def sessions(
        self, account_no: str, *, before: str | None = None, limit: int = 20, running: bool = False
    ) -> list[SessionUsage]:
        """Connections of this account, newest first, after the one marked `before`. Raises: Unavailable."""
        most = min(limit, SESSIONS_MAX)
        with looking(), self._database.reading() as session:
            return sessions.page(session, account_no, before=before, limit=most, running=running)

    def kick(self, account_no: str, mark: str) -> None:
        """Refused: the network tells this engine of connections, and takes no orders from it."""
        del account_no, mark
        raise Refused("暂不支持在这里下线，请在设备上断开网络")

    def credits_between(self, since: datetime, until: datetime) -> Iterator[list[bytes]]:
        """Credits applied in this time, in the order of the ledger. Raises: Unavailable, also on the way."""
        with looking():
            yield from credit_lines(self._database, since, until)

    def _read_balance(self, account_no: str) -> Found:
        found = None
        with looking():
            if accounts.plausible(account_no):
                found = read_balance(self._database, account_no, self._clock())
            if found is None:
                with self._database.reading() as session:
                    number = accounts.resolve_one(session, account_no, self._account_rules)
                if number is not None:
                    found = read_balance(self._database, number, self._clock())
        if found is None:
            raise NoSuchAccount
        return found

    def _open_grant(self, account_no: str, kind: str) -> bool:
        now = self._clock()
        with looking(), self._database.reading() as session:
            policy = grants.policy_in_force(session, kind, now)
        if policy is None:
            return False
        with looking(), self._database.transaction() as session:
            grants.open_grant(session, account_no, policy, now)
        return True

    def _check_open(self, call: MoneyCall, key: str) -> None:
        if closing.is_closed(self._database, call, key):
            raise KeyClosed from None

    def _known_credit(self, key: str) -> CreditReceipt | None:
        with self._database.reading() as session:
            known = ledger.find_credit(session, key)
        return None if known is None else _receipt(key, known)

    def _credit_once(self, account_no: str, amount_fen: int, key: str) -> CreditReceipt:
        now = self._clock()
        with self._database.transaction() as session:
            known = ledger.find_credit(session, key)
            if known is not None:
                return _same_credit(_receipt(key, known), account_no, amount_fen)
            if accounts.active_name(session, account_no) is None:
                raise NoSuchAccount
            balance_fen = ledger.post_credit(
                session, key=key, account_no=account_no, amount_fen=amount_fen, at=now
            )
        return CreditReceipt(key, account_no, amount_fen, CreditOutcome.APPLIED, balance_fen, now)

    def _known_exchange(self, key: str) -> ExchangeReceipt | None:
        with self._database.reading() as session:
            return exchange.find(session, key)

    def _known_withdrawal(self, key: str) -> CreditReceipt | None:
        with self._database.reading() as session:
            known = find_withdrawal(session, key)
        return None if known is None else _receipt(key, known)

    def _withdraw_once(self, account_no: str, amount_fen: int, key: str) -> CreditReceipt:
        now = self._clock()
        with self._database.transaction() as session:
            known = find_withdrawal(session, key)
            if known is not None:
                return _same_credit(_receipt(key, known), account_no, amount_fen)
            balance_fen = post_withdrawal(
                session, key=key, account_no=account_no, amount_fen=amount_fen, at=now
            )
        return CreditReceipt(key, account_no, amount_fen, CreditOutcome.APPLIED, balance_fen, now)

    def _known_reversal(self, key: str) -> Reversal | None:
        with self._database.reading() as session:
            return find_reversal(session, key)

    def _reverse_once(self, account_no: str, amount_fen: int, key: str, credit_key: str) -> CreditReceipt:
        now = self._clock()
        with self._database.transaction() as session:
            known = find_reversal(session, key)
            if known is not None:
                return _same_reversal(known, account_no, amount_fen, credit_key)
            balance_fen = post_reversal(
                session, key=key, credit_key=credit_key, account_no=account_no, amount_fen=amount_fen, at=now
            )
        return CreditReceipt(key, account_no, amount_fen, CreditOutcome.APPLIED, balance_fen, now)


def _check(amount_fen: int, key: str) -> None:
    if not 0 < amount_fen <= MAX_CREDIT_FEN:
        raise AmountInvalid("金额无效")
    _check_key(key)


def _check_key(key: str) -> None:
    if not 0 < len(key) <= MAX_KEY_LENGTH:
        raise ValueError(f"a key has 1 to {MAX_KEY_LENGTH} characters")


def _receipt(key: str, known: ledger.CreditEntry) -> CreditReceipt:
    return CreditReceipt(
        key, known.account_no, known.amount_fen, CreditOutcome.ALREADY_APPLIED, known.balance_fen, known.at
    )


def _same_credit(known: CreditReceipt, account_no: str, amount_fen: int) -> CreditReceipt:
    if (known.account_no, known.amount_fen) != (account_no, amount_fen):
        raise ledger.KeyUsedOtherwise
    return known


def _same_reversal(known: Reversal, account_no: str, amount_fen: int, credit_key: str) -> CreditReceipt:
    if known.credit_key != credit_key:
        raise ledger.KeyUsedOtherwise
    return _same_credit(_receipt(known.key, known.entry), account_no, amount_fen)
