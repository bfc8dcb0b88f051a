"""Into and out of the portal."""

from __future__ import annotations

from flask import Blueprint, redirect, request
from flask.typing import ResponseReturnValue

from web import signin, targets
from web.current import services
from web.guards import slow_down

blueprint = Blueprint("login", __name__)

HOME = "/self/"


@blueprint.get("/login")
def login() -> ResponseReturnValue:
    """Off to the unified identity; `next` is where to go on afterwards, `fresh=1` asks for the password."""
    fresh = request.args.get("fresh") == "1"
    state = signin.begin("portal", targets.local(request.args.get("next"), HOME), fresh=fresh)
    return redirect(services().identity.login_url(_service(state), fresh=fresh))


@blueprint.get("/callback")
def callback() -> ResponseReturnValue:
    """Back with a ticket: the account that it proves is logged in here."""
    # Many students share one campus address: this only stops a flood.
    slow_down("portal", request.remote_addr or "", limit=600, window_s=600)
    state = request.args.get("state", "")
    begun = signin.finish("portal", state)
    identity = services().identity
    ticket = request.args.get(identity.ticket_field, "")
    account_no = identity.account_of(_service(state), ticket, fresh=begun.fresh)
    # Known to the university, unknown to billing: say so instead of showing an empty portal. A closed
    # account is known: its owner sees what is there.
    # Everything that follows uses the number as billing spells it.
    known = services().billing.balance(account_no)
    signin.remember_portal(known.account_no, fresh=begun.fresh)
    return redirect(begun.target)


@blueprint.post("/logout")
def logout() -> ResponseReturnValue:
    """Forget the login here, then end the single sign-on."""
    signin.forget_portal()
    return redirect(services().identity.logout_url(services().site.link(HOME)), 303)


def _service(state: str) -> str:
    return services().site.link(f"/self/callback?state={state}")
