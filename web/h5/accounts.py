"""Account numbers as people type them."""

from __future__ import annotations

from billing.interface import AccountName
from models.errors import NoSuchAccount
from models.values.tables.text import clean
from web.current import services
from web.guards import slow_down

LOOKUPS = 20
LOOKUP_WINDOW_S = 600


def typed(text: str) -> str:
    """Return the account number in a field, empty for an empty one. Raises: NoSuchAccount."""
    if not clean(text):
        return ""
    account_no = services().account_rules.parse(text)
    if account_no is None:
        raise NoSuchAccount
    return account_no


def same(one: str, other: str | None) -> bool:
    """Return True if both are one account, in whatever case they were typed."""
    return other is not None and services().account_rules.is_same(one, other)


def named(openid: str, account_no: str) -> AccountName:
    """The masked name of any account, for 20 questions in ten minutes.

    Raises: NoSuchAccount, LimitReached.
    """
    slow_down("name", openid, limit=LOOKUPS, window_s=LOOKUP_WINDOW_S)
    return services().billing.find_account(account_no)
