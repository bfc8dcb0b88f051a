"""A small threaded HTTP/1.1 server for one WSGI application, with real keep-alive.

Werkzeug's own server closes each connection; the clients under test pool theirs, and a fault
that cuts a connection only means something on one that would have lived on.
"""

from __future__ import annotations

import io
import logging
import socket
import socketserver
import sys
import threading
from collections.abc import Iterable
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import unquote_to_bytes
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

log = logging.getLogger(__name__)

IDLE_S = 75.0
BODY_LIMIT_BYTES = 20_000_000
NO_BODY = {204, 304}


class HttpServer(socketserver.ThreadingTCPServer):
    """Listens on a loopback address; each connection has its thread."""

    allow_reuse_address = True
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, host: str, port: int, app: WSGIApplication) -> None:
        self.app = app
        self._sockets: set[socket.socket] = set()
        self._sockets_lock = threading.Lock()
        super().__init__((host, port), Handler)

    @property
    def port(self) -> int:
        """The port in use."""
        return int(self.server_address[1])

    def run(self) -> None:
        """Serve until `shutdown`, which it notices within 20 ms."""
        self.serve_forever(poll_interval=0.02)

    def close(self) -> None:
        """Give the port back and cut every connection; call `shutdown` first when `run` is under way."""
        self.server_close()
        with self._sockets_lock:
            for peer in self._sockets:
                _cut(peer)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection, so that `close` can end it."""
        with self._sockets_lock:
            self._sockets.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget the connection and close it."""
        with self._sockets_lock:
            self._sockets.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ARG002 - the base class's
        """A peer that left is no news; all else goes to the log."""
        error = sys.exception()
        if not isinstance(error, ConnectionError | TimeoutError):
            log.error("request failed", exc_info=error)


class Handler(BaseHTTPRequestHandler):
    """One connection: requests one after the other until the peer closes or falls silent."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_S
    disable_nagle_algorithm = True
    server: HttpServer

    def serve(self) -> None:
        """Run the application for one request."""
        length = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not length.isdigit() or int(length) > BODY_LIMIT_BYTES:
            self.close_connection = True
            self.send_error(411 if "Transfer-Encoding" in self.headers else 413)
            return
        environ = self._environ(self.rfile.read(int(length)), length)
        _Answer(self).run(self.server.app, environ)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = serve  # noqa: N815 - stdlib's names

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name
        """No access log: the wire log shows more."""

    def _environ(self, body: bytes, length: str) -> WSGIEnvironment:
        path, _, query = self.path.partition("?")
        environ: WSGIEnvironment = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(path).decode("latin-1"),
            "QUERY_STRING": query,
            "REQUEST_URI": self.path,
            "SERVER_PROTOCOL": self.request_version,
            "SERVER_NAME": str(self.server.server_address[0]),
            "SERVER_PORT": str(self.server.port),
            "REMOTE_ADDR": str(self.client_address[0]),
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": length,
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            # The name under which Werkzeug's server hands its socket over: faults cut it.
            "werkzeug.socket": self.connection,
        }
        for name, value in self.headers.items():
            key = "HTTP_" + name.upper().replace("-", "_")
            if key not in {"HTTP_CONTENT_TYPE", "HTTP_CONTENT_LENGTH"}:
                environ[key] = f"{environ[key]},{value}" if key in environ else value
        return environ


class _Answer:
    """Writes what one WSGI call yields: with its length, or in chunks when there is none."""

    def __init__(self, handler: Handler) -> None:
        self._handler = handler
        self._status = 500
        self._chunked = False

    def run(self, app: WSGIApplication, environ: WSGIEnvironment) -> None:
        """Call the application and send its answer."""
        parts = app(environ, self._start())
        try:
            self._send(parts)
        finally:
            close = getattr(parts, "close", None)
            if close is not None:
                close()

    def _start(self) -> StartResponse:
        def start_response(status: str, headers: list[tuple[str, str]], exc_info: Any = None, /) -> Any:
            del exc_info
            code, _, reason = status.partition(" ")
            self._status = int(code)
            self._handler.send_response_only(self._status, reason)
            for name, value in headers:
                self._handler.send_header(name, value)
            known = any(name.lower() == "content-length" for name, _ in headers)
            self._chunked = not known and self._status not in NO_BODY
            if self._chunked:
                self._handler.send_header("Transfer-Encoding", "chunked")
            return self._handler.wfile.write

        return start_response

    def _send(self, parts: Iterable[bytes]) -> None:
        """Join head and first part, so that a short answer is one packet."""
        silent = self._handler.command == "HEAD" or self._status in NO_BODY
        head_sent = False
        for part in parts:
            if not head_sent:
                head_sent = self._end_headers()
            if part and not silent:
                self._handler.wfile.write(b"%X\r\n%s\r\n" % (len(part), part) if self._chunked else part)
        if not head_sent:
            self._end_headers()
        if self._chunked and not silent:
            self._handler.wfile.write(b"0\r\n\r\n")

    def _end_headers(self) -> bool:
        self._handler.end_headers()
        return True


def _cut(peer: socket.socket) -> None:
    try:
        peer.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
