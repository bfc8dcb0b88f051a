"""Machine entrances: WeChat's pushes, WeChat Pay's callbacks, accounting records of the network.

Raw body, signature, no cookie, no CSRF.
"""

from __future__ import annotations

from http import HTTPStatus

import structlog
from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException

from models.errors import Forged, Malformed, ServiceError
from models.values.security_log import SecurityEvent
from web.current import services

log = structlog.get_logger()
blueprint = Blueprint("hooks", __name__)

BODY_LIMIT_BYTES = 64 * 1024
# Two thousand records, the most in one batch, with room to spare.
ACCOUNTING_LIMIT_BYTES = 1024 * 1024


@blueprint.get("/wechat")
def verify() -> ResponseReturnValue:
    """WeChat checks that this address is ours: the echo string comes back only for a true signature."""
    try:
        return Response(services().callback.verify(request.args), content_type="text/plain; charset=utf-8")
    except (Forged, Malformed) as error:
        _record(SecurityEvent.PUSH_REFUSED, type(error).__name__)
        return Response("", error.status, content_type="text/plain; charset=utf-8")


@blueprint.post("/wechat")
def push() -> ResponseReturnValue:
    """One push: the callback answers with status, body and content type, whatever happens."""
    request.max_content_length = BODY_LIMIT_BYTES
    status, body, content_type = services().callback.handle(request.args, request.get_data(cache=False))
    if status >= HTTPStatus.BAD_REQUEST:
        _record(SecurityEvent.PUSH_REFUSED, str(status))
    return Response(body, status, content_type=content_type)


@blueprint.post("/wechatpay/notify")
def pay_notify() -> ResponseReturnValue:
    """204 after the commit, or FAIL so that WeChat Pay sends it again."""
    request.max_content_length = BODY_LIMIT_BYTES
    services().notify(dict(request.headers), request.get_data(cache=False))
    return Response(status=204)


@blueprint.post("/wechatpay/refund")
def refund_notify() -> ResponseReturnValue:
    """As `/wechatpay/notify`: what a callback is about stands inside it, sealed."""
    return pay_notify()


@blueprint.post("/billing/accounting")
def accounting() -> ResponseReturnValue:
    """What became of each record, after the commit; a batch that is sent again counts nothing twice."""
    request.max_content_length = ACCOUNTING_LIMIT_BYTES
    return jsonify(services().accounting(dict(request.headers), request.get_data(cache=False)))


def _record(event: SecurityEvent, reason: str) -> None:
    endpoint = request.endpoint or ""
    services().security.record(event, request.remote_addr or "", endpoint=endpoint, reason=reason)


@blueprint.errorhandler(ServiceError)
def _refuse(error: ServiceError) -> ResponseReturnValue:
    if isinstance(error, Forged | Malformed):
        _record(SecurityEvent.CALLBACK_REFUSED, type(error).__name__)
    else:
        log.warning("hook_refused", hook=request.endpoint, error=type(error).__name__, reason=str(error))
    return jsonify(code="FAIL", message=type(error).__name__), error.status


@blueprint.errorhandler(HTTPException)
def _http_error(error: HTTPException) -> ResponseReturnValue:
    return jsonify(code="FAIL", message=error.name), error.code or 500


@blueprint.errorhandler(Exception)
def _bug(error: Exception) -> ResponseReturnValue:
    log.error("hook_bug", hook=request.endpoint, exc_info=error)
    return jsonify(code="FAIL", message="internal error"), 500
