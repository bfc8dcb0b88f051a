"""Taking a credit off an account again: a new entry that names the one it corrects."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import BigInteger, cast, func, select
from sqlalchemy.orm import Session, aliased

from billing.embedded import ledger
from models.errors import Refused
from models.ledger import Entry, Posting

REVERSAL = "reversal"


class NotReversible(Refused):
    """No such credit on this account, or less of it is left than would be taken back."""

    status = 409
    code = "E-REVERSAL"

    def __init__(self, text: str = "没有可以冲正的入账，或冲正金额超过入账金额") -> None:
        super().__init__(text)


@dataclass(frozen=True)
class Reversal:
    """A reversal as it was written; `entry.amount_fen` is positive: what was taken off."""

    key: str
    credit_key: str
    entry: ledger.CreditEntry


def post_reversal(
    session: Session, *, key: str, credit_key: str, account_no: str, amount_fen: int, at: datetime
) -> int:
    """Take `amount_fen` of a credit off its account. Returns: the new balance.

    Raises: NotReversible, BalanceTooLow; IntegrityError - the key was used before.
    """
    credit = ledger.find_credit(session, credit_key)
    if credit is None or credit.account_no != account_no:
        raise NotReversible
    credit_id = session.scalars(select(Entry.id).where(Entry.key == ledger.credit_key(credit_key))).one()
    legs = (
        ledger.Leg(ledger.book_of(account_no), -amount_fen),
        ledger.Leg(ledger.CLEARING, amount_fen),
    )
    balances = ledger.post(session, key=_key(key), kind=REVERSAL, legs=legs, at=at, corrects=credit_id)
    # Only now, under the lock of the account's row: reversals of one credit at once see each other.
    if _reversed_fen(session, credit_id) > credit.amount_fen:
        raise NotReversible
    return balances[account_no]


def find_reversal(session: Session, key: str) -> Reversal | None:
    """The reversal with this key, or None."""
    entry = ledger.find_entry(session, _key(key))
    if entry is None:
        return None
    corrected = aliased(Entry)
    query = select(corrected.key).join(Entry, Entry.corrects == corrected.id).where(Entry.key == _key(key))
    credit_key = session.scalars(query).one().removeprefix(ledger.credit_key(""))
    return Reversal(key, credit_key, replace(entry, amount_fen=-entry.amount_fen))


def _key(key: str) -> str:
    return f"{REVERSAL}:{key}"


def _reversed_fen(session: Session, credit_id: int) -> int:
    total = func.coalesce(cast(func.sum(Posting.amount_fen), BigInteger), 0)
    query = (
        select(total)
        .join(Entry, Entry.id == Posting.entry_id)
        .where(Entry.corrects == credit_id, Entry.kind == REVERSAL, Posting.book == ledger.CLEARING)
    )
    return session.execute(query).scalar_one()
