"""Back from WeChat's authorisation page with a code that names the reader."""

from __future__ import annotations

from flask import Blueprint, redirect, request
from flask.typing import ResponseReturnValue

from models.people.login_session import LoginPurpose, SubjectKind
from web import signin
from web.current import services

blueprint = Blueprint("h5_oauth", __name__, url_prefix="/h5/oauth")


@blueprint.get("/callback")
def callback() -> ResponseReturnValue:
    """Remember who reads and go on to the page that was asked for."""
    # The state first: it is used up before WeChat is asked, so one state costs one question.
    target = signin.finish(LoginPurpose.WECHAT, request.args.get("state", "")).target
    here = services()
    with here.oauth_gate.call():
        openid = here.oauth.openid_of(request.args.get("code", ""))
    signin.log_in(SubjectKind.WECHAT, openid)
    return redirect(target)
