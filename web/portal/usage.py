"""流量使用详情: traffic day by day, and every time on line."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from models.clock import campus_date
from web import paging
from web.chart import daily_bars
from web.current import services
from web.guards import account_first, when_able

blueprint = Blueprint("usage", __name__)

DAYS = 31
MARK_CHARS = 64


@blueprint.get("/usage")
@when_able("usage", "sessions")
@account_first
def by_day(account_no: str) -> ResponseReturnValue:
    """A bar for each of the last days, and the figures below."""
    here = services()
    if not here.billing.capabilities().usage:
        return redirect("/self/sessions")
    days = here.billing.usage(account_no, days=DAYS)
    chart = daily_bars(days, until=campus_date(here.clock()), days=DAYS)
    return render_template("portal/usage.html", chart=chart, days=days)


@blueprint.get("/sessions")
@when_able("sessions")
@account_first
def by_session(account_no: str) -> ResponseReturnValue:
    """The newest times on line; `before` continues the list."""
    before = request.args.get("before", "")[:MARK_CHARS] or None
    found = services().billing.sessions(account_no, before=before, limit=paging.PAGE + 1)
    return render_template("portal/sessions.html", page=paging.page_of(found, first=before is None))
