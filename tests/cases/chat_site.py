"""A site for the `chat-*` cases: the pushes' own part of the product, without the rest of a demo."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from bot.callback import Callback
from bot.envelope import CallbackConfig
from bot.replies import ReplyStore
from bot.robot import build_robot
from handlers import ROUTES
from tests.handlers.handler_chat import open_chat, prepare

TOKEN, APP_ID, US = "token-of-the-cases", "wx0000000000000001", "gh_campus"
KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"


class _Site(ThreadingHTTPServer):
    daemon_threads = True
    callback: Callback


class _Handler(BaseHTTPRequestHandler):
    server: _Site

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        query = dict(parse_qsl(urlsplit(self.path).query))
        status, text, content_type = self.server.callback.handle(query, body)
        data = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@contextmanager
def chat_site(folder: Path) -> Iterator[dict[str, str]]:
    """Run the site with the files of a demo in `folder`. Yields: the environment that the cases read."""
    (folder / "config.toml").write_text(
        f'[wechat]\ntoken = "{TOKEN}"\napp_id = "{APP_ID}"\noriginal_id = "{US}"\n'
        f'encoding_aes_key = "{KEY}"\n',
        encoding="utf-8",
    )
    (folder / "web.log").touch()
    services = open_chat(prepare(folder / "campusnet.db")).services
    # Nothing listens there: the store keeps replies in this process.
    nowhere = Redis(host="127.0.0.1", port=1, socket_connect_timeout=0.2, retry=Retry(NoBackoff(), 0))
    site = _Site(("127.0.0.1", 0), _Handler)
    site.callback = Callback(
        CallbackConfig(token=TOKEN, mode="safe", app_id=APP_ID, encoding_aes_key=KEY, original_id=US),
        ReplyStore(nowhere),
        build_robot(ROUTES, services),
        lambda: datetime.now(UTC),
        lambda _openid, _text: None,
    )
    thread = threading.Thread(target=site.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield {"DEMO": str(folder), "SITE": f"http://127.0.0.1:{site.server_port}"}
    finally:
        site.shutdown()
        site.server_close()
        site.callback.close()
        services.database.dispose()
        thread.join(timeout=5)
