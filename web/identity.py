"""Unified identity, here by CAS: send the browser there, ask the server what its ticket is worth.

A campus password is never typed on a page of ours. Protocol: CAS 3.0, `/p3/serviceValidate`;
`docs/decisions/0004-cas-validator.md` says why these lines are our own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Protocol
from urllib.parse import urlencode, urlsplit
from xml.etree.ElementTree import Element, ParseError

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from models.errors import Malformed, Refused, Unavailable
from models.values.account_no import DEFAULT_RULES, AccountRules
from web.identity_http import ask

NAMESPACE = "{http://www.yale.edu/tp/cas}"
TICKET = re.compile(r"ST-[\x21-\x7e]{1,250}")
# Failures that mean "this ticket is worth nothing"; any other is the two servers' disagreement.
TICKET_FAILURES = ("INVALID_TICKET", "INVALID_TICKET_SPEC")


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

    def login_url(self, service: str, *, fresh: bool = False) -> str:
        """Where the browser logs in; `fresh`: with the password, whatever is open there already.

        Raises: Unavailable, Malformed.
        """
        ...

    def logout_url(self, service: str) -> str:
        """Where the browser ends the single sign-on as well. Raises: Unavailable, Malformed."""
        ...

    def account_of(self, service: str, ticket: str, *, fresh: bool = False) -> str:
        """The network account that a ticket proves, once. `service` is byte for byte that of `login_url`.

        `fresh`: the server vouches that the password was typed for it; what the browser was asked
        to do counts for nothing.
        Raises: TicketRefused; Unavailable - no usable answer in time; Malformed - no honest answer.
        """
        ...


@dataclass(frozen=True)
class IdentityConfig:
    """`base_url` without a slash at the end, e.g. `https://ids.example.edu.cn/authserver`.

    `account_attribute` names the attribute that carries the network account; empty: `cas:user`.
    """

    base_url: str
    account_attribute: str = ""
    timeout_s: float = 5.0
    account_rules: AccountRules = DEFAULT_RULES


class Identity:
    """One CAS server. Keeps nothing between calls, so all threads may share it."""

    ticket_field = "ticket"

    def __init__(self, config: IdentityConfig) -> None:
        self._config = config

    @property
    def origin(self) -> str:
        """Scheme and host of the server: forms may lead there (content security policy)."""
        parts = urlsplit(self._config.base_url)
        return f"{parts.scheme}://{parts.netloc}"

    def login_url(self, service: str, *, fresh: bool = False) -> str:
        """Where the browser logs in; it comes back to `service` with a `ticket`."""
        return f"{self._config.base_url}/login?{urlencode({'service': service} | _renew(fresh=fresh))}"

    def logout_url(self, service: str) -> str:
        """Where the browser ends the single sign-on as well."""
        return f"{self._config.base_url}/logout?{urlencode({'service': service})}"

    def account_of(self, service: str, ticket: str, *, fresh: bool = False) -> str:
        """The network account that a ticket proves, once. `service` is byte for byte that of `login_url`.

        `fresh`: a ticket that came from an open session, without a password, is refused by the server.
        Raises: TicketRefused; Unavailable - no usable answer in time; Malformed - this is no CAS answer.
        """
        if not TICKET.fullmatch(ticket):
            raise TicketRefused
        return self._account_in(self._ask(service, ticket, _renew(fresh=fresh)))

    def _ask(self, service: str, ticket: str, more: Mapping[str, str]) -> bytes:
        status, body = ask(
            f"{self._config.base_url}/p3/serviceValidate",
            query={"service": service, "ticket": ticket, **more},
            timeout_s=self._config.timeout_s,
        )
        if status != HTTPStatus.OK:
            raise Unavailable(f"identity server answered {status}")
        return body

    def _account_in(self, body: bytes) -> str:
        try:
            root = ElementTree.fromstring(body, forbid_dtd=True)
        except (ParseError, DefusedXmlException, ValueError) as error:
            raise Malformed("identity answer is no XML we accept") from error
        if root.tag != f"{NAMESPACE}serviceResponse" or len(root) != 1:
            raise Malformed("identity answer is no CAS answer")
        outcome = root[0]
        if outcome.tag == f"{NAMESPACE}authenticationFailure":
            if outcome.get("code") in TICKET_FAILURES:
                raise TicketRefused
            raise Unavailable(f"identity server refused: {outcome.get('code', '')[:40]}")
        if outcome.tag != f"{NAMESPACE}authenticationSuccess":
            raise Malformed("identity answer has no outcome")
        return self._account_text(outcome)

    def _account_text(self, success: Element) -> str:
        name = self._config.account_attribute
        path = f"{NAMESPACE}attributes/{NAMESPACE}{name}" if name else f"{NAMESPACE}user"
        found = success.findall(path)
        account_no = self._config.account_rules.parse(found[0].text or "") if len(found) == 1 else None
        if account_no is None:
            raise Malformed("identity answer names no account")
        return account_no


def _renew(*, fresh: bool) -> dict[str, str]:
    # CAS 3.0 §2.1.1 and §2.5.1: in the login it asks for the password, in the validation it proves it.
    return {"renew": "true"} if fresh else {}
