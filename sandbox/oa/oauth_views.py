"""The page a person meets at open.weixin.qq.com: refuse, ask who, or redirect at once."""

from __future__ import annotations

from html import escape
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from sandbox.browser import redirect_to_site, student_of_request
from sandbox.oa.oauth import AuthorizeRefused, AuthorizeRequest
from sandbox.oa.platform import OaPlatform
from sandbox.pages import hidden, page
from sandbox.students import Student

CHOICE = "sim_pick"
CONSENT = "sim_consent"


def oauth_blueprint(oa: OaPlatform) -> Blueprint:
    """`/connect/oauth2/authorize`."""
    blueprint = Blueprint("oauth", __name__)

    @blueprint.get("/connect/oauth2/authorize")
    def authorize() -> Response:
        try:
            with oa.engine.lock:
                wanted = oa.oauth.check_request(request.args)
        except AuthorizeRefused as error:
            return page(f"{error}", f'<p class="bad">错误码 {error.code}</p>', status=400)
        holder = student_of_request(oa.students)
        student = holder or oa.students.get(request.args.get(CHOICE, ""))
        if student is None:
            return _chooser(oa)
        if wanted.scope == "snsapi_userinfo" and CONSENT not in request.args:
            return _consent(student)
        return _back(oa, wanted, student, holder)

    return blueprint


def _back(oa: OaPlatform, wanted: AuthorizeRequest, student: Student, holder: Student | None) -> Response:
    with oa.engine.lock:
        url = oa.oauth.grant(wanted, student.openid)
    return redirect_to_site(oa.engine, url, holder)


def _chooser(oa: OaPlatform) -> Response:
    """Outside the phone nobody is known: the developer picks a person."""
    rows = "".join(
        f'<li><a href="?{escape(urlencode({**request.args.to_dict(), CHOICE: item.identity.id}))}">'
        f"{escape(item.identity.name)}（{escape(item.identity.account_no)}）</a></li>"
        for item in oa.students
    )
    return page("选择用哪位同学的微信登录", f"<ul>{rows}</ul>")


def _consent(student: Student) -> Response:
    fields = {**request.args.to_dict(), CHOICE: student.identity.id, CONSENT: "1"}
    form = f'<form method="get" action="">{hidden(fields)}<button type="submit">允许</button></form>'
    return page("申请获取你的昵称、头像", f"<p>{escape(student.identity.name)}</p>{form}")
