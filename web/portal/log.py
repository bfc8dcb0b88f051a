"""换购日志: what was swapped, when, at which price."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from web import paging
from web.current import services
from web.guards import account_first, when_able

blueprint = Blueprint("log", __name__)


@blueprint.get("/log")
@when_able("exchange")
@account_first
def page(account_no: str) -> ResponseReturnValue:
    """The newest swaps; `before` continues the list."""
    before = paging.before_id()
    found = services().billing.exchange_log(account_no, before=before, limit=paging.PAGE + 1)
    return render_template("portal/log.html", page=paging.page_of(found, first=before is None))
