"""Binding one's own account: proved at the unified identity, ended in two taps."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from models.errors import PageExpired, ServiceError
from models.people.login_session import LoginPurpose, SubjectKind
from models.values.security_log import SecurityEvent
from payments import binding
from web import signin, targets
from web.current import services
from web.guards import openid_first
from web.rates import slow_down
from web.services import WebServices

blueprint = Blueprint("h5_bind", __name__, url_prefix="/h5/bind")


@blueprint.get("")
@openid_first
def page(openid: str) -> ResponseReturnValue:
    """What is bound, or what binding means; `done` and `undone` confirm the last step."""
    account_no = binding.bound_account(services(), openid)
    return render_template(
        "h5/bind.html",
        account_no=account_no,
        masked_name=_masked_name(services(), account_no),
        next=targets.local(request.args.get("next"), ""),
        done=account_no is not None and request.args.get("done") == "1",
        undone=account_no is None and request.args.get("undone") == "1",
    )


@blueprint.get("/login")
@openid_first
def login(openid: str) -> ResponseReturnValue:
    """Off to the unified identity; `next` is where to go on afterwards."""
    slow_down("bind", openid, limit=20, window_s=600)
    target = targets.local(request.args.get("next"), "")
    state, proof = signin.begin(LoginPurpose.BIND, target, subject=openid)
    with services().identity_gate.call():
        return redirect(services().identity.login_url(_service(state), proof))


@blueprint.get("/callback")
def callback() -> ResponseReturnValue:
    """Back with a ticket: bind the account that it proves to the WeChat user who began.

    The state comes first and names that user. A browser that did not begin gets an error page; neither
    the address nor its ticket is ever shown or passed on.
    """
    state = request.args.get("state", "")
    begun = signin.finish(LoginPurpose.BIND, state)
    openid = signin.known_openid()
    if openid is None or openid != begun.subject:
        raise PageExpired
    here = services()
    ticket = request.args.get(here.identity.ticket_field, "")
    with here.identity_gate.call():
        account_no = here.identity.account_of(_service(state), ticket, begun.proof)
    binding.bind_account(here, openid=openid, account_no=account_no)
    signin.record(SecurityEvent.BOUND)
    return redirect(f"/h5/bind?{urlencode({'done': 1, 'next': begun.target})}")


@blueprint.post("/remove")
@openid_first
def remove(openid: str) -> ResponseReturnValue:
    """The second tap of unbinding; every session of this WeChat user ends, this browser gets a new one."""
    binding.unbind_account(services(), openid=openid)
    signin.record(SecurityEvent.UNBOUND)
    signin.log_in(SubjectKind.WECHAT, openid)
    return redirect("/h5/bind?undone=1", 303)


def _service(state: str) -> str:
    return services().site.link(f"/h5/bind/callback?state={state}")


def _masked_name(here: WebServices, account_no: str | None) -> str:
    """The bound account's masked name; the page opens without it when billing is away."""
    if account_no is None:
        return ""
    try:
        return here.billing.find_account(account_no).masked_name
    except ServiceError:
        return ""
