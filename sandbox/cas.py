"""The campus's unified identity as a CAS server: login page, service tickets, validation."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from urllib.parse import urlsplit

from sandbox.engine import Engine
from sandbox.oa import xml
from sandbox.students import Identity, Students
from sandbox.urls import with_parameters

TICKET_LIFE_S = 30
SESSION_LIFE_S = 8 * 3600
NAMESPACE = "http://www.yale.edu/tp/cas"


class ValidationFailed(Exception):
    """No success for this ticket; `code` is one of the protocol's."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass
class ServiceTicket:
    """Good once, for one service, for 30 seconds."""

    identity: Identity
    service: str
    at: float
    renewed: bool
    used: bool = False


class Cas:
    """Sessions and tickets; the pages are in `cas_views`."""

    def __init__(self, engine: Engine, students: Students) -> None:
        self._engine = engine
        self._students = students
        self._sessions: dict[str, tuple[Identity, float]] = {}
        self._tickets: dict[str, ServiceTicket] = {}

    def reset(self) -> None:
        """Log everybody out."""
        with self._engine.lock:
            self._sessions.clear()
            self._tickets.clear()

    def allows(self, service: str) -> bool:
        """Only services of the site under test are registered."""
        parts, own = urlsplit(service), urlsplit(self._engine.site.origin)
        return (parts.scheme, parts.netloc) == (own.scheme, own.netloc)

    def login(self, account_no: str, password: str) -> str | None:
        """A new session key, or None when the password is wrong."""
        student = self._students.by_account(account_no.strip())
        if student is None or not secrets.compare_digest(
            student.identity.password.encode(), password.encode()
        ):
            return None
        key = "TGT-" + secrets.token_urlsafe(32)
        with self._engine.lock:
            self._sessions[key] = (student.identity, self._engine.clock.timestamp())
        return key

    def logout(self, key: str) -> None:
        """End a session; an unknown one is no error."""
        with self._engine.lock:
            self._sessions.pop(key, None)

    def session(self, key: str) -> Identity | None:
        """Who is logged in under this key."""
        identity, at = self._sessions.get(key, (None, 0.0))
        alive = self._engine.clock.timestamp() - at < SESSION_LIFE_S
        return identity if alive else None

    def ticket_url(self, identity: Identity, service: str, *, renewed: bool) -> str:
        """The address of the service with a fresh ticket in its query."""
        ticket = f"ST-{secrets.randbelow(10**6)}-{secrets.token_urlsafe(20)}-cas"
        with self._engine.lock:
            self._tickets[ticket] = ServiceTicket(
                identity, service, self._engine.clock.timestamp(), renewed=renewed
            )
        return with_parameters(service, {"ticket": ticket})

    def validate(self, service: str, ticket: str, *, renew: bool = False) -> Identity:
        """Whose ticket this is; each ticket is answered once, whatever the answer.

        Raises: ValidationFailed with INVALID_REQUEST, INVALID_TICKET or INVALID_SERVICE.
        """
        if not service or not ticket:
            raise ValidationFailed("INVALID_REQUEST", "'service' and 'ticket' parameters are both required")
        fault = self._engine.faults.take("cas")
        with self._engine.lock:
            known = self._tickets.get(ticket)
            now = self._engine.clock.timestamp()
            if fault is not None and fault.name == "invalid_ticket":
                known = None
            if known is None or known.used or now - known.at > TICKET_LIFE_S:
                raise ValidationFailed("INVALID_TICKET", f"Ticket '{ticket}' not recognized")
            known.used = True
        if known.service != service:
            raise ValidationFailed(
                "INVALID_SERVICE", f"ticket '{ticket}' does not match supplied service: {service}"
            )
        if renew and not known.renewed:
            raise ValidationFailed("INVALID_TICKET", "the ticket came from a session, not from credentials")
        return known.identity


def success_xml(identity: Identity, *, attributes: bool) -> str:
    """The protocol's answer; attributes with version 3 only."""
    user: dict[str, object] = {"cas:user": identity.account_no}
    if attributes:
        user["cas:attributes"] = {
            "cas:name": identity.name,
            "cas:studentNumber": identity.account_no,
            "cas:kind": identity.kind,
        }
    return _response({"cas:authenticationSuccess": user})


def failure_xml(error: ValidationFailed) -> str:
    """The protocol's refusal."""
    text = xml.build({"text": str(error)}).removeprefix("<xml><text>").removesuffix("</text></xml>")
    return (
        f'<cas:serviceResponse xmlns:cas="{NAMESPACE}">'
        f'<cas:authenticationFailure code="{error.code}">{text}</cas:authenticationFailure>'
        "</cas:serviceResponse>"
    )


def _response(content: dict[str, object]) -> str:
    inner = xml.build(content).removeprefix("<xml>").removesuffix("</xml>")
    return f'<cas:serviceResponse xmlns:cas="{NAMESPACE}">{inner}</cas:serviceResponse>'
