"""流量使用详情: traffic day by day."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from models.clock import campus_date
from web.chart import daily_bars
from web.current import services
from web.guards import account_first, when_able

blueprint = Blueprint("usage", __name__)

DAYS = 31


@blueprint.get("/usage")
@when_able("usage", "sessions")
@account_first
def page(account_no: str) -> ResponseReturnValue:
    """A bar for each of the last days, and the figures below."""
    here = services()
    days = here.billing.usage(account_no, days=DAYS) if here.billing.capabilities().usage else []
    chart = daily_bars(days, until=campus_date(here.clock()), days=DAYS)
    return render_template("portal/usage.html", chart=chart, days=days)
