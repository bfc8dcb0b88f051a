"""Into and out of the portal."""

from __future__ import annotations

from flask import Blueprint, redirect, request
from flask.typing import ResponseReturnValue

from identity import login_sessions
from identity.cas import logged_out_ticket
from models.people.login_session import LoginPurpose, SubjectKind
from web import signin, targets
from web.current import services
from web.rates import slow_down

blueprint = Blueprint("login", __name__)

HOME = "/self/"
LOGOUT_LIMIT_BYTES = 16 * 1024


@blueprint.get("/login")
def login() -> ResponseReturnValue:
    """Off to the unified identity; `next` is where to go on afterwards, `fresh=1` asks for the password."""
    fresh = request.args.get("fresh") == "1"
    target = targets.local(request.args.get("next"), HOME)
    state, proof = signin.begin(LoginPurpose.PORTAL, target, fresh=fresh)
    with services().identity_gate.call():
        return redirect(services().identity.login_url(_service(state), proof, fresh=fresh))


@blueprint.get("/callback")
def callback() -> ResponseReturnValue:
    """Back with a ticket: the account that it proves is logged in here."""
    # Many students share one campus address: this only stops a flood.
    slow_down("portal", request.remote_addr or "", limit=600, window_s=600)
    state = request.args.get("state", "")
    begun = signin.finish(LoginPurpose.PORTAL, state)
    identity = services().identity
    ticket = request.args.get(identity.ticket_field, "")
    with services().identity_gate.call():
        account_no = identity.account_of(_service(state), ticket, begun.proof, fresh=begun.fresh)
    # Known to the university, unknown to billing: say so instead of showing an empty portal. A closed
    # account is known: its owner sees what is there.
    # Everything that follows uses the number as billing spells it.
    known = services().billing.balance(account_no)
    typed_at = services().clock() if begun.fresh else None
    signin.log_in(SubjectKind.PORTAL, known.account_no, typed_at=typed_at, ticket=ticket)
    return redirect(begun.target)


@blueprint.post("/logout")
def logout() -> ResponseReturnValue:
    """Forget the login here, then end the single sign-on."""
    signin.log_out(SubjectKind.PORTAL)
    return redirect(services().identity.logout_url(services().site.link(HOME)), 303)


@blueprint.post("/callback")
def single_logout() -> ResponseReturnValue:
    """CAS single logout: the identity server ends the sessions that came from one of its tickets.

    The ticket is the proof: the server alone and this site have seen it. What is unknown ends nothing.
    """
    request.max_content_length = LOGOUT_LIMIT_BYTES
    slow_down("single-logout", request.remote_addr or "", limit=1200, window_s=600)
    ticket = logged_out_ticket(request.form.get("logoutRequest", ""))
    here = services()
    with here.transaction() as session:
        login_sessions.end_by_ticket(session, ticket, now=here.clock())
    return "", 204


def _service(state: str) -> str:
    return services().site.link(f"/self/callback?state={state}")
