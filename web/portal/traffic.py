"""流量余额: every lot that runs now, in the order in which it is used."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from web.current import services
from web.guards import account_first

blueprint = Blueprint("traffic", __name__)


@blueprint.get("/traffic")
@account_first
def page(account_no: str) -> ResponseReturnValue:
    """What is left, of what, until when."""
    return render_template("portal/traffic.html", balance=services().billing.balance(account_no))
