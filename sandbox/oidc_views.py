"""Pages and answers of the OpenID provider under /oidc."""

from __future__ import annotations

import time
from html import escape
from urllib.parse import unquote_plus

from flask import Blueprint, Response, jsonify, request

from sandbox.browser import redirect_to_site, student_of_request
from sandbox.cas import Cas
from sandbox.engine import Engine
from sandbox.oidc import Oidc, OidcRefused
from sandbox.pages import hidden, page
from sandbox.students import Students

ASKED = (
    "client_id", "redirect_uri", "response_type", "scope", "state", "nonce", "code_challenge",
    "code_challenge_method", "prompt", "max_age",
)  # fmt: skip


def oidc_blueprint(engine: Engine, oidc: Oidc, cas: Cas, students: Students) -> Blueprint:
    """Discovery, keys, login page, token and logout."""
    blueprint = Blueprint("oidc", __name__, url_prefix="/oidc")
    desk = _Desk(engine, oidc, cas, students)
    blueprint.add_url_rule("/.well-known/openid-configuration", "metadata", desk.metadata)
    blueprint.add_url_rule("/jwks", "jwks", desk.jwks)
    blueprint.add_url_rule("/authorize", "form", desk.form, methods=["GET"])
    blueprint.add_url_rule("/authorize", "login", desk.login, methods=["POST"])
    blueprint.add_url_rule("/token", "token", desk.token, methods=["POST"])
    blueprint.add_url_rule("/logout", "logout", desk.logout)
    return blueprint


class _Desk:
    """The views."""

    def __init__(self, engine: Engine, oidc: Oidc, cas: Cas, students: Students) -> None:
        self._engine = engine
        self._oidc = oidc
        self._cas = cas
        self._students = students

    def metadata(self) -> Response:
        return jsonify(self._oidc.metadata(_issuer()))

    def jwks(self) -> Response:
        return jsonify(self._oidc.jwks())

    def form(self) -> Response:
        """Ask for the password, when the request is one of our client's."""
        asked = {name: request.args.get(name, "") for name in ASKED}
        try:
            self._oidc.check_request(asked)
        except OidcRefused as error:
            return page("登录请求无效", f"<p>{escape(error.code)}: {escape(str(error))}</p>", status=400)
        student = student_of_request(self._students)
        return _login_page(asked, student.identity.account_no if student else "")

    def login(self) -> Response:
        """Check the password and go back with a code."""
        asked = {name: request.form.get(name, "") for name in ASKED}
        account_no = request.form.get("username", "")
        try:
            self._oidc.check_request(asked)
        except OidcRefused as error:
            return page("登录请求无效", f"<p>{escape(error.code)}: {escape(str(error))}</p>", status=400)
        key = self._cas.login(account_no, request.form.get("password", ""))
        identity = self._cas.session(key) if key is not None else None
        if key is None or identity is None:
            return _login_page(asked, account_no, "用户名或密码错误")
        self._cas.logout(key)
        url = self._oidc.code_url(identity, asked)
        return redirect_to_site(self._engine, url, student_of_request(self._students))

    def token(self) -> Response:
        """The site's question about a code; logged like every exchange."""
        exchange = self._engine.wire.begin(
            "in", "oidc.token", "POST", request.path, dict(request.headers), request.get_data()
        )
        started = time.monotonic()
        login = request.authorization
        client = (
            (unquote_plus(login.username or ""), unquote_plus(login.password or "")) if login else ("", "")
        )
        try:
            token = self._oidc.id_token(_issuer(), client, request.form.to_dict())
            response = jsonify({"id_token": token, "access_token": "unused", "token_type": "Bearer"})
            exchange.verdict = "ok"
        except OidcRefused as error:
            response = jsonify({"error": error.code, "error_description": str(error)})
            response.status_code = 401 if error.code == "invalid_client" else 400
            exchange.verdict = error.code
        took_ms = (time.monotonic() - started) * 1000
        self._engine.wire.finish(
            exchange, response.status_code, dict(response.headers), response.get_data(), took_ms
        )
        return response

    def logout(self) -> Response:
        """Back to the site: there is no session to end."""
        target = request.args.get("post_logout_redirect_uri", "")
        if self._cas.allows(target):
            return redirect_to_site(self._engine, target, student_of_request(self._students))
        return page("已退出登录", "<p>您已退出统一身份认证。</p>")


def _issuer() -> str:
    return f"{request.host_url.rstrip('/')}/oidc"


def _login_page(asked: dict[str, str], account_no: str, problem: str = "") -> Response:
    alert = f'<p class="bad" role="alert">{escape(problem)}</p>' if problem else ""
    form = (
        f'{alert}<form method="post" action="/oidc/authorize">{hidden(asked)}'
        '<label for="username">学号 / 工号</label>'
        f'<input id="username" name="username" value="{escape(account_no)}" autocomplete="username" required>'
        '<label for="password">密码</label>'
        '<input id="password" name="password" type="password" autocomplete="current-password" required>'
        '<button type="submit">登录</button></form><p class="note">演示密码：demo</p>'
    )
    return page("统一身份认证", form, status=401 if problem else 200)
