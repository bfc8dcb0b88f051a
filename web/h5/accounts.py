"""Account numbers as people type them."""

from __future__ import annotations

import re
import unicodedata

from billing.interface import AccountName
from models.errors import NoSuchAccount
from web.current import services
from web.rates import slow_down

ACCOUNT = re.compile(r"[0-9A-Za-z._-]{1,32}")
LOOKUPS = 20
LOOKUP_WINDOW_S = 600


def typed(text: str) -> str:
    """The number without blanks, full-width digits made plain; empty stays empty. Raises: NoSuchAccount."""
    plain = "".join(unicodedata.normalize("NFKC", text).split())
    if plain and not ACCOUNT.fullmatch(plain):
        raise NoSuchAccount
    return plain


def named(openid: str, account_no: str) -> AccountName:
    """The masked name of any account, for 20 questions in ten minutes.

    Raises: NoSuchAccount, LimitReached.
    """
    slow_down("name", openid, limit=LOOKUPS, window_s=LOOKUP_WINDOW_S)
    return services().billing.find_account(account_no)
