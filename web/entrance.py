"""The push entrance before Flask: the one address where a millisecond counts, and none of Flask is needed.

No cookie, no form token, no session, no template: query and body in, three values out. Whatever is
unusual about a request (another method, no plain length, too long) takes the way through Flask,
where `web/hooks.py` says the same.
"""

from __future__ import annotations

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from models.values.security_log import SecurityEvent
from web.services import WebServices

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PATH = "/wechat"


class PushEntrance:
    """WSGI: answers ordinary pushes itself, hands everything else to the application behind it."""

    def __init__(
        self, behind: WSGIApplication, services: WebServices, limit_bytes: int, *, trusted_proxies: int = 0
    ) -> None:
        self._behind = behind
        self._services = services
        self._limit_bytes = limit_bytes
        self._trusted_proxies = trusted_proxies

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """One request."""
        length = environ.get("CONTENT_LENGTH") or ""
        if (
            environ["PATH_INFO"] != PATH
            or environ["REQUEST_METHOD"] != "POST"
            or not (length.isascii() and length.isdecimal())
            or int(length) > self._limit_bytes
        ):
            return self._behind(environ, start_response)
        query: dict[str, str] = {}
        for name, value in parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True):
            query.setdefault(name, value)
        body = environ["wsgi.input"].read(int(length))
        status, text, content_type = self._services.callback.handle(query, body)
        if status >= HTTPStatus.BAD_REQUEST:
            source = client_address(environ, self._trusted_proxies)
            self._services.security.record(SecurityEvent.PUSH_REFUSED, source, reason=str(status))
        data = text.encode()
        headers = [
            ("Content-Type", content_type),
            ("Content-Length", str(len(data))),
            ("Cache-Control", "no-store"),
            ("X-Content-Type-Options", "nosniff"),
        ]
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [data]


def client_address(environ: WSGIEnvironment, trusted_proxies: int) -> str:
    """Return the client's address as ProxyFix finds it: the last but `trusted_proxies` of those named."""
    named = [part.strip() for part in environ.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
    if trusted_proxies and len(named) >= trusted_proxies:
        return str(named[-trusted_proxies])[:64]
    return str(environ.get("REMOTE_ADDR", ""))
