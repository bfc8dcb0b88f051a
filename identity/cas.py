"""Unified identity, here by CAS: send the browser there, ask the server what its ticket is worth.

A campus password is never typed on a page of ours. Protocol: CAS 3.0, `/p3/serviceValidate`;
`docs/decisions/0004-cas-validator.md` says why these lines are our own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode, urlsplit
from xml.etree.ElementTree import Element

from identity.base import TicketRefused, named_account
from identity.http import ask
from identity.login_states import LoginProof
from identity.xml_answer import read_answer
from models.errors import Malformed, Unavailable
from models.values.account_no import DEFAULT_RULES, AccountRules

SAML = "{urn:oasis:names:tc:SAML:2.0:protocol}"
NAMESPACE = "{http://www.yale.edu/tp/cas}"
OUTCOMES = (f"{NAMESPACE}authenticationSuccess", f"{NAMESPACE}authenticationFailure")
TICKET = re.compile(r"ST-[\x21-\x7e]{1,250}")
# Failures that mean "this ticket is worth nothing"; any other is the two servers' disagreement.
TICKET_FAILURES = ("INVALID_TICKET", "INVALID_TICKET_SPEC")


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

    def login_url(self, service: str, proof: LoginProof, *, fresh: bool = False) -> str:
        """Where the browser logs in; it comes back to `service` with a `ticket`."""
        del proof  # CAS binds its ticket to `service` alone
        return f"{self._config.base_url}/login?{urlencode({'service': service} | _renew(fresh=fresh))}"

    def logout_url(self, service: str) -> str:
        """Where the browser ends the single sign-on as well."""
        return f"{self._config.base_url}/logout?{urlencode({'service': service})}"

    def account_of(self, service: str, ticket: str, proof: LoginProof, *, fresh: bool = False) -> str:
        """The network account that a ticket proves, once. `service` is byte for byte that of `login_url`.

        `fresh`: a ticket that came from an open session, without a password, is refused by the server.
        Raises: TicketRefused; Unavailable - no usable answer in time; Malformed - this is no CAS answer.
        """
        del proof
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
        root = read_answer(body)
        if root.tag != f"{NAMESPACE}serviceResponse":
            raise Malformed("identity answer is no CAS answer")
        outcomes = [child for child in root if child.tag in OUTCOMES]
        if len(outcomes) != 1:
            raise Malformed("identity answer has no outcome")
        outcome = outcomes[0]
        if outcome.tag == f"{NAMESPACE}authenticationFailure":
            if outcome.get("code") in TICKET_FAILURES:
                raise TicketRefused
            raise Unavailable(f"identity server refused: {outcome.get('code', '')[:40]}")
        return self._account_text(outcome)

    def _account_text(self, success: Element) -> str:
        name = self._config.account_attribute
        if name:
            values = [value for holder in _holders(success) for value in _values(holder, name)]
        else:
            values = [_text(user) for user in success.findall(f"{NAMESPACE}user")]
        return named_account(values, self._config.account_rules)


def _holders(success: Element) -> list[Element]:
    """Return the elements that hold attributes, by the habits of several servers."""
    inside = success.findall(f"{NAMESPACE}attributes")
    # Casdoor has one level more; some servers have none.
    below = [deeper for holder in inside for deeper in holder.findall(f"{NAMESPACE}userAttributes")]
    return [success, *inside, *below]


def _values(holder: Element, name: str) -> Iterator[str | None]:
    """Yield the values of an attribute: `<cas:NAME>value`, or `<cas:attribute>` with a name and a value.

    Both stand in attributes (`name="…" value="…"`, or the value as text) or in elements of their own.
    """
    for child in holder:
        if child.tag == f"{NAMESPACE}{name}":
            yield _text(child)
        elif child.tag == f"{NAMESPACE}attribute":
            names = [_text(element) for element in child.findall(f"{NAMESPACE}name")]
            if child.get("name", names[0] if len(names) == 1 else None) != name:
                continue
            values = [_text(element) for element in child.findall(f"{NAMESPACE}value")]
            yield from values or [child.get("value", _text(child))]


def _text(element: Element) -> str | None:
    """Return the text of an element; None where it holds more than text."""
    return None if len(element) else (element.text or "").strip()


def logged_out_ticket(message: str) -> str:
    """Return the ticket that a single logout request names (CAS 3.0 §2.3.3). Raises: Malformed."""
    root = read_answer(message)
    found = root.findall(f"{SAML}SessionIndex")
    ticket = (found[0].text or "").strip() if root.tag == f"{SAML}LogoutRequest" and len(found) == 1 else ""
    if not TICKET.fullmatch(ticket):
        raise Malformed("logout request names no ticket")
    return ticket


def _renew(*, fresh: bool) -> dict[str, str]:
    # CAS 3.0 §2.1.1 and §2.5.1: in the login it asks for the password, in the validation it proves it.
    return {"renew": "true"} if fresh else {}
