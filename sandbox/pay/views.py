"""Entrance of /v3 and /sim/pay: reads the raw request, asks the platform, logs the answer."""

from __future__ import annotations

import threading
import time
from urllib.parse import urlsplit

from flask import Blueprint, Response, request

from sandbox.faults import Fault
from sandbox.pay import answers, api, auth, connection
from sandbox.pay.errors import PayError, system_error, too_many
from sandbox.pay.platform import PayPlatform
from sandbox.pay.sim import add_sim_routes

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
REFUSALS = {"error_500": system_error, "rate_429": too_many}
# No answer, though: before anything is done, or after.
SILENT = frozenset({"timeout", "reset"})
SILENT_AFTER = frozenset({"effect_then_timeout", "effect_then_reset"})


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
    response = answers.empty(platform, found) if isinstance(found, int) else _serve(platform, found, call)
    exchange.signed, exchange.verdict = call.signed, call.verdict
    took_ms = (time.monotonic() - started) * 1000
    if connection.is_dropped(response):
        log.finish(exchange, 0, {}, b"", took_ms)
        connection.drop(request.environ)
    else:
        log.finish(exchange, response.status_code, dict(response.headers), response.get_data(), took_ms)
        connection.misdeliver(response, request.environ, call.fault)
    return response


def _serve(platform: PayPlatform, endpoint: api.Endpoint, call: auth.Call) -> Response:
    engine = platform.engine
    try:
        auth.check(call, platform.keys, engine.credentials, engine.stamp())
        call.fault = engine.faults.take(endpoint.place)
        if call.fault is not None:
            call.verdict = f"{call.verdict}；故意出错：{call.fault.name}"
        if call.fault is not None and call.fault.name == "skew":
            auth.check_age(call, engine.stamp() + call.fault.setting("seconds"))
        return _act(platform, endpoint, call, call.fault)
    except PayError as error:
        call.verdict = f"{call.verdict}；{error.message}".lstrip("；")
        return answers.refusal(platform, error)


def _act(platform: PayPlatform, endpoint: api.Endpoint, call: auth.Call, fault: Fault | None) -> Response:
    name = fault.name if fault else ""
    if name in REFUSALS:
        refuse = REFUSALS[name]
        raise refuse()
    if name in SILENT:
        return _no_answer(fault)
    if name == "answer_202":
        return answers.signed(platform, call, 202, {})
    status, body = endpoint.handler(platform, call, fault)
    if name == "error_500_after":
        raise system_error()
    if name in SILENT_AFTER:
        return _no_answer(fault)
    if name == "delay":
        _wait(fault)
    if isinstance(body, bytes):
        return answers.file(platform, status, body)
    return answers.signed(platform, call, status, body)


def _no_answer(fault: Fault | None) -> Response:
    if fault is not None and fault.name in {"timeout", "effect_then_timeout"}:
        _wait(fault)
    return connection.dropped()


def _wait(fault: Fault | None) -> None:
    threading.Event().wait(fault.setting("seconds") if fault else 0.0)


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
