"""账户充值: the owner's account, a sum, and a code to pay it with the phone."""

from __future__ import annotations

from urllib.parse import quote, urlencode

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from models.errors import AmountOutOfRange, Refused
from models.money import yuan_short
from web import qr, then_package
from web.current import services
from web.guards import account_first, in_wechat
from web.then_package import Then

blueprint = Blueprint("recharge", __name__)


@blueprint.get("/recharge")
@account_first
def page(account_no: str) -> ResponseReturnValue:
    """`amount` is a sum in fen out of the presets; without it the phone asks for one.

    `package` is what the money is for: what stands in the way of it is told by the package's own page.
    """
    code = request.args.get("package")
    if code is None:
        return _page(account_no, None)
    try:
        return _page(account_no, then_package.for_owner(services(), account_no, code))
    except AmountOutOfRange:
        return _page(account_no, None)
    except Refused:
        return redirect(f"/self/packages/{quote(code, safe='')}")


def _page(account_no: str, then: Then | None) -> str:
    here = services()
    wanted = request.args.get("amount", type=int)
    amount_fen = wanted if wanted in here.rules.presets_fen else None
    query = {"account": account_no}
    if then is not None:
        # The phone works out the sum: whoever pays for somebody else pays the whole price.
        query["package"] = then.offer.code
    elif amount_fen:
        query["amount"] = yuan_short(amount_fen)
    path = f"/h5/recharge?{urlencode(query)}"
    return render_template(
        "portal/recharge.html",
        name=here.billing.find_account(account_no),
        rules=here.rules,
        amount_fen=amount_fen,
        then=then,
        path=path,
        code=qr.code(here.site.link(path), "手机充值二维码"),
        in_wechat=in_wechat(),
    )
