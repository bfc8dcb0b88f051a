"""账单: every movement of the account's money, and who paid it in."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from payments import payers
from web import paging
from web.current import services
from web.guards import account_first

blueprint = Blueprint("statement", __name__)


@blueprint.get("/statement")
@account_first
def page(account_no: str) -> ResponseReturnValue:
    """The newest movements; `before` continues the list."""
    here = services()
    before = paging.before_id()
    found = here.billing.statement(account_no, before=before, limit=paging.PAGE + 1)
    shown = paging.page_of(found, first=before is None)
    numbers = [line.order_no for line in shown.rows if line.order_no]
    return render_template(
        "portal/statement.html", page=shown, paid_by=payers.payers_of(here, account_no, numbers)
    )
