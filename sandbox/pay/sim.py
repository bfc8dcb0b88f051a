"""The `/sim/pay` API: the payer's hands, and knobs for tests."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

from flask import Blueprint, Response, jsonify, request

from sandbox.fault_catalogue import CANCEL
from sandbox.pay.keys import API_V3_KEY, EVERY_SECOND, KINDS, MIXED, MODES
from sandbox.pay.notify import paid_event
from sandbox.pay.orders import SUCCESS, Order, Unpayable, beijing
from sandbox.pay.platform import MERCHANT, PAYMENT_PLACE, PayPlatform
from sandbox.pay.refunds_sim import add_refund_routes
from sandbox.pay.sim_views import body_of, plain

P = ParamSpec("P")
BRIDGE = "get_brand_wcpay_request"
PASSWORD_DIGITS = 6
RESEND_MAX = 50


def add_sim_routes(blueprint: Blueprint, platform: PayPlatform) -> None:
    """Hang the routes on the pay blueprint."""
    _add_sheet(blueprint, platform)
    _add_orders(blueprint, platform)
    add_refund_routes(blueprint, platform)
    _add_switches(blueprint, platform)


def _add_sheet(blueprint: Blueprint, platform: PayPlatform) -> None:
    @blueprint.post("/sim/pay/invoke")
    @_bridge
    def invoke() -> dict[str, object]:
        """What WeixinJSBridge does with getBrandWCPayRequest: a pay sheet or fail."""
        body = body_of()
        params = body.get("params")
        token, order = platform.open_sheet(
            str(body.get("openid") or ""), params if isinstance(params, dict) else {}
        )
        magic = platform.magic(PAYMENT_PLACE, order.request.amount_fen)
        if magic is not None and magic.name == CANCEL:
            platform.cancel_sheet(token)
            return {"err_msg": f"{BRIDGE}:cancel"}
        return {
            "pay_token": token,
            "amount_fen": order.request.amount_fen,
            "description": order.request.description,
            "merchant": MERCHANT,
        }

    @blueprint.post("/sim/pay/confirm")
    @_bridge
    def confirm() -> dict[str, object]:
        """Six digits, any of them."""
        body = body_of()
        password = str(body.get("password", "0" * PASSWORD_DIGITS))
        if len(password) != PASSWORD_DIGITS or not password.isdecimal():
            raise Unpayable("支付密码应为六位数字")
        paid = platform.confirm_sheet(str(body.get("pay_token") or ""))
        return {"err_msg": f"{BRIDGE}:ok", "transaction_id": paid.transaction_id}

    @blueprint.post("/sim/pay/cancel")
    @_bridge
    def cancel() -> dict[str, object]:
        """The payer closes the sheet."""
        platform.cancel_sheet(str(body_of().get("pay_token") or ""))
        return {"err_msg": f"{BRIDGE}:cancel"}


def _add_orders(blueprint: Blueprint, platform: PayPlatform) -> None:
    @blueprint.get("/sim/pay/orders")
    @plain
    def orders() -> dict[str, object]:
        with platform.engine.lock:
            return {"orders": [describe(order) for order in platform.book.all()]}

    @blueprint.get("/sim/pay/orders/<out_trade_no>")
    @plain
    def order(out_trade_no: str) -> dict[str, object]:
        with platform.engine.lock:
            return describe(platform.book.get(out_trade_no))

    @blueprint.post("/sim/pay/orders/<out_trade_no>/pay")
    @plain
    def pay(out_trade_no: str) -> dict[str, object]:
        """Pay without a phone; `force` pays a closed or expired order, too."""
        body = body_of()
        openid = body.get("openid")
        platform.pay(out_trade_no, str(openid) if openid else None, force=body.get("force") is True)
        return describe(platform.book.get(out_trade_no))

    @blueprint.post("/sim/pay/orders/<out_trade_no>/notify")
    @plain
    def notify(out_trade_no: str) -> dict[str, object]:
        """Tell the merchant again, `times` times, `parallel` or one after the other."""
        body = body_of()
        with platform.engine.lock:
            found = platform.book.get(out_trade_no)
            if found.state != SUCCESS:
                raise Unpayable("订单未支付，没有通知可发")
            event = paid_event(found)
        times = min(max(int(str(body.get("times", 1))), 1), RESEND_MAX)
        return {"statuses": platform.notifier.resend(event, times, parallel=body.get("parallel") is True)}


def _add_switches(blueprint: Blueprint, platform: PayPlatform) -> None:
    @blueprint.route("/sim/pay/mode", methods=["GET", "POST"])
    @plain
    def mode() -> dict[str, object]:
        """What signs notifications: public_key, certificate or mixed, then with `percent` of the first."""
        keys = platform.keys
        if request.method == "POST":
            body = body_of()
            asked = str(body.get("mode"))
            if asked not in MODES:
                raise Unpayable(f"mode 应为 {'、'.join(MODES)} 之一")
            keys.mix(_percent(body, EVERY_SECOND))
            keys.mode = asked
        share = {"percent": keys.share.percent} if keys.mode == MIXED else {}
        return {"mode": keys.mode, **share}

    @blueprint.get("/sim/pay/keys")
    @plain
    def names() -> dict[str, object]:
        """How many keys of each kind there are, the share of the newest, and their public names."""
        lines = platform.keys.successions.items()
        return {
            kind: {
                "count": len(line.names),
                "percent": line.rollout.percent,
                "names": [] if kind == API_V3_KEY else line.names,
            }
            for kind, line in lines
        }

    @blueprint.post("/sim/pay/keys/<kind>")
    @plain
    def replace_key(kind: str) -> dict[str, object]:
        """Change a key: give the new one `percent` of the turns, or `retire` the old one."""
        if kind not in KINDS:
            raise Unpayable(f"密钥应为 {'、'.join(KINDS)} 之一")
        body = body_of()
        with platform.engine.lock:
            if body.get("retire") is True:
                platform.keys.retire(kind)
                return {"retired": True}
            return platform.keys.replace(kind, _percent(body, 100.0))

    @blueprint.route("/sim/pay/magic", methods=["GET", "POST"])
    @plain
    def magic() -> dict[str, object]:
        """Whether the magic amounts of the catalogue have their special meaning."""
        if request.method == "POST":
            platform.magic_on = body_of().get("on") is True
        return {"on": platform.magic_on}


def _percent(body: dict[str, object], default: float) -> float:
    value = body.get("percent", default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:  # noqa: PLR2004 - per cent
        raise Unpayable("percent 应为 0 至 100")
    return float(value)


def describe(order: Order) -> dict[str, object]:
    """An order for the phone page and for tests."""
    asked = order.request
    return {
        "out_trade_no": asked.out_trade_no,
        "state": order.state,
        "amount_fen": asked.amount_fen,
        "coupon_fen": order.coupon_fen,
        "description": asked.description,
        "openid": asked.openid,
        "attach": asked.attach,
        "notify_url": asked.notify_url,
        "transaction_id": order.transaction_id,
        "prepay_ids": list(order.prepay_ids),
        "created_at": beijing(order.created_at),
        "expires_at": beijing(order.expires_at),
        "success_at": beijing(order.success_at) if order.success_at else None,
    }


def _bridge(view: Callable[P, dict[str, object]]) -> Callable[P, Response]:
    """Answer as WeixinJSBridge would: `fail` with the reason instead of a status."""

    @wraps(view)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> Response:
        try:
            return jsonify(view(*args, **kwargs))
        except Unpayable as error:
            return jsonify(err_msg=f"{BRIDGE}:fail", reason=str(error))

    return wrapped
