"""Entrance of /cgi-bin and /sns: read the call, check, run, answer, write to the log."""

from __future__ import annotations

import json
import threading
import time

from flask import Blueprint, Response, request

from sandbox.faults import Fault
from sandbox.oa.endpoints import ENDPOINTS, Answer, Endpoint
from sandbox.oa.errors import ApiError
from sandbox.oa.platform import OaPlatform
from sandbox.oa.values import Call
from sandbox.pay import connection
from sandbox.wire import Exchange

METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]
REFUSALS = {
    "busy": -1,
    "invalid_token": 40001,
    "expired_token": 42001,
    "no_quota": 45028,
    "retry_too_fast": 45066,
    "daily_limit": 45009,
    "minute_limit": 45011,
    "window_closed": 45015,
    "count_over": 45047,
}
"""Fault -> the code answered instead of doing anything."""


class BrokenOff(Exception):
    """No answer will reach the caller."""


def api_blueprint(oa: OaPlatform) -> Blueprint:
    """`/cgi-bin/*` and `/sns/*` for the site."""
    blueprint = Blueprint("oa_api", __name__)

    @blueprint.route("/cgi-bin/<path:rest>", methods=METHODS, provide_automatic_options=False)
    @blueprint.route("/sns/<path:rest>", methods=METHODS, provide_automatic_options=False)
    def call(rest: str) -> Response:  # noqa: ARG001 - the table is keyed by the whole path
        return answer(oa)

    return blueprint


def answer(oa: OaPlatform) -> Response:
    """Serve one call of the site and write it to the log."""
    endpoint = ENDPOINTS.get(request.path)
    kind = f"api.{endpoint.place}" if endpoint else "api.unknown"
    target = request.full_path.rstrip("?")
    log = oa.engine.wire
    exchange = log.begin("in", kind, request.method, target, dict(request.headers), request.get_data())
    started = time.monotonic()
    try:
        response = _serve(oa, endpoint, exchange)
    except BrokenOff:
        log.finish(exchange, 0, {}, b"", (time.monotonic() - started) * 1000)
        connection.drop(request.environ)
        return connection.dropped()
    took_ms = (time.monotonic() - started) * 1000
    log.finish(exchange, response.status_code, dict(response.headers), response.get_data(), took_ms)
    return response


def _serve(oa: OaPlatform, endpoint: Endpoint | None, exchange: Exchange) -> Response:
    if endpoint is None:
        return _refusal(oa, ApiError(40066), exchange)
    try:
        _check_verb(endpoint)
        fault = oa.engine.faults.take(endpoint.place)
        if fault is not None:
            exchange.verdict = f"fault on purpose: {fault.name}"
        _before(fault)
        if fault is not None and fault.name == "error_500":
            return _broken()
        body = _run(oa, endpoint)
        exchange.verdict = exchange.verdict or "ok"
        return _after(fault, body)
    except ApiError as error:
        return _refusal(oa, error, exchange)


def _refusal(oa: OaPlatform, error: ApiError, exchange: Exchange) -> Response:
    exchange.verdict = f"{exchange.verdict} errcode {error.code}".strip()
    return _json({"errcode": error.code, "errmsg": f"{error}{_trace(oa)}", **error.extra})


def _run(oa: OaPlatform, endpoint: Endpoint) -> Answer:
    with oa.engine.lock:
        if endpoint.needs_token:
            oa.tokens.check(request.args.get("access_token"))
        call = _read_call(endpoint)
        oa.counters.take(request.path)
        return endpoint.run(oa, call)


def _before(fault: Fault | None) -> None:
    if fault is None:
        return
    if fault.name in REFUSALS:
        raise ApiError(REFUSALS[fault.name])
    if fault.name == "delay":
        threading.Event().wait(fault.setting("seconds"))
    if fault.name == "reset":
        raise BrokenOff
    if fault.name == "timeout":
        threading.Event().wait(fault.setting("seconds"))
        raise BrokenOff


def _after(fault: Fault | None, body: Answer) -> Response:
    name = fault.name if fault is not None else ""
    if name == "error_500_after":
        return _broken()
    if name == "not_json":
        return Response("<html><body>502 Bad Gateway</body></html>", content_type="text/html")
    if name == "effect_then_timeout" and fault is not None:
        threading.Event().wait(fault.setting("seconds"))
        raise BrokenOff
    if name == "effect_then_reset":
        raise BrokenOff
    return _json(body)


def _broken() -> Response:
    return Response("Internal Server Error", status=500, content_type="text/plain")


def _check_verb(endpoint: Endpoint) -> None:
    if endpoint.method == "GET" and request.method != "GET":
        raise ApiError(43001)
    if endpoint.method in {"POST", "FILE"} and request.method != "POST":
        raise ApiError(43002)


def _read_call(endpoint: Endpoint) -> Call:
    query = request.args.to_dict()
    if endpoint.method == "FILE":
        upload = request.files.get("media")
        file = (upload.filename or "", upload.read()) if upload is not None else None
        return Call(query, file=file)
    raw = request.get_data()
    if endpoint.method == "GET" or (endpoint.method == "ANY" and request.method == "GET"):
        return Call(query)
    if not raw and endpoint.method == "POST":
        raise ApiError(44002)
    form = request.form.to_dict()
    return Call({**query, **form}, {} if form else _body(raw), raw)


def _body(raw: bytes) -> Answer:
    if not raw:
        return {}
    try:
        value = json.loads(raw.decode("utf-8"))
    except ValueError as error:
        raise ApiError(47001) from error
    if not isinstance(value, dict):
        raise ApiError(47001)
    return value


def _json(body: Answer) -> Response:
    # The platform writes Chinese as it is, never as \u escapes.
    raw = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return Response(raw, content_type="application/json; encoding=utf-8")


def _trace(oa: OaPlatform) -> str:
    rid = oa.engine.chance.stream("rid")
    return f" rid: {int(oa.engine.clock.timestamp()):08x}-{rid.hex(8)}-{rid.hex(8)}"
