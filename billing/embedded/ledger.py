"""Money: entries whose legs sum to zero, written once and never changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import BigInteger, cast, func, insert, select, update
from sqlalchemy.orm import Session

from models.errors import BalanceTooLow, NoSuchAccount, Refused
from models.ledger import Account, Entry, Posting

CLEARING = "clearing:payments"
CREDIT = "credit"
EXCHANGE = "exchange"

_ACCOUNT = "account:"


class KeyUsedOtherwise(Refused):
    """This key has credited, reversed or bought something else before."""

    status = 409
    code = "E-KEY"

    def __init__(self, text: str = "该笔业务编号已用于另一笔业务") -> None:
        super().__init__(text)


@dataclass(frozen=True)
class Leg:
    """`amount_fen` onto (+) or off (-) a book."""

    book: str
    amount_fen: int


@dataclass(frozen=True)
class CreditEntry:
    """A credit as it was written; `balance_fen` right after it."""

    account_no: str
    amount_fen: int
    balance_fen: int
    at: datetime


def book_of(account_no: str) -> str:
    """The book that holds an account's money."""
    return _ACCOUNT + account_no


def post(
    session: Session,
    *,
    key: str,
    kind: str,
    legs: Sequence[Leg],
    at: datetime,
    memo: str = "",
    corrects: int | None = None,
) -> dict[str, int]:
    """Write one entry and move the cached balances with it.

    Args:
        legs: at least two, none of them zero, summing to zero.
    Returns: the new balance in fen of every account among the books.
    Raises: ValueError - the legs do not balance; IntegrityError - the key was used before;
        NoSuchAccount; BalanceTooLow.
    """
    if not legs or sum(leg.amount_fen for leg in legs) != 0:
        raise ValueError("the legs of an entry must sum to zero")
    entry = insert(Entry).values(key=key, kind=kind, memo=memo, corrects=corrects, at=at).returning(Entry.id)
    entry_id = session.execute(entry).scalar_one()
    changes: dict[str, int] = {}
    for leg in legs:
        if leg.book.startswith(_ACCOUNT):
            account_no = leg.book.removeprefix(_ACCOUNT)
            changes[account_no] = changes.get(account_no, 0) + leg.amount_fen
    # Always in the same order, so that two entries over the same accounts cannot lock each other out;
    # before the postings, so that the postings of one account are numbered as they took effect.
    balances = {account_no: _move(session, account_no, changes[account_no]) for account_no in sorted(changes)}
    rows = [{"entry_id": entry_id, "book": leg.book, "amount_fen": leg.amount_fen} for leg in legs]
    session.execute(insert(Posting), rows)
    return balances


def post_credit(session: Session, *, key: str, account_no: str, amount_fen: int, at: datetime) -> int:
    """Put money that was paid in on an account. Returns: the new balance. Raises: as `post`."""
    legs = (Leg(book_of(account_no), amount_fen), Leg(CLEARING, -amount_fen))
    return post(session, key=credit_key(key), kind=CREDIT, legs=legs, at=at)[account_no]


def find_credit(session: Session, key: str) -> CreditEntry | None:
    """The credit with this key, or None."""
    return find_entry(session, credit_key(key))


def find_entry(session: Session, entry_key: str) -> CreditEntry | None:
    """The entry with this whole key, as its one account sees it, or None."""
    query = (
        select(Entry.at, Posting.id, Posting.book, Posting.amount_fen)
        .join(Posting, Posting.entry_id == Entry.id)
        .where(Entry.key == entry_key, Posting.book.startswith(_ACCOUNT))
    )
    row = session.execute(query).one_or_none()
    if row is None:
        return None
    at, posting_id, book, amount_fen = row
    return CreditEntry(
        account_no=book.removeprefix(_ACCOUNT),
        amount_fen=amount_fen,
        balance_fen=sum_until(session, book, posting_id),
        at=at,
    )


def sum_until(session: Session, book: str, posting_id: int) -> int:
    """What a book held right after this posting."""
    total = cast(func.sum(Posting.amount_fen), BigInteger)
    return session.execute(select(total).where(Posting.book == book, Posting.id <= posting_id)).scalar_one()


def book_sum(session: Session, book: str) -> int:
    """What a book holds now."""
    total = func.coalesce(cast(func.sum(Posting.amount_fen), BigInteger), 0)
    return session.execute(select(total).where(Posting.book == book)).scalar_one()


def wrong_balances(session: Session, *, limit: int = 100) -> list[str]:
    """Account numbers whose cached balance is not the sum of their postings; empty when all is well."""
    book = _ACCOUNT + Account.account_no
    summed = (
        select(func.coalesce(func.sum(Posting.amount_fen), 0)).where(Posting.book == book).scalar_subquery()
    )
    query = select(Account.account_no).where(Account.balance_fen != summed).order_by(Account.account_no)
    return list(session.scalars(query.limit(limit)))


def credit_key(key: str) -> str:
    """The whole key of a credit's entry: keys of credits and of other entries never meet."""
    return f"{CREDIT}:{key}"


def _move(session: Session, account_no: str, change_fen: int) -> int:
    # The sum is made by the database, under the row's lock: two credits at once both count.
    statement = (
        update(Account)
        .where(Account.account_no == account_no, Account.balance_fen + change_fen >= 0)
        .values(balance_fen=Account.balance_fen + change_fen)
        .returning(Account.balance_fen)
        .execution_options(synchronize_session=False)
    )
    balance_fen = session.execute(statement).scalar_one_or_none()
    if balance_fen is None:
        known = session.scalar(select(Account.account_no).where(Account.account_no == account_no))
        raise NoSuchAccount if known is None else BalanceTooLow
    return balance_fen
