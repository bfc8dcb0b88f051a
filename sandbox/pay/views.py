"""Entrance of /v3 and /sim/pay: reads the raw request, asks the platform, signs and logs the answer."""

from __future__ import annotations

import json
import secrets
import threading
import time
from urllib.parse import urlsplit

from flask import Blueprint, Response, request

from sandbox.faults import Fault
from sandbox.pay import api, auth, connection, keys
from sandbox.pay.errors import PayError, system_error, too_many
from sandbox.pay.platform import PayPlatform
from sandbox.pay.sim import add_sim_routes

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
SILENCE_S = 30.0
JSON = "application/json; charset=utf-8"
REFUSALS = {"error_500": system_error, "rate_429": too_many}


def pay_blueprint(platform: PayPlatform) -> Blueprint:
    """`/v3/*` for the merchant and `/sim/pay/*` for tests and the phone page."""
    blueprint = Blueprint("pay", __name__)

    @blueprint.route("/v3/<path:rest>", methods=METHODS, provide_automatic_options=False)
    def v3(rest: str) -> Response:  # noqa: ARG001 - the path is read as sent, not as decoded
        return answer(platform)

    add_sim_routes(blueprint, platform)
    return blueprint


def answer(platform: PayPlatform) -> Response:
    """Serve one request of the merchant and write it to the log."""
    call = _read_call()
    found = api.find_endpoint(call)
    kind = "pay.unknown" if isinstance(found, int) else found.place
    log = platform.engine.wire
    exchange = log.begin("in", kind, call.method, call.target, dict(request.headers), call.body)
    started = time.monotonic()
    response = Response(status=found) if isinstance(found, int) else _serve(platform, found, call)
    response.headers.setdefault("Request-ID", _request_id(0))
    exchange.signed, exchange.verdict = call.signed, call.verdict
    took_ms = (time.monotonic() - started) * 1000
    if connection.is_dropped(response):
        log.finish(exchange, 0, {}, b"", took_ms)
        connection.drop(request.environ)
    else:
        log.finish(exchange, response.status_code, dict(response.headers), response.get_data(), took_ms)
    return response


def _serve(platform: PayPlatform, endpoint: api.Endpoint, call: auth.Call) -> Response:
    engine = platform.engine
    try:
        auth.check(call, platform.keys, engine.credentials, engine.stamp())
        fault = engine.faults.take(endpoint.place)
        if fault is not None:
            call.verdict = f"{call.verdict}；故意出错：{fault.name}"
        return _act(platform, endpoint, call, fault)
    except PayError as error:
        call.verdict = f"{call.verdict}；{error.message}".lstrip("；")
        return _refusal(error)


def _act(platform: PayPlatform, endpoint: api.Endpoint, call: auth.Call, fault: Fault | None) -> Response:
    name = fault.name if fault else ""
    if name in REFUSALS:
        refuse = REFUSALS[name]
        raise refuse()
    if name in {"timeout", "reset"}:
        return _no_answer(fault)
    status, body = endpoint.handler(platform, call, fault)
    if name == "error_500_after":
        raise system_error()
    if name == "effect_then_timeout":
        return _no_answer(fault)
    if name == "delay":
        _wait(fault, 2.0)
    if isinstance(body, bytes):
        return Response(body, status=status, content_type="application/octet-stream")
    return _signed(platform, call, status, body, name)


def _signed(
    platform: PayPlatform, call: auth.Call, status: int, body: api.Json | None, fault: str
) -> Response:
    raw = b"" if body is None else json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    spoil = fault if fault in keys.SPOILED else ""
    serial = platform.keys.for_answer(call.headers.get("Wechatpay-Serial"))
    headers = platform.keys.headers(serial, raw, platform.engine.stamp(), spoil=spoil)
    call.signed += f"\n―― 应答签名串 ――\n{keys.signed_text(headers, raw)}"
    response = Response(raw, status=status, headers=headers, content_type=JSON)
    response.headers["Request-ID"] = _request_id(0)
    return response


def _refusal(error: PayError) -> Response:
    raw = json.dumps(error.body(), ensure_ascii=False, separators=(",", ":")).encode()
    response = Response(raw, status=error.status, content_type=JSON)
    response.headers["Request-ID"] = _request_id(error.number)
    return response


def _no_answer(fault: Fault | None) -> Response:
    if fault is not None and fault.name != "reset":
        _wait(fault, SILENCE_S)
    return connection.dropped()


def _wait(fault: Fault | None, default_s: float) -> None:
    threading.Event().wait(fault.args.get("seconds", default_s) if fault else default_s)


def _read_call() -> auth.Call:
    target = str(request.environ.get("REQUEST_URI") or request.full_path)
    if "://" in target:
        parts = urlsplit(target)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return auth.Call(
        method=request.method,
        target=target,
        query=request.args.to_dict(),
        headers=request.headers,
        body=request.get_data(),
    )


def _request_id(number: int) -> str:
    return f"{secrets.token_hex(16).upper()}-{number}"
