"""From an error class to a page or JSON: the one table of this entrance."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

import structlog
from flask import Flask, jsonify, make_response, render_template, request
from flask.typing import ResponseReturnValue
from flask_wtf.csrf import CSRFError
from werkzeug.exceptions import HTTPException, MisdirectedRequest

from identity.base import TicketRefused
from models.db.engine import NO_ANSWER
from models.errors import (
    Conflict,
    Forged,
    LimitReached,
    Malformed,
    Mismatch,
    OutsideCampus,
    PageExpired,
    Refused,
    ServiceError,
    Unavailable,
    Unknown,
)
from models.values.security_log import SecurityEvent
from payments.wechatpay.errors import PayRefused
from web import signin
from web.guards import wants_json

log = structlog.get_logger()

# What a person reads where the error itself carries no words for them: code and text.
TEXTS: dict[type[ServiceError], tuple[str, str]] = {
    Unknown: ("E-UNKNOWN", "结果还在确认中，请稍后在充值记录里查看，不要重复支付"),
    Unavailable: ("E-BUSY", "系统正忙，请稍后再试"),
    Conflict: ("E-AGAIN", "订单刚刚有了新的变化，请刷新页面"),
    Mismatch: ("E-CHECK", "这笔订单需要人工核对，请联系我们"),
    Forged: ("E-SIGN", "请求未通过校验"),
    Malformed: ("E-FORM", "请求内容有误"),
    PayRefused: ("E-PAY", "微信支付暂时无法受理，没有扣款，请稍后再试"),
}
HTTP_TEXTS = {
    404: "没有这个页面",
    405: "没有这个页面",
    413: "提交的内容太大",
}


@dataclass(frozen=True)
class Failure:
    """What is shown: `code` is for the help desk, `text` for the person."""

    status: int
    code: str
    text: str
    template: str = "error.html"


def register(app: Flask) -> None:
    """Translate every error that leaves a view."""
    app.register_error_handler(ServiceError, _service_error)
    app.register_error_handler(HTTPException, _http_error)
    for kind in NO_ANSWER:
        app.register_error_handler(kind, _no_database)
    app.register_error_handler(Exception, _bug)


def failure_of(error: ServiceError) -> Failure:
    """The table: a named error as status, code and text."""
    if isinstance(error, OutsideCampus):
        return Failure(error.status, error.code, error.text, "outside_campus.html")
    if isinstance(error, Refused):
        return Failure(error.status, error.code, error.text)
    for kind, (code, text) in TEXTS.items():
        if isinstance(error, kind):
            return Failure(error.status, code, text)
    return Failure(error.status, "E-OTHER", "出了点问题，请稍后再试")


# What a refusal of a page means for whoever watches for attacks.
EVENTS: tuple[tuple[type[Exception], SecurityEvent], ...] = (
    (LimitReached, SecurityEvent.LIMIT_REACHED),
    (OutsideCampus, SecurityEvent.CAMPUS_REFUSED),
    (TicketRefused, SecurityEvent.LOGIN_REFUSED),
    (PageExpired, SecurityEvent.LOGIN_REFUSED),
    (CSRFError, SecurityEvent.CSRF_REFUSED),
    (MisdirectedRequest, SecurityEvent.HOST_REFUSED),
)


def _record(error: Exception) -> None:
    for kind, event in EVENTS:
        if isinstance(error, kind):
            signin.record(event)
            return


def _service_error(error: ServiceError) -> ResponseReturnValue:
    _record(error)
    if isinstance(error, Forged | Malformed):
        # Anyone can send such a thing: a line for each would fill the disk.
        signin.record(SecurityEvent.LOGIN_REFUSED, reason=str(error))
    elif not isinstance(error, Refused):
        # Messages of our errors name the check that failed, never what was sent.
        log.warning("page_failed", error=type(error).__name__, reason=str(error), endpoint=request.endpoint)
    return _show(failure_of(error))


def _http_error(error: HTTPException) -> ResponseReturnValue:
    _record(error)
    if isinstance(error, CSRFError):
        return _show(failure_of(PageExpired()))
    status = error.code or 500
    if error.response is not None or status < 400:  # noqa: PLR2004 - redirects made by routing are answers
        return error
    return _show(Failure(status, f"E-{status}", HTTP_TEXTS.get(status, "请求无法完成")))


def _no_database(error: Exception) -> ResponseReturnValue:
    # Loud all the same: a statement that is wrong may look like this, too.
    log.error("page_without_database", endpoint=request.endpoint, exc_info=error)
    return _show(failure_of(Unavailable()))


def _bug(error: Exception) -> ResponseReturnValue:
    code = f"E-{secrets.token_hex(2).upper()}"
    log.error("page_bug", code=code, endpoint=request.endpoint, exc_info=error)
    return _show(Failure(500, code, "抱歉，页面出错了。我们已经记录，请稍后再试"))


def _show(failure: Failure) -> ResponseReturnValue:
    if wants_json():
        return jsonify(code=failure.code, message=failure.text), failure.status
    return make_response(render_template(failure.template, failure=failure), failure.status)
