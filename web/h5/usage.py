"""Traffic of the bound account: what is left, and a bar for each day."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template
from flask.typing import ResponseReturnValue

from models.clock import campus_date
from payments import binding
from web.chart import daily_bars
from web.current import services
from web.guards import openid_first

blueprint = Blueprint("h5_usage", __name__, url_prefix="/h5")

DAYS = 31


@blueprint.get("/usage")
@openid_first
def usage(openid: str) -> ResponseReturnValue:
    """The owner's figures; without a bound account, the way to bind one."""
    here = services()
    account_no = binding.bound_account(here, openid)
    if account_no is None:
        return redirect("/h5/bind?next=/h5/usage")
    can_tell = here.billing.capabilities().usage
    days = here.billing.usage(account_no, days=DAYS) if can_tell else []
    chart = daily_bars(days, until=campus_date(here.clock()), days=DAYS)
    balance = here.billing.balance(account_no)
    return render_template("h5/usage.html", balance=balance, chart=chart, days=days, can_tell=can_tell)
