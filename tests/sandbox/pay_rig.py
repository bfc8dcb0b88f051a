"""A pay platform on a real loopback port, a merchant that signs by itself, and a site that records."""

from __future__ import annotations

import base64
import json
import secrets
import threading
import time
from collections.abc import Callable
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self, cast

import requests
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from flask import Flask

from sandbox.credentials import Credentials, issue
from sandbox.engine import Engine, Site
from sandbox.http import HttpServer
from sandbox.pay import PayPlatform, pay_blueprint

OPENID = "oXiaoMing0000000000000000001"
OTHER_OPENID = "oXiaoHong0000000000000000002"
PATIENCE_S = 10.0


@cache
def credentials() -> Credentials:
    return issue()


class RecordingSite:
    """Receives notifications; answers with the next of `statuses`, 204 when they run out."""

    def __init__(self) -> None:
        self.received: list[tuple[dict[str, str], bytes]] = []
        self.statuses: list[int] = []
        self.changed = threading.Condition()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status = outer.record(dict(self.headers.items()), body)
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                """Stay quiet."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/wechatpay/notify"
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def record(self, headers: dict[str, str], body: bytes) -> int:
        with self.changed:
            self.received.append((headers, body))
            self.changed.notify_all()
            return self.statuses.pop(0) if self.statuses else 204

    def wait_for(self, count: int) -> None:
        with self.changed:
            assert self.changed.wait_for(lambda: len(self.received) >= count, PATIENCE_S), (
                f"{len(self.received)} of {count} notifications came"
            )

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


class Merchant:
    """A merchant's side, written against the vendor's document and `cryptography` alone."""

    def __init__(self, url: str, notify_url: str, stamp: Callable[[], float] = time.time) -> None:
        self.credentials = credentials()
        self.url = url
        self.notify_url = notify_url
        self.stamp = stamp
        self.http = requests.Session()
        self.http.trust_env = False
        pem = self.credentials.merchant_key_pem.encode()
        key = load_pem_private_key(pem, None, unsafe_skip_rsa_key_validation=True)
        self.key = cast("RSAPrivateKey", key)

    def authorization(self, method: str, target: str, body: bytes, **changed: str) -> str:
        values = {
            "mchid": self.credentials.mch_id,
            "serial_no": self.credentials.merchant_serial,
            "nonce_str": secrets.token_hex(16),
            "timestamp": str(int(self.stamp())),
        } | changed
        head = f"{method}\n{target}\n{values['timestamp']}\n{values['nonce_str']}\n".encode()
        values.setdefault("signature", self.sign(head + body + b"\n"))
        return "WECHATPAY2-SHA256-RSA2048 " + ",".join(f'{name}="{value}"' for name, value in values.items())

    def sign(self, message: bytes) -> str:
        return base64.b64encode(self.key.sign(message, PKCS1v15(), SHA256())).decode()

    def call(
        self,
        method: str,
        target: str,
        body: object = None,
        *,
        headers: dict[str, str | None] | None = None,
        timeout_s: float = PATIENCE_S,
        **authorization: str,
    ) -> requests.Response:
        raw = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        sent: dict[str, str | None] = {
            "Authorization": self.authorization(method, target, raw, **authorization),
            "Accept": "application/json",
            "User-Agent": "rig",
            "Content-Type": "application/json",
            "Wechatpay-Serial": self.credentials.public_key_id,
        }
        return self.http.request(
            method,
            self.url + target,
            data=raw or None,
            headers=cast("dict[str, str]", sent | (headers or {})),
            timeout=timeout_s,
        )

    def order(self, out_trade_no: str = "R202501010001", **changed: Any) -> dict[str, Any]:
        return {
            "appid": self.credentials.app_id,
            "mchid": self.credentials.mch_id,
            "description": "校园网充值",
            "out_trade_no": out_trade_no,
            "notify_url": self.notify_url,
            "amount": {"total": 500, "currency": "CNY"},
            "payer": {"openid": OPENID},
        } | changed

    def prepay(self, out_trade_no: str = "R202501010001", **changed: Any) -> requests.Response:
        return self.call("POST", "/v3/pay/transactions/jsapi", self.order(out_trade_no, **changed))

    def query(self, out_trade_no: str = "R202501010001", **options: Any) -> requests.Response:
        target = f"/v3/pay/transactions/out-trade-no/{out_trade_no}?mchid={self.credentials.mch_id}"
        return self.call("GET", target, **options)

    def close(self, out_trade_no: str = "R202501010001") -> requests.Response:
        body = {"mchid": self.credentials.mch_id}
        return self.call("POST", f"/v3/pay/transactions/out-trade-no/{out_trade_no}/close", body)

    def pay_params(self, prepay_id: str, **changed: str) -> dict[str, str]:
        params = {
            "appId": self.credentials.app_id,
            "timeStamp": str(int(self.stamp())),
            "nonceStr": secrets.token_hex(16),
            "package": f"prepay_id={prepay_id}",
            "signType": "RSA",
        }
        names = ("appId", "timeStamp", "nonceStr", "package")
        params["paySign"] = self.sign("".join(f"{params[name]}\n" for name in names).encode())
        return params | changed

    def sim(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        response = self.http.post(f"{self.url}/sim/pay/{path}", json=body or {}, timeout=PATIENCE_S)
        return cast("dict[str, Any]", response.json())

    # What a careful merchant does with what the platform sends.

    def platform_key(self, serial: str) -> RSAPublicKey:
        if serial == self.credentials.public_key_id:
            return cast("RSAPublicKey", load_pem_public_key(self.credentials.public_key_pem.encode()))
        assert serial == self.credentials.platform_serial
        pem = self.credentials.platform_cert_pem.encode()
        return cast("RSAPublicKey", x509.load_pem_x509_certificate(pem).public_key())

    def verify(self, headers: Any, body: bytes) -> str:
        """The serial of the key that signed; raises InvalidSignature or KeyError."""
        message = f"{headers['Wechatpay-Timestamp']}\n{headers['Wechatpay-Nonce']}\n".encode() + body + b"\n"
        signature = base64.b64decode(headers["Wechatpay-Signature"], validate=True)
        serial = str(headers["Wechatpay-Serial"])
        self.platform_key(serial).verify(signature, message, PKCS1v15(), SHA256())
        return serial

    def open_notification(self, body: bytes) -> dict[str, Any]:
        resource = json.loads(body)["resource"]
        box = base64.b64decode(resource["ciphertext"])
        aead = AESGCM(self.credentials.api_v3_key.encode())
        plain = aead.decrypt(resource["nonce"].encode(), box, resource["associated_data"].encode())
        return cast("dict[str, Any]", json.loads(plain))


class PayRig(Merchant):
    """A platform that serves, a site that records, and their merchant; use as a context manager."""

    def __init__(self, seed: int = 0, *, shared_clock: bool = True) -> None:
        site = Site("http://127.0.0.1", "http://127.0.0.1/wechat")
        self.engine = Engine(credentials(), site, seed=seed, shared_clock=shared_clock)
        self.platform = PayPlatform(self.engine, lambda openid: openid in {OPENID, OTHER_OPENID})
        self.site = RecordingSite()
        app = Flask(__name__)
        app.register_blueprint(pay_blueprint(self.platform))
        self._server = HttpServer("127.0.0.1", 0, app)
        self._thread = threading.Thread(target=self._server.run, daemon=True)
        super().__init__(f"http://127.0.0.1:{self._server.port}", self.site.url, self.engine.stamp)

    def __enter__(self) -> Self:
        self.engine.scheduler.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.http.close()
        self.engine.scheduler.stop()
        self._server.shutdown()
        self._server.close()
        self._thread.join()
        self.engine.outbound.close()
        self.site.stop()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        threading.Event().wait(0.01)
