"""在线设备: who is on line with this account now, and, where the network takes orders, 下线."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from web.current import services
from web.guards import account_first, when_able
from web.portal.usage import MARK_CHARS
from web.rates import slow_down

blueprint = Blueprint("device", __name__)

# Nobody owns more; an account that is shared by a crowd shows its newest.
SHOWN = 50
KICKS, WINDOW_S = 20, 600


@blueprint.get("/devices")
@when_able("sessions")
@account_first
def page(account_no: str) -> ResponseReturnValue:
    """The connections that run, newest first."""
    found = services().billing.sessions(account_no, limit=SHOWN, running=True)
    kicked = request.args.get("kicked") == "1"
    return render_template("portal/devices.html", online=found, kicked=kicked, now=services().clock())


@blueprint.post("/devices/kick")
@when_able("kick")
@account_first
def kick(account_no: str) -> ResponseReturnValue:
    """End one of them."""
    slow_down("kick", account_no, limit=KICKS, window_s=WINDOW_S)
    services().billing.kick(account_no, request.form.get("mark", "")[:MARK_CHARS])
    return redirect("/self/devices?kicked=1", 303)
