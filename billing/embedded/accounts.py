"""Accounts: opened, closed, looked up."""

from __future__ import annotations

import hmac
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from models.ledger import Account

_LONGEST = 32


@dataclass(frozen=True)
class Group:
    """Whom an account belongs to: specials and grants may be for some of them only."""

    kind: str
    department: str


def plausible(account_no: str) -> bool:
    """Whether this can be an account number at all; anything else never reaches the database."""
    return 0 < len(account_no) <= _LONGEST and account_no.isascii() and account_no.isprintable()


def open_account(
    session: Session, *, account_no: str, name: str, kind: str, now: datetime, department: str = ""
) -> None:
    """Open an account without money. Raises: ValueError - no account number; IntegrityError - it exists."""
    if not plausible(account_no):
        raise ValueError("an account number is 1 to 32 printable ASCII characters")
    account = Account(
        account_no=account_no, name=name, kind=kind, department=department, balance_fen=0, created_at=now
    )
    session.add(account)
    session.flush()  # later steps of this transaction refer to the account by its number


def close_account(session: Session, account_no: str) -> None:
    """Take no more money for this account; its owner still sees what is on it."""
    session.execute(update(Account).where(Account.account_no == account_no).values(active=False))


def owner_name(session: Session, account_no: str) -> str | None:
    """Return the full name of an account, closed ones included, or None. Never for strangers: mask it."""
    query = select(Account.name).where(Account.account_no == account_no)
    return session.scalar(query) if plausible(account_no) else None


def active_name(session: Session, account_no: str) -> str | None:
    """The full name of an account that takes money, or None. Never for strangers: mask it."""
    query = select(Account.name).where(Account.account_no == account_no, Account.active)
    return session.scalar(query) if plausible(account_no) else None


def group_of(session: Session, account_no: str) -> Group | None:
    """Kind and department of an account, or None."""
    query = select(Account.kind, Account.department).where(Account.account_no == account_no)
    row = session.execute(query).one_or_none() if plausible(account_no) else None
    return None if row is None else Group(*row)


def same_name(known: str, typed: str) -> bool:
    """Whether two names are the same, as people type them: width, spaces, dots and case do not count."""
    plain = _plain(typed)
    return bool(plain) and hmac.compare_digest(_plain(known), plain)


def exists(session: Session, account_no: str) -> bool:
    """Whether there is, or was, such an account."""
    query = select(Account.account_no).where(Account.account_no == account_no)
    return plausible(account_no) and session.scalar(query) is not None


def some_accounts(session: Session, *, limit: int) -> list[str]:
    """The first active account numbers, for a demo."""
    query = select(Account.account_no).where(Account.active).order_by(Account.account_no).limit(limit)
    return list(session.scalars(query))


def _plain(name: str) -> bytes:
    kept = (mark for mark in unicodedata.normalize("NFKC", name).casefold() if mark.isalnum())
    return "".join(kept).encode("utf-8", "replace")
