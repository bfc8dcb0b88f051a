"""账户充值: the owner's account, a sum, a code to pay it with the phone, and what became of it."""

from __future__ import annotations

from datetime import UTC, datetime
from urllib.parse import quote, urlencode

from flask import Blueprint, jsonify, redirect, render_template, request
from flask.typing import ResponseReturnValue

from models.errors import AmountOutOfRange, Refused
from models.money import yuan_short
from payments import arrivals, payers
from payments.arrivals import Arrival
from payments.views import steps
from web import qr, then_package
from web.current import services
from web.guards import account_first, in_wechat, watching_account_first
from web.rates import slow_down
from web.then_package import Then

blueprint = Blueprint("recharge", __name__)

HOME = "/self/recharge"
# A page asks every few seconds; this is room for a handful of them.
LOOKS, WINDOW_S = 600, 600
WAITING, WAITED = "等待付款", "还没有收到付款，本页已停止等待"


@blueprint.get("/recharge")
@account_first
def page(account_no: str) -> ResponseReturnValue:
    """`amount` is a sum in fen out of the presets; without it the phone asks for one.

    `package` is what the money is for: what stands in the way of it is told by the package's own page.
    `since` is when the reader began to wait, in seconds.
    """
    arrival = arrivals.watch(services(), account_no, _since())
    if not arrival.waits and arrival.order is None:
        # Opened again long afterwards.
        arrival = arrivals.watch(services(), account_no, None)
    code = request.args.get("package")
    try:
        return _page(
            account_no, arrival, then_package.for_owner(services(), account_no, code) if code else None
        )
    except AmountOutOfRange:
        return _page(account_no, arrival, None)
    except Refused:
        if arrival.order is not None:
            return _page(account_no, arrival, None)
        return redirect(f"/self/packages/{quote(code or '', safe='')}")


@blueprint.get("/recharge/state")
@watching_account_first
def state(account_no: str) -> ResponseReturnValue:
    """The same part of the page as JSON, for the script that keeps it fresh."""
    slow_down("arrival", account_no, limit=LOOKS, window_s=WINDOW_S)
    arrival = arrivals.watch(services(), account_no, _since())
    order = arrival.order
    return jsonify(
        step=order.step if order else "waiting",
        title=order.outcome if order else WAITING if arrival.waits else WAITED,
        settled=not arrival.waits,
        html=render_template("portal/_recharge_live.html", **_live(account_no, arrival)),
    )


def _page(account_no: str, arrival: Arrival, then: Then | None) -> str:
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
        **_live(account_no, arrival),
    )


def _live(account_no: str, arrival: Arrival) -> dict[str, object]:
    order = arrival.order
    asked = {name: request.args[name] for name in ("amount", "package") if name in request.args}
    since = {"since": str(int(arrival.since.timestamp()))}
    return {
        "arrival": arrival,
        "order": order,
        "steps": steps(order) if order else [],
        "paid_by": payers.payers_of(services(), account_no, [order.order_no]) if order else {},
        "here": f"{HOME}?{urlencode(asked | since)}",
        "anew": f"{HOME}?{urlencode(asked)}" if asked else HOME,
        "state": f"{HOME}/state?{urlencode(asked | since)}",
    }


def _since() -> datetime | None:
    since_s = request.args.get("since", type=int)
    try:
        return None if since_s is None else datetime.fromtimestamp(since_s, UTC)
    except (ValueError, OverflowError, OSError):
        return None
