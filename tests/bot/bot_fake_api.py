"""A tiny HTTP server that answers like api.weixin.qq.com as a test tells it."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Call = tuple[str, dict[str, str], Any]
Route = Callable[[dict[str, str], Any], Any]


class FakeApi:
    """Routes by path; an answer is a JSON value, bytes, an HTTP status, or None to hang up."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.routes: dict[str, Route] = {}
        self.token = "token-1"
        self.tokens_given = 0
        self.on("/cgi-bin/stable_token", self._give_token)
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                # A client that gave up is what some tests are about.
                with suppress(OSError):
                    fake._answer(self)

            do_POST = do_GET  # noqa: N815 - http.server's protocol

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.base = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def on(self, path: str, answer: Route | Any) -> None:
        self.routes[path] = answer if callable(answer) else lambda _query, _body: answer

    def calls_of(self, path: str) -> list[Call]:
        return [call for call in self.calls if call[0] == path]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _give_token(self, _query: dict[str, str], _body: Any) -> dict[str, Any]:
        self.tokens_given += 1
        return {"access_token": self.token, "expires_in": 7200}

    def _answer(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        raw = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        query = dict(parse_qsl(parts.query))
        body = json.loads(raw) if raw else None
        self.calls.append((parts.path, query, body))
        answer = self.routes[parts.path](query, body)
        if answer is None:
            request.close_connection = True
            return
        if isinstance(answer, int):
            request.send_response(answer)
            payload = b"<html>"
        else:
            request.send_response(200)
            payload = answer if isinstance(answer, bytes) else json.dumps(answer, ensure_ascii=False).encode()
        request.send_header("Content-Length", str(len(payload)))
        request.end_headers()
        request.wfile.write(payload)
