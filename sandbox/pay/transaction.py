"""An order as the API shows it: the same object in query answers and notifications."""

from __future__ import annotations

from sandbox.pay.orders import CLOSED, NOTPAY, SUCCESS, Order, beijing

REFUND = "REFUND"
DESCRIPTIONS = {SUCCESS: "支付成功", REFUND: "订单发生过退款", NOTPAY: "订单未支付", CLOSED: "订单已关闭"}
TAMPERED = frozenset({"tamper_amount", "tamper_openid", "tamper_mchid", "tamper_appid"})


def transaction(order: Order, *, pretend: str = "") -> dict[str, object]:
    """The transaction object; the payment's own fields only once it is paid.

    A paid order may `pretend` to be in the state NOTPAY or REFUND.
    """
    request = order.request
    state = NOTPAY if pretend == NOTPAY else order.state
    told = REFUND if state == SUCCESS and (order.refunded or pretend == REFUND) else state
    shown: dict[str, object] = {
        "appid": request.app_id,
        "mchid": request.mch_id,
        "out_trade_no": request.out_trade_no,
        "trade_state": told,
        "trade_state_desc": DESCRIPTIONS[told],
    }
    if state != SUCCESS or order.success_at is None:
        return shown
    return {
        **shown,
        "transaction_id": order.transaction_id,
        "trade_type": "JSAPI",
        "bank_type": "OTHERS",
        "attach": request.attach,
        "success_time": beijing(order.success_at),
        "payer": {"openid": request.openid},
        "amount": {
            "total": request.amount_fen,
            "payer_total": request.amount_fen - order.coupon_fen,
            "currency": "CNY",
            "payer_currency": "CNY",
        },
        "promotion_detail": _promotions(order),
    }


def tampered(shown: dict[str, object], how: str) -> dict[str, object]:
    """The same object with one lie in it; unchanged for any other word than the four of TAMPERED."""
    if how == "tamper_amount" and isinstance(amount := shown.get("amount"), dict):
        return {
            **shown,
            "amount": {**amount, "total": amount["total"] + 1, "payer_total": amount["payer_total"] + 1},
        }
    if how == "tamper_openid":
        return {**shown, "payer": {"openid": "oSomebodyElse000000000000000"}}
    if how == "tamper_mchid":
        return {**shown, "mchid": "1900000001"}
    if how == "tamper_appid":
        return {**shown, "appid": "wx0000000000000000"}
    return shown


def _promotions(order: Order) -> list[dict[str, object]]:
    if not order.coupon_fen:
        return []
    return [
        {
            "coupon_id": coupon_id(order),
            "name": "网费代金券",
            "scope": "GLOBAL",
            "type": order.coupon_kind,
            "amount": order.coupon_fen,
            "stock_id": "931386",
            "wechatpay_contribute": 0,
            "merchant_contribute": order.coupon_fen,
            "other_contribute": 0,
            "currency": "CNY",
        }
    ]


def coupon_id(order: Order) -> str:
    """The number of the voucher that was used, the same wherever it is shown."""
    return order.transaction_id[-12:]
