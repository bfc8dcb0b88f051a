"""A few lines of WeChat Pay: answers what a test tells it to, signed with keys made here."""

from __future__ import annotations

import json
import secrets
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from payments.wechatpay import crypto
from payments.wechatpay.client import PayConfig, WechatPay

APP_ID = "wx2421b1c4370ec43b"
MCH_ID = "1900007291"
API_V3_KEY = "0123456789abcdef0123456789abcdef"
MERCHANT_SERIAL = "408B07E79B8269FEC3D5D3E6AB8ED163A6A380DB"
PUBLIC_KEY_ID = "PUB_KEY_ID_0119000072912026010100000000000001"
NOW = datetime(2026, 9, 1, 4, 0, tzinfo=UTC)


@dataclass(frozen=True)
class Keys:
    merchant: rsa.RSAPrivateKey
    platform: rsa.RSAPrivateKey
    certified: rsa.RSAPrivateKey
    certificate_pem: str
    certificate_serial: str


@cache
def keys() -> Keys:
    merchant, platform, certified = (rsa.generate_private_key(65537, 2048) for _ in range(3))
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "platform")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(certified.public_key())
        .serial_number(int("0" + "5" * 39, 16))
        .not_valid_before(NOW - timedelta(days=1))
        .not_valid_after(NOW + timedelta(days=1))
        .sign(certified, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    return Keys(merchant, platform, certified, pem, "0" + "5" * 39)


def private_pem(key: rsa.RSAPrivateKey) -> str:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


def public_pem(key: rsa.RSAPrivateKey) -> str:
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def make_config(api_base: str, **changes: Any) -> PayConfig:
    settings: dict[str, Any] = {
        "app_id": APP_ID,
        "mch_id": MCH_ID,
        "api_v3_key": API_V3_KEY,
        "merchant_serial": MERCHANT_SERIAL,
        "merchant_key_pem": private_pem(keys().merchant),
        "public_keys": {PUBLIC_KEY_ID: public_pem(keys().platform)},
        "platform_certs": [keys().certificate_pem],
        "api_base": api_base,
        "notify_url": "https://net.example.edu.cn/wechatpay/notify",
        "connect_timeout_s": 2.0,
        "read_timeout_s": 5.0,
    }
    return PayConfig(**{**settings, **changes})


def signature_headers(
    body: bytes,
    *,
    at: datetime = NOW,
    serial: str = PUBLIC_KEY_ID,
    key: rsa.RSAPrivateKey | None = None,
) -> dict[str, str]:
    """The five headers WeChat Pay puts on answers and notifications."""
    signer = key or (keys().platform if serial == PUBLIC_KEY_ID else keys().certified)
    timestamp, nonce = str(int(at.timestamp())), secrets.token_hex(16)
    return {
        "Wechatpay-Serial": serial,
        "Wechatpay-Signature": crypto.sign(signer, crypto.answer_message(timestamp, nonce, body)),
        "Wechatpay-Timestamp": timestamp,
        "Wechatpay-Nonce": nonce,
        "Wechatpay-Signature-Type": crypto.SCHEME,
    }


@dataclass(frozen=True)
class Seen:
    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    port: int


@dataclass
class Answer:
    """`status` 0 cuts the connection, -1 lets the client wait until the test ends."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


def signed(status: int, value: Any = None, **how: Any) -> Answer:
    body = b"" if value is None else json.dumps(value, ensure_ascii=False).encode()
    return Answer(status, body, signature_headers(body, **how))


def refused(status: int, code: str, message: str = "说明", request_id: str = "08F78BB9-0") -> Answer:
    body = json.dumps({"code": code, "message": message}, ensure_ascii=False).encode()
    return Answer(status, body, {"Request-ID": request_id})


class SignedServer:
    """Takes the next answer for each request; keeps what it has seen."""

    def __init__(self) -> None:
        self.answers: list[Answer | Callable[[Seen], Answer]] = []
        self.seen: list[Seen] = []
        self.released = threading.Event()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                owner.serve(self)

            do_POST = do_GET  # noqa: N815 - http.server's name

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
                """Quiet."""

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: object, client_address: object) -> None:
                """Quiet: clients that hang up are what the tests are about."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        headers = dict(handler.headers.items())
        seen = Seen(handler.command, handler.path, headers, body, handler.client_address[1])
        self.seen.append(seen)
        answer = self.answers.pop(0)
        answer = answer if isinstance(answer, Answer) else answer(seen)
        if answer.status <= 0:
            self._no_answer(handler, answer.status)
            return
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        if answer.status != 204 and "Transfer-Encoding" not in answer.headers:
            handler.send_header("Content-Length", answer.headers.get("X-Length", str(len(answer.body))))
        handler.end_headers()
        handler.wfile.write(answer.body)
        if "X-Length" in answer.headers:
            handler.close_connection = True

    def _no_answer(self, handler: BaseHTTPRequestHandler, status: int) -> None:
        if status < 0:
            self.released.wait(30)
        connection = cast("socket.socket", handler.connection)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        handler.close_connection = True


def make_client(api_base: str, *, now: datetime = NOW, **changes: Any) -> WechatPay:
    return WechatPay(make_config(api_base, **changes), lambda: now)


ORDER_NO = "20260901R000000000000001"
EXPIRES_AT = datetime(2026, 9, 1, 4, 15, tzinfo=UTC)
UNPAID: dict[str, Any] = {
    "appid": APP_ID,
    "mchid": MCH_ID,
    "out_trade_no": ORDER_NO,
    "trade_state": "NOTPAY",
    "trade_state_desc": "订单未支付",
}
PAID: dict[str, Any] = {
    **UNPAID,
    "trade_state": "SUCCESS",
    "trade_state_desc": "支付成功",
    "transaction_id": "4200001234202609010000000001",
    "trade_type": "JSAPI",
    "bank_type": "OTHERS",
    "attach": "",
    "success_time": "2026-09-01T12:00:00+08:00",
    "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
    "amount": {"total": 500, "payer_total": 300, "currency": "CNY", "payer_currency": "CNY"},
    "promotion_detail": [],
}


def prepay(pay: WechatPay) -> str:
    return pay.prepay(
        out_trade_no=ORDER_NO,
        description="校园网充值",
        amount_fen=500,
        openid="oUpF8uMuAJO_M2pxb1Q9zNjWeS6o",
        expires_at=EXPIRES_AT,
    )


def query(pay: WechatPay) -> object:
    return pay.query(ORDER_NO)


def close(pay: WechatPay) -> None:
    pay.close(ORDER_NO)


Call = Callable[[WechatPay], object]
CALLS: list[Call] = [prepay, query, close]
GOOD: dict[Call, tuple[int, Any]] = {
    prepay: (200, {"prepay_id": "wx2611215250487459928b659bd466620000"}),
    query: (200, PAID),
    close: (204, None),
}


def good(call: Call, **how: Any) -> Answer:
    return signed(*GOOD[call], **how)


def unsigned(call: Call) -> Answer:
    return replace(good(call), headers={})
