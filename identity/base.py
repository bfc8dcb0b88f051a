"""Unified identity, as the pages see it: send the browser to the campus login, learn whose ticket it is."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from identity.login_states import LoginProof
from models.errors import Malformed, Refused
from models.values.account_no import AccountRules


class TicketRefused(Refused):
    """The identity server does not honour this ticket: forged, used before, or too old."""

    status = 403
    code = "E-TICKET"

    def __init__(self, text: str = "登录已失效，请重新登录") -> None:
        super().__init__(text)


class UnifiedIdentity(Protocol):
    """What the pages need of the campus login, whichever protocol it speaks.

    `service` is the address that the browser comes back to, with `state` as its only parameter.
    """

    # The parameter that the browser brings back when the login went well.
    ticket_field: str

    @property
    def origin(self) -> str:
        """Scheme and host of the server: forms may lead there (content security policy)."""
        ...

    def login_url(self, service: str, proof: LoginProof, *, fresh: bool = False) -> str:
        """Where the browser logs in; `fresh`: with the password, whatever is open there already.

        Raises: Unavailable, Malformed.
        """
        ...

    def logout_url(self, service: str) -> str:
        """Where the browser ends the single sign-on as well. Raises: Unavailable, Malformed."""
        ...

    def account_of(self, service: str, ticket: str, proof: LoginProof, *, fresh: bool = False) -> str:
        """The network account that a ticket proves, once. `service` is byte for byte that of `login_url`.

        `fresh`: the server vouches that the password was typed for it; what the browser was asked
        to do counts for nothing.
        Raises: TicketRefused; Unavailable - no usable answer in time; Malformed - no honest answer.
        """
        ...


def named_account(values: Iterable[object], rules: AccountRules) -> str:
    """Return the account that these values name: one, however often it is repeated.

    Raises: Malformed - no value, one that is no account, or two that differ.
    """
    found = {rules.parse(value) if isinstance(value, str) else None for value in values}
    account_no = found.pop() if len(found) == 1 else None
    if account_no is None:
        raise Malformed("identity answer names no account")
    return account_no
