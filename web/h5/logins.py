"""登录设备 inside WeChat: where this WeChat user is logged in, and logging out."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from models.people.login_session import SubjectKind
from web import login_list
from web.guards import openid_first

blueprint = Blueprint("h5_logins", __name__, url_prefix="/h5/logins")


@blueprint.get("")
@openid_first
def page(openid: str) -> ResponseReturnValue:
    """List the logins that are in force."""
    return render_template(
        "h5/logins.html", rows=login_list.rows(SubjectKind.WECHAT, openid), ended="ended" in request.args
    )


@blueprint.post("/end")
@openid_first
def end(openid: str) -> ResponseReturnValue:
    """Log one of them out."""
    login_list.end_one(SubjectKind.WECHAT, openid)
    return redirect("/h5/logins?ended=1", 303)


@blueprint.post("/end-all")
@openid_first
def end_all(openid: str) -> ResponseReturnValue:
    """Log out everywhere; the help page needs no login."""
    login_list.end_all(SubjectKind.WECHAT, openid)
    return redirect("/h5/help?loggedout=1", 303)
