"""Account numbers as people type them."""

from __future__ import annotations

import re
import unicodedata

from billing.interface import AccountName
from bot.limits import NAME_LOOKUPS
from models.errors import NoSuchAccount
from web.current import services

ACCOUNT = re.compile(r"[0-9A-Za-z._-]{1,32}")


def typed(text: str) -> str:
    """The number without blanks, full-width digits made plain; empty stays empty. Raises: NoSuchAccount."""
    plain = "".join(unicodedata.normalize("NFKC", text).split())
    if plain and not ACCOUNT.fullmatch(plain):
        raise NoSuchAccount
    return plain


def named(openid: str, account_no: str) -> AccountName:
    """The masked name of any account; each look-up counts against the one budget of chat and pages.

    Raises: NoSuchAccount, LimitReached.
    """
    services().limiter.hit_all(NAME_LOOKUPS, openid)
    return services().billing.find_account(account_no)
