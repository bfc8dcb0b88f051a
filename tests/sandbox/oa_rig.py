"""A sandbox and a site that records what it is sent and answers what the test says."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit

import requests
from requests.structures import CaseInsensitiveDict
from wechatpy.crypto import WeChatCrypto

from sandbox.credentials import Credentials
from sandbox.engine import Site
from sandbox.oa.push import TIMEOUT_S
from sandbox.oa.users import openid_for
from sandbox.server import Sandbox

DEADLINE_S = 10.0
TRY_TIMEOUT_S = 0.3


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    query: dict[str, str]
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    body: bytes = b"success"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/plain"),)


class RecordingSite:
    def __init__(self) -> None:
        self.received: list[Received] = []
        self.respond: Callable[[Received], Answer] = lambda _received: Answer()
        self.trickle_s = 0.0
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self) -> None:
                parts = urlsplit(self.path)
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                query = dict(parse_qsl(parts.query, keep_blank_values=True))
                got = Received(
                    self.command, parts.path, query, CaseInsensitiveDict(self.headers.items()), body
                )
                site.received.append(got)
                answer = site.respond(got)
                self.send_response(answer.status)
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                for number in range(len(answer.body)) if site.trickle_s else ():
                    time.sleep(site.trickle_s)
                    self.wfile.write(answer.body[number : number + 1])
                if not site.trickle_s:
                    self.wfile.write(answer.body)

            do_GET = do_POST = do_PUT = serve  # noqa: N815 - the standard library's names

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:
                """A client that left before the answer is what many of these tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self.origin = f"http://127.0.0.1:{self._server.server_address[1]}"

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class OaRig:
    """Use with `with`. A try is given up after the five seconds of the platform, or after `impatient`."""

    def __init__(self, credentials: Credentials) -> None:
        self.credentials = credentials
        self.site = RecordingSite()
        self.sandbox = Sandbox(credentials, Site(self.site.origin, f"{self.site.origin}/wechat"))
        self.http = requests.Session()
        self.http.trust_env = False
        self.url = self.sandbox.url
        self.xiaoming = openid_for(credentials.app_id, "xiaoming")
        self._token = ""

    def __enter__(self) -> Self:
        self.site.start()
        self.sandbox.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()
        self.sandbox.stop()
        self.site.stop()

    def impatient(self) -> None:
        """Until the next world a try is given up after 0.3 s: for tests of sites that do not answer."""
        self.sandbox.oa.pusher.timeout_s = TRY_TIMEOUT_S

    def renew(self, mode: str) -> None:
        """A new world with messages in `mode`; only the clock remembers the one before."""
        self.sandbox.oa.pusher.timeout_s = TIMEOUT_S
        self.sandbox.reset()
        self.sandbox.set_message_mode(mode)
        self.site.respond = lambda _received: Answer()
        self.site.trickle_s = 0.0
        self.site.received.clear()
        self.http.cookies.clear()
        self._token = ""

    def sim(self, path: str, body: dict[str, Any] | None = None) -> Any:
        response = self.http.post(f"{self.url}/sim/{path}", json=body or {})
        assert response.ok, response.text
        return response.json()

    def look(self, path: str) -> Any:
        response = self.http.get(f"{self.url}/sim/{path}")
        assert response.ok, response.text
        return response.json()

    def act(self, action: str, body: dict[str, Any] | None = None, student: str = "xiaoming") -> Any:
        return self.sim(f"students/{student}/{action}", body)["delivery"]

    def bubbles(self, student: str = "xiaoming") -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.look(f"students/{student}/transcript")["bubbles"]
        return found

    def fault(self, place: str, name: str, **fields: Any) -> None:
        self.sim("faults", {"place": place, "name": name, **fields})

    def pass_time(self, seconds: float) -> None:
        """Move the clock; the next call takes a new token."""
        self.sim("clock/advance", {"seconds": seconds})
        self._token = ""

    def token(self) -> str:
        return str(self.ask_token()["access_token"])

    def ask_token(self, **changed: str) -> Any:
        own = {"appid": self.credentials.app_id, "secret": self.credentials.app_secret}
        query = {"grant_type": "client_credential", **own, **changed}
        return self.http.get(f"{self.url}/cgi-bin/token", params=query).json()

    def ask_stable(self, **changed: Any) -> Any:
        own = {"appid": self.credentials.app_id, "secret": self.credentials.app_secret}
        body = {"grant_type": "client_credential", **own, **changed}
        return self.http.post(f"{self.url}/cgi-bin/stable_token", json=body).json()

    def api(self, path: str, body: Any = None, token: str | None = None, **query: str) -> Any:
        """One call with a token; POST when there is a body."""
        if token is None:
            self._token = self._token or self.token()
        params = {"access_token": token if token is not None else self._token, **query}
        if body is None:
            return self.http.get(self.url + path, params=params).json()
        return self.http.post(self.url + path, params=params, json=body).json()

    def code(self, path: str, body: Any = None, **query: str) -> int:
        return int(self.api(path, body, **query).get("errcode", 0))

    def crypto(self) -> WeChatCrypto:
        keys = self.credentials
        return WeChatCrypto(keys.token, keys.encoding_aes_key, keys.app_id)

    def plain(self, got: Received) -> str:
        """The decrypted push, checked by an implementation that is not ours."""
        opened = self.crypto().decrypt_message(
            got.body, got.query["msg_signature"], got.query["timestamp"], got.query["nonce"]
        )
        return opened.decode() if isinstance(opened, bytes) else str(opened)

    def text_xml(self, text: str, **changed: str) -> str:
        fields = {"to": self.xiaoming, "from": self.credentials.original_id, "at": "1700000000", **changed}
        return (
            f"<xml><ToUserName><![CDATA[{fields['to']}]]></ToUserName>"
            f"<FromUserName><![CDATA[{fields['from']}]]></FromUserName>"
            f"<CreateTime>{fields['at']}</CreateTime><MsgType><![CDATA[text]]></MsgType>"
            f"<Content><![CDATA[{text}]]></Content></xml>"
        )

    def sealed(self, text: str) -> bytes:
        """A correctly encrypted and signed reply."""
        return str(self.crypto().encrypt_message(self.text_xml(text), "n0nce", "1700000000")).encode()


def wait_until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "the awaited condition never came"
        time.sleep(0.005)
