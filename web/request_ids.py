"""Request ids: taken from the proxy, or made here; in every log line of a request and in its answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from models.values import request_id

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

HEADER = "X-Request-Id"
_VARIABLE = "HTTP_X_REQUEST_ID"


class RequestIds:
    """WSGI: runs the application behind it under the id of each request.

    Args:
        trusted: a proxy of ours stands in front and sets the header; without one a client could choose
            the id of its log lines, or repeat another request's.
    """

    def __init__(self, behind: WSGIApplication, *, trusted: bool) -> None:
        self._behind = behind
        self._trusted = trusted

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """One request."""
        received = environ.get(_VARIABLE, "")
        known = self._trusted and request_id.is_id(received)
        number = received if known else request_id.new()

        def start(status: str, headers: list[tuple[str, str]], *error: Any) -> Any:
            return start_response(status, [*headers, (HEADER, number)], *error)

        with request_id.bound(number):
            return self._behind(environ, start)
