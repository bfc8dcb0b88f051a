"""Taking money off an account so that it can be paid out: an entry against the book of what is owed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from sqlalchemy.orm import Session

from billing.embedded import ledger

WITHDRAWAL = "withdrawal"
OWED = "clearing:payouts"


def post_withdrawal(session: Session, *, key: str, account_no: str, amount_fen: int, at: datetime) -> int:
    """Take `amount_fen` off the account. Returns: the new balance.

    Raises: NoSuchAccount, BalanceTooLow; IntegrityError - the key was used before.
    """
    legs = (ledger.Leg(ledger.book_of(account_no), -amount_fen), ledger.Leg(OWED, amount_fen))
    return ledger.post(session, key=_key(key), kind=WITHDRAWAL, legs=legs, at=at)[account_no]


def find_withdrawal(session: Session, key: str) -> ledger.CreditEntry | None:
    """The withdrawal with this key, its `amount_fen` positive, or None."""
    entry = ledger.find_entry(session, _key(key))
    return None if entry is None else replace(entry, amount_fen=-entry.amount_fen)


def _key(key: str) -> str:
    return f"{WITHDRAWAL}:{key}"
