"""Answers of /v3 as they go out: signed, refused, a file; and what a fault does to their look."""

from __future__ import annotations

import gzip
import json

from flask import Response

from sandbox.pay import auth, keys
from sandbox.pay.errors import PayError
from sandbox.pay.platform import PayPlatform

Json = dict[str, object]
CONTENT_TYPE = "application/json; charset=utf-8"
ODD_CONTENT_TYPE = "text/plain; charset=gbk"


def signed(platform: PayPlatform, call: auth.Call, status: int, body: Json | None) -> Response:
    """A 2xx with its signature, spoiled as `call.fault` says."""
    raw = b"" if body is None else _compact(body)
    fault, now_s = call.fault, platform.engine.stamp()
    name = fault.name if fault else ""
    if fault is not None and name == "skew":
        now_s += fault.setting("seconds")
    serial = platform.keys.for_answer(call.headers.get("Wechatpay-Serial"))
    headers = platform.keys.headers(serial, raw, now_s, spoil=name if name in keys.SPOILED else "")
    call.signed += f"\n―― 应答签名串 ――\n{keys.signed_text(headers, raw)}"
    response = Response(raw, status=status, headers=headers, content_type=CONTENT_TYPE)
    _dress(response, name)
    return _numbered(platform, response, 0)


def refusal(platform: PayPlatform, error: PayError) -> Response:
    """A 4xx or 5xx, unsigned as ever."""
    response = Response(_compact(error.body()), status=error.status, content_type=CONTENT_TYPE)
    return _numbered(platform, response, error.number)


def file(platform: PayPlatform, status: int, content: bytes) -> Response:
    """A file, unsigned."""
    response = Response(content, status=status, content_type="application/octet-stream")
    return _numbered(platform, response, 0)


def empty(platform: PayPlatform, status: int) -> Response:
    """No such path or verb."""
    return _numbered(platform, Response(status=status), 0)


def _dress(response: Response, name: str) -> None:
    """What is signed stays as it is; only how it is sent changes."""
    if name == "gzip":
        response.set_data(gzip.compress(response.get_data(), mtime=0))
        response.headers["Content-Encoding"] = "gzip"
    elif name == "odd_charset":
        response.headers["Content-Type"] = ODD_CONTENT_TYPE
    elif name == "no_content_type":
        del response.headers["Content-Type"]


def _numbered(platform: PayPlatform, response: Response, number: int) -> Response:
    tail = platform.engine.chance.stream("Request-ID").hex(32).upper()
    response.headers["Request-ID"] = f"{tail}-{number}"
    return response


def _compact(body: Json) -> bytes:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
