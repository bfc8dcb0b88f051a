"""服务: what one can have done here."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from web.guards import account_first

blueprint = Blueprint("service", __name__)


@blueprint.get("/services")
@account_first
def page(account_no: str) -> ResponseReturnValue:
    """The services that the back end can do."""
    del account_no
    return render_template("portal/services.html")
