"""What a swap form carries: an exchange key and what the person has seen, signed by us.

The key is made with the form, so the same form means the same swap, however often it is sent.
"""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass

from flask import current_app
from itsdangerous import BadData, URLSafeSerializer

from models.errors import PageExpired
from web.current import services

LIFE_S = 30 * 60


@dataclass(frozen=True)
class Ticket:
    """One swap that somebody may make: of this package, at this price, from this account."""

    key: str
    account_no: str
    code: str
    price_fen: int
    at_s: int

    @property
    def fresh(self) -> bool:
        """Whether the form is young enough to be acted upon."""
        return services().clock().timestamp() - self.at_s <= LIFE_S


def mint(account_no: str, code: str, price_fen: int) -> str:
    """A ticket for a new swap, as text."""
    at_s = int(services().clock().timestamp())
    return _signer().dumps(
        asdict(Ticket(f"portal-{secrets.token_hex(12)}", account_no, code, price_fen, at_s))
    )


def read(text: str, account_no: str, code: str) -> Ticket:
    """The ticket in a form. Raises: PageExpired - not ours, of another account, or for another package."""
    try:
        ticket = Ticket(**_signer().loads(text))
    except (BadData, TypeError):
        raise PageExpired from None
    if (ticket.account_no, ticket.code) != (account_no, code):
        raise PageExpired
    return ticket


def _signer() -> URLSafeSerializer:
    return URLSafeSerializer(current_app.secret_key or "", salt="portal-swap")
