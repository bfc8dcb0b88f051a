"""The recharge page: an account, an amount, one button."""

from __future__ import annotations

from flask import Blueprint, redirect, render_template, request
from flask.typing import ResponseReturnValue

from bot.limits import NAME_LOOKUPS
from models.errors import AmountOutOfRange, Refused
from models.money import yuan_short
from payments import binding, orders
from web import then_package
from web.current import services
from web.guards import openid_first
from web.h5.doubt import doubt_before
from web.h5.recharge_form import RechargeForm, field_of
from web.h5.recharge_page import recharge_page
from web.rates import slow_down
from web.then_package import NothingMissing

blueprint = Blueprint("h5_recharge", __name__, url_prefix="/h5")

ORDERS = 30
ORDERS_WINDOW_S = 600


@blueprint.get("/recharge")
@openid_first
def form(openid: str) -> ResponseReturnValue:
    """The form; `account`, `amount` and `package` in the address fill it in.

    While another payment is not confirmed, there is none.
    """
    filled = _from_link()
    doubt = doubt_before(openid, filled.account or binding.bound_account(services(), openid) or "")
    return _render(openid, filled, doubt=doubt)


@blueprint.post("/recharge")
@openid_first
def create(openid: str) -> ResponseReturnValue:
    """Make the order, or find the same open one, and go on to the page that pays it."""
    filled = RechargeForm.of(request.form)
    here = services()
    try:
        slow_down("order", openid, limit=ORDERS, window_s=ORDERS_WINDOW_S)
        bound = binding.bound_account(here, openid)
        account_no, amount_fen = filled.account_no(bound), filled.amount_fen(here.rules)
        if account_no != bound:
            # What the form answers tells whether the account exists.
            here.limiter.hit_all(NAME_LOOKUPS, openid)
        if filled.package and account_no == bound:
            _check_enough(account_no, filled.package, amount_fen)
        order = orders.start_recharge(
            here,
            openid=openid,
            account_no=account_no,
            amount_fen=amount_fen,
            then_package=filled.package or None,
        )
    except Refused as error:
        return _render(openid, filled, error), error.status
    return redirect(f"/h5/pay/{order.order_no}", 303)


def _check_enough(account_no: str, code: str, amount_fen: int) -> None:
    """Return when the package can be had for the amount. Raises: AmountOutOfRange, other Refused."""
    try:
        then = then_package.for_owner(services(), account_no, code)
    except NothingMissing:
        return
    if amount_fen < then.least_fen:
        raise AmountOutOfRange(f"换购{then.offer.name}至少要充 {yuan_short(then.least_fen)} 元")


def _from_link() -> RechargeForm:
    wish = RechargeForm.of(request.args)
    # The number came by a link, not by hand, so it is not typed twice; the name is still to be confirmed.
    return RechargeForm(wish.account, wish.account, "", wish.amount, wish.amount_other, wish.package)


def _render(openid: str, filled: RechargeForm, error: Refused | None = None, *, doubt: str = "") -> str:
    return render_template(
        "h5/recharge.html",
        page=recharge_page(services(), openid=openid, form=filled),
        rules=services().rules,
        error=error,
        doubt=doubt,
        error_field=field_of(error) if error else "",
    )
