"""The portal's first page: money, traffic, speed, and what is on sale."""

from __future__ import annotations

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from web import qr
from web.current import services
from web.guards import account_first

blueprint = Blueprint("overview", __name__)


@blueprint.get("/")
@account_first
def overview(account_no: str) -> ResponseReturnValue:
    """Everything about the account that is logged in, at one instant."""
    here = services()
    return render_template(
        "portal/overview.html",
        balance=here.billing.balance(account_no),
        offers=here.billing.catalogue(),
        log=here.billing.exchange_log(account_no),
        code=qr.code(here.site.link(f"/h5/recharge?account={account_no}"), "手机充值二维码"),
    )
