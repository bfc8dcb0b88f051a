"""The last look before paying, and the parameters for WeChat's pay sheet."""

from __future__ import annotations

from flask import Blueprint, jsonify, redirect, render_template
from flask.typing import ResponseReturnValue

from payments import orders
from web.current import services
from web.guards import openid_first
from web.h5.doubt import doubt_of
from web.rates import slow_down

blueprint = Blueprint("h5_pay", __name__, url_prefix="/h5/pay")


@blueprint.get("/<order_no>")
@openid_first
def review(openid: str, order_no: str) -> ResponseReturnValue:
    """Account, masked name and amount once more; an order that is past paying shows its state instead.

    While another payment is not confirmed, the page says so and has no button to pay.
    """
    order = orders.look(services(), order_no=order_no, openid=openid)
    if not order.payable or order.expires_at <= services().clock():
        return redirect(f"/h5/orders/{order.order_no}")
    return render_template("h5/pay.html", order=order, doubt=doubt_of(openid, order))


@blueprint.post("/<order_no>/params")
@openid_first
def params(openid: str, order_no: str) -> ResponseReturnValue:
    """What `getBrandWCPayRequest` needs, as JSON."""
    slow_down("params", openid, limit=30, window_s=600)
    return jsonify(orders.pay_params(services(), order_no=order_no, openid=openid))


@blueprint.post("/<order_no>/cancel")
@openid_first
def cancel(openid: str, order_no: str) -> ResponseReturnValue:
    """Give the order up; a payment that was faster wins."""
    slow_down("cancel", openid, limit=30, window_s=600)
    order = orders.cancel(services(), order_no=order_no, openid=openid)
    return redirect(f"/h5/orders/{order.order_no}", 303)
