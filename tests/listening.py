"""A WSGI application on a loopback port, for as long as a test needs it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from werkzeug.serving import BaseWSGIServer, WSGIRequestHandler, make_server

Application = Callable[[dict[str, Any], Any], Any]


class _Quiet(WSGIRequestHandler):
    """No access log between the dots."""

    protocol_version = "HTTP/1.1"

    def log(self, *_: object) -> None:
        """Say nothing."""


def listen(application: Application) -> BaseWSGIServer:
    """A server on a free port; its caller runs `serve_forever`, `shutdown` and `server_close`."""
    return make_server("127.0.0.1", 0, _whole(application), threaded=True, request_handler=_Quiet)


def _whole(application: Application) -> Application:
    # Werkzeug's server does not close an answer whose reader left meanwhile, and files stay open.
    def answer(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        parts = application(environ, start_response)
        try:
            return list(parts)
        finally:
            if hasattr(parts, "close"):
                parts.close()

    return answer
