"""A person's orders: the list, one order with its live steps, and 没到账."""

from __future__ import annotations

from flask import Blueprint, jsonify, redirect, render_template, request
from flask.typing import ResponseReturnValue

from payments import binding, orders, unconfirmed
from payments.unconfirmed import PaymentInDoubt
from payments.views import OrderView, steps
from web import paging
from web.current import services
from web.guards import openid_first
from web.h5.doubt import doubt_of
from web.h5.polling import watch
from web.rates import slow_down

blueprint = Blueprint("h5_orders", __name__, url_prefix="/h5/orders")


@blueprint.get("")
@openid_first
def history(openid: str) -> ResponseReturnValue:
    """The newest orders; `before` continues the list."""
    before = paging.before_id()
    found = orders.history(services(), openid=openid, before_id=before, limit=paging.PAGE + 1)
    page = paging.page_of(found, first=before is None)
    return render_template("h5/orders.html", orders=page.rows, more=page.more, first=page.first)


@blueprint.get("/<order_no>")
@openid_first
def detail(openid: str, order_no: str) -> ResponseReturnValue:
    """One order; `paid=1` says that WeChat's pay sheet has just reported success."""
    order = orders.look(services(), order_no=order_no, openid=openid)
    shown = _shown(openid, order)
    if shown["may_pay"]:
        shown["doubt"] = doubt_of(openid, order)
    return render_template("h5/order.html", **shown)


@blueprint.get("/<order_no>/state")
@openid_first
def state(openid: str, order_no: str) -> ResponseReturnValue:
    """The same part of the page as JSON, for the script that keeps it fresh."""
    order = watch(services(), openid, order_no, request.args.get("waited_s", type=int))
    shown = _shown(openid, order)
    # Asked often: without a question to WeChat, an order that could be paid counts as paid.
    if shown["may_pay"] and unconfirmed.may_be_paid(
        services(), openid=openid, account_no=order.account_no, besides=order_no
    ):
        shown["doubt"] = PaymentInDoubt().text
    html = render_template("h5/_order_live.html", **shown)
    return jsonify(step=order.step, title=order.outcome, settled=order.settled, html=html)


@blueprint.post("/<order_no>/check")
@openid_first
def check(openid: str, order_no: str) -> ResponseReturnValue:
    """没到账: ask WeChat about every open order now, and show a paid one first."""
    slow_down("check", openid, limit=6, window_s=60)
    order = orders.check_now(services(), order_no=order_no, openid=openid)
    if order.paid_at is None:
        checked = orders.check_open(services(), openid=openid)
        if checked is not None and checked.shown.paid_at is not None:
            order_no = checked.shown.order_no
    return redirect(f"/h5/orders/{order_no}?checked=1", 303)


def _shown(openid: str, order: OrderView) -> dict[str, object]:
    just_paid = order.payable and request.args.get("paid") == "1"
    expired = order.payable and order.expires_at <= services().clock()
    return {
        "order": order,
        "steps": steps(order),
        # A balance is its owner's business, also when somebody else has paid.
        "own": binding.bound_account(services(), openid) == order.account_no,
        # Until WeChat confirms, the pay sheet's word is shown as what it is: probably paid.
        "just_paid": just_paid,
        "checked": request.args.get("checked") == "1",
        "expired": expired,
        "may_pay": order.payable and not expired and not just_paid,
        "doubt": "",
    }
