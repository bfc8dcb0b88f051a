"""登录设备 in the portal: where the account is logged in, and logging out."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from models.people.login_session import SubjectKind
from web import login_list
from web.current import services
from web.guards import account_first

blueprint = Blueprint("logins", __name__, url_prefix="/logins")


@blueprint.get("")
@account_first
def page(account_no: str) -> ResponseReturnValue:
    """List the logins that are in force."""
    return render_template(
        "portal/logins.html",
        rows=login_list.rows(SubjectKind.PORTAL, account_no),
        ended="ended" in request.args,
    )


@blueprint.post("/end")
@account_first
def end(account_no: str) -> ResponseReturnValue:
    """Log one of them out."""
    login_list.end_one(SubjectKind.PORTAL, account_no)
    return redirect("/self/logins?ended=1", 303)


@blueprint.post("/end-all")
@account_first
def end_all(account_no: str) -> ResponseReturnValue:
    """Log out everywhere, of the single sign-on as well."""
    login_list.end_all(SubjectKind.PORTAL, account_no)
    return redirect(services().identity.logout_url(services().site.link("/self/")), 303)
