"""Back from WeChat's authorisation page with a code that names the reader."""

from __future__ import annotations

from flask import Blueprint, redirect, request
from flask.typing import ResponseReturnValue

from web import signin
from web.current import services

blueprint = Blueprint("h5_oauth", __name__, url_prefix="/h5/oauth")


@blueprint.get("/callback")
def callback() -> ResponseReturnValue:
    """Remember who reads and go on to the page that was asked for."""
    target = signin.finish("wechat", request.args.get("state", "")).target
    signin.remember_openid(services().oauth.openid_of(request.args.get("code", "")))
    return redirect(target)
