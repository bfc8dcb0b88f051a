"""账户充值: the owner's account, a sum, and a code to pay it with the phone."""

from __future__ import annotations

from urllib.parse import urlencode

from flask import Blueprint, render_template, request
from flask.typing import ResponseReturnValue

from models.money import yuan_short
from web import qr
from web.current import services
from web.guards import account_first, in_wechat

blueprint = Blueprint("recharge", __name__)


@blueprint.get("/recharge")
@account_first
def page(account_no: str) -> ResponseReturnValue:
    """`amount` is a sum in fen out of the presets; without it the phone asks for one."""
    here = services()
    wanted = request.args.get("amount", type=int)
    amount_fen = wanted if wanted in here.rules.presets_fen else None
    query = {"account": account_no} | ({"amount": yuan_short(amount_fen)} if amount_fen else {})
    path = f"/h5/recharge?{urlencode(query)}"
    return render_template(
        "portal/recharge.html",
        name=here.billing.find_account(account_no),
        rules=here.rules,
        amount_fen=amount_fen,
        path=path,
        code=qr.code(here.site.link(path), "手机充值二维码"),
        in_wechat=in_wechat(),
    )
