"""Pages and answers of the campus identity under /cas."""

from __future__ import annotations

import time
from html import escape

from flask import Blueprint, Response, request

from sandbox.browser import redirect_to_site, student_of_request
from sandbox.cas import Cas, ValidationFailed, failure_xml, success_xml
from sandbox.engine import Engine
from sandbox.pages import hidden, page
from sandbox.students import Identity, Students

COOKIE = "CASTGC"
TITLE = "统一身份认证"


def cas_blueprint(engine: Engine, cas: Cas, students: Students) -> Blueprint:
    """`/cas/login`, `/cas/logout` and both validation addresses."""
    blueprint = Blueprint("cas", __name__, url_prefix="/cas")
    desk = _Desk(engine, cas, students)
    blueprint.add_url_rule("/login", "form", desk.form, methods=["GET"])
    blueprint.add_url_rule("/login", "login", desk.login, methods=["POST"])
    blueprint.add_url_rule("/logout", "logout", desk.logout, methods=["GET", "POST"])

    @blueprint.get("/serviceValidate")
    def validate_2() -> Response:
        return desk.validate(attributes=False)

    @blueprint.get("/p3/serviceValidate")
    def validate_3() -> Response:
        return desk.validate(attributes=True)

    return blueprint


class _Desk:
    """The views; each phone and each plain browser has a session of its own."""

    def __init__(self, engine: Engine, cas: Cas, students: Students) -> None:
        self._engine = engine
        self._cas = cas
        self._students = students

    def form(self) -> Response:
        """Ask for the password, or pass on at once when a session is open."""
        service = request.args.get("service", "")
        if service and not self._cas.allows(service):
            return _unknown_service()
        identity = self._cas.session(request.cookies.get(self._cookie(), ""))
        if identity is not None and request.args.get("renew") is None:
            return self._enter(identity, service, renewed=False)
        if service and request.args.get("gateway") is not None:
            return redirect_to_site(self._engine, service, student_of_request(self._students))
        student = student_of_request(self._students)
        return _login_page(service, student.identity.account_no if student else "")

    def login(self) -> Response:
        """Check the password and go back to the service with a ticket."""
        service = request.form.get("service", "")
        if service and not self._cas.allows(service):
            return _unknown_service()
        account_no = request.form.get("username", "")
        key = self._cas.login(account_no, request.form.get("password", ""))
        identity = self._cas.session(key) if key is not None else None
        if key is None or identity is None:
            return _login_page(service, account_no, "用户名或密码错误")
        response = self._enter(identity, service, renewed=True)
        response.set_cookie(self._cookie(), key, path="/cas", httponly=True, samesite="Lax")
        return response

    def logout(self) -> Response:
        """End the session of this browser."""
        self._cas.logout(request.cookies.get(self._cookie(), ""))
        service = request.args.get("service", "")
        if service and self._cas.allows(service):
            response = redirect_to_site(self._engine, service, student_of_request(self._students))
        else:
            response = page("已退出登录", "<p>您已退出统一身份认证。</p>")
        response.delete_cookie(self._cookie(), path="/cas")
        return response

    def validate(self, *, attributes: bool) -> Response:
        """Answer the site's question about a ticket, and log it."""
        url = request.full_path.rstrip("?")
        exchange = self._engine.wire.begin("in", "cas.validate", "GET", url, dict(request.headers), b"")
        started = time.monotonic()
        try:
            identity = self._cas.validate(
                request.args.get("service", ""),
                request.args.get("ticket", ""),
                renew=request.args.get("renew") == "true",
            )
            body, exchange.verdict = success_xml(identity, attributes=attributes), "ok"
        except ValidationFailed as error:
            body, exchange.verdict = failure_xml(error), error.code
        response = Response(body, content_type="application/xml; charset=utf-8")
        took_ms = (time.monotonic() - started) * 1000
        self._engine.wire.finish(exchange, 200, dict(response.headers), response.get_data(), took_ms)
        return response

    def _enter(self, identity: Identity, service: str, *, renewed: bool) -> Response:
        if not service:
            return page("登录成功", f"<p>{escape(identity.name)}，您已登录统一身份认证。</p>")
        url = self._cas.ticket_url(identity, service, renewed=renewed)
        return redirect_to_site(self._engine, url, student_of_request(self._students))

    def _cookie(self) -> str:
        """Several phones share one real browser; their sessions must not."""
        student = student_of_request(self._students)
        return f"{COOKIE}-{student.openid}" if student is not None else COOKIE


def _login_page(service: str, account_no: str, problem: str = "") -> Response:
    alert = f'<p class="bad" role="alert">{escape(problem)}</p>' if problem else ""
    form = (
        f'{alert}<form method="post" action="/cas/login">{hidden({"service": service})}'
        '<label for="username">学号 / 工号</label>'
        f'<input id="username" name="username" value="{escape(account_no)}" autocomplete="username" required>'
        '<label for="password">密码</label>'
        '<input id="password" name="password" type="password" autocomplete="current-password" required>'
        '<button type="submit">登录</button></form><p class="note">演示密码：demo</p>'
    )
    return page(TITLE, form, status=401 if problem else 200)


def _unknown_service() -> Response:
    return page("未认证授权的服务", "<p>该服务没有在统一身份认证中注册。</p>", status=403)
