"""Adjusting entries (调账): money onto or off an account against a book of their own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from billing.embedded import accounts, ledger
from billing.embedded.faults import changing, looking
from billing.interface import CreditOutcome, CreditReceipt
from models.clock import Clock
from models.db.engine import Database
from models.errors import AmountInvalid, NoSuchAccount
from models.values.account_no import DEFAULT_RULES, AccountRules

ADJUSTMENT = "adjustment"
BOOK = "adjustments"
# Far beyond any entry; keeps sums within 64 bits.
MAX_ENTRY_FEN = 10**11
MAX_KEY_LENGTH = 64


@dataclass(frozen=True)
class _Entry:
    account_no: str
    amount_fen: int
    key: str
    memo: str


class Adjusting:
    """The adjusting entries of the embedded engine."""

    def __init__(self, database: Database, clock: Clock, account_rules: AccountRules = DEFAULT_RULES) -> None:
        self._database = database
        self._clock = clock
        self._account_rules = account_rules

    def adjust(self, account_no: str, amount_fen: int, *, key: str, memo: str) -> CreditReceipt:
        """Write an adjusting entry once per key; a closed account only gives.

        Raises: NoSuchAccount, AmountInvalid, BalanceTooLow, KeyUsedOtherwise - certainly not done;
            Unknown - ask.
        """
        if not 0 < abs(amount_fen) <= MAX_ENTRY_FEN:
            raise AmountInvalid("金额无效")
        if not 0 < len(key) <= MAX_KEY_LENGTH:
            raise ValueError(f"a key has 1 to {MAX_KEY_LENGTH} characters")
        with changing():
            try:
                return self._adjust_once(account_no, amount_fen, key, memo)
            except IntegrityError:
                # Another call committed the same key between our look and our insert.
                known = self._known(key)
                if known is None:
                    raise
        return _same(known, account_no, amount_fen)

    def find_adjustment(self, account_no: str, key: str) -> CreditReceipt | None:
        """Return the entry with this key, None when there certainly is none. Raises: Unavailable."""
        del account_no  # keys are unique over all accounts here
        with looking():
            return self._known(key)

    def _known(self, key: str) -> CreditReceipt | None:
        with self._database.reading() as session:
            return _find(session, key)

    def _adjust_once(self, account_no: str, amount_fen: int, key: str, memo: str) -> CreditReceipt:
        now = self._clock()
        with self._database.transaction() as session:
            known = _find(session, key)
            if known is not None:
                return _same(known, account_no, amount_fen)
            find = accounts.active_name if amount_fen > 0 else accounts.owner_name
            if find(session, account_no) is None:
                raise NoSuchAccount
            balance_fen = _post(session, _Entry(account_no, amount_fen, key, memo), now)
        return CreditReceipt(key, account_no, amount_fen, CreditOutcome.APPLIED, balance_fen, now)


def _post(session: Session, entry: _Entry, at: datetime) -> int:
    account_no, amount_fen = entry.account_no, entry.amount_fen
    legs = (ledger.Leg(ledger.book_of(account_no), amount_fen), ledger.Leg(BOOK, -amount_fen))
    return ledger.post(session, key=_key(entry.key), kind=ADJUSTMENT, legs=legs, at=at, memo=entry.memo)[
        account_no
    ]


def _find(session: Session, key: str) -> CreditReceipt | None:
    known = ledger.find_entry(session, _key(key))
    if known is None:
        return None
    outcome = CreditOutcome.ALREADY_APPLIED
    return CreditReceipt(key, known.account_no, known.amount_fen, outcome, known.balance_fen, known.at)


def _key(key: str) -> str:
    return f"{ADJUSTMENT}:{key}"


def _same(known: CreditReceipt, account_no: str, amount_fen: int) -> CreditReceipt:
    if (known.account_no, known.amount_fen) != (account_no, amount_fen):
        raise ledger.KeyUsedOtherwise
    return known
