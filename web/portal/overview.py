"""The portal's first page: money, package, traffic and speed at one instant."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from models.notice import latest_notices
from web.current import services
from web.guards import account_first

blueprint = Blueprint("overview", __name__)

NOTICES_SHOWN = 3


@blueprint.get("/")
@account_first
def overview(account_no: str) -> ResponseReturnValue:
    """Everything about the account that is logged in."""
    here = services()
    balance = here.billing.balance(account_no)
    with here.reading() as session:
        notices = latest_notices(session, here.clock(), limit=NOTICES_SHOWN)
        return render_template("portal/overview.html", balance=balance, notices=notices)
