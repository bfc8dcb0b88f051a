"""The refund endpoints of /v3, and what happens after one was accepted."""

from __future__ import annotations

import re
from functools import partial

from sandbox.faults import Fault
from sandbox.pay import fields
from sandbox.pay.auth import Call
from sandbox.pay.errors import FieldError, PayError, too_many
from sandbox.pay.notify import Event
from sandbox.pay.orders import SUCCESS, Order
from sandbox.pay.platform import PayPlatform
from sandbox.pay.refunds import ABNORMAL, CLOSED, PROCESSING, Refund, RefundRequest, answer, resource

Json = dict[str, object]

# How long the money is on its way, on the virtual clock.
SETTLE_S = 3.0
SUMMARIES = {SUCCESS: "退款成功", ABNORMAL: "退款异常", CLOSED: "退款关闭"}
# Faults that decide how an accepted refund ends.
ENDINGS = {"refund_abnormal": ABNORMAL, "refund_closed": CLOSED, "refund_stuck": PROCESSING}
OUT_REFUND_NO = re.compile(r"[0-9A-Za-z_\-|*@]{1,64}")
REASON_MAX = 80
KNOWN = frozenset(
    {
        "transaction_id",
        "out_trade_no",
        "out_refund_no",
        "reason",
        "notify_url",
        "funds_account",
        "amount",
        "goods_detail",
    }
)


def refund(platform: PayPlatform, call: Call, fault: Fault | None) -> tuple[int, Json | None]:
    """Serve `POST /v3/refund/domestic/refunds`."""
    body = fields.parse_body(call.body)
    with platform.engine.lock:
        order = _order(platform, body)
        request = _checked(body, order)
        magic = platform.magic("pay.refund", order.request.amount_fen)
        name = fault.name if fault else magic.name if magic else ""
        if name == "not_enough":
            raise PayError(403, "NOT_ENOUGH", "基本账户余额不足，请充值后重新发起")
        if name == "account_abnormal":
            raise PayError(403, "USER_ACCOUNT_ABNORMAL", "退款请求失败，用户账户注销")
        accepted, new = platform.refunds.accept(order, request)
        shown = answer(accepted)
    if new:
        proceed(platform, accepted, ENDINGS.get(name, SUCCESS))
    if name == "rate_429_after":
        raise too_many()
    return 200, shown


def query_refund(platform: PayPlatform, call: Call, fault: Fault | None) -> tuple[int, Json | None]:
    """Serve `GET /v3/refund/domestic/refunds/{out_refund_no}`."""
    with platform.engine.lock:
        shown = answer(platform.refunds.get(call.path_args["out_refund_no"]))
    amount = shown["amount"]
    if fault is not None and fault.name == "tamper_amount" and isinstance(amount, dict):
        shown["amount"] = {**amount, "refund": amount["refund"] + 1}
    return 200, shown


def proceed(platform: PayPlatform, accepted: Refund, ending: str, *, tell: bool = True) -> None:
    """Let an accepted refund end after a while; one that ends in PROCESSING never does by itself."""
    if ending != PROCESSING:
        platform.engine.scheduler.after(SETTLE_S, partial(end, platform, accepted, ending, tell=tell))


def go_on(platform: PayPlatform) -> None:
    """After a start: what was under way when the process ended ends well."""
    for refund in platform.refunds.all():
        if refund.status == PROCESSING:
            proceed(platform, refund, SUCCESS)


def end(platform: PayPlatform, accepted: Refund, status: str, *, tell: bool = True) -> bool:
    """End a refund now and tell the merchant; False when it cannot end like this any more."""
    with platform.engine.lock:
        moved = platform.refunds.settle(accepted, status)
    if moved and tell and accepted.request.notify_url:
        event = refund_event(accepted)
        platform.notifier.announce(event, platform.engine.faults.take(event.place))
    return moved


def refund_event(ended: Refund) -> Event:
    """REFUND.SUCCESS, REFUND.ABNORMAL or REFUND.CLOSED."""
    return Event(
        event_type=f"REFUND.{ended.status}",
        summary=SUMMARIES[ended.status],
        original_type="refund",
        url=ended.request.notify_url,
        openid=ended.order.request.openid,
        resource=resource(ended),
    )


def _order(platform: PayPlatform, body: fields.Body) -> Order:
    unknown = sorted(body.keys() - KNOWN)
    if unknown:
        raise FieldError(
            f"/{unknown[0]}", body[unknown[0]], "undefined field", message="请求中含有未在API文档中定义的参数"
        )
    try:
        if body.get("transaction_id"):
            return platform.book.get_transaction(fields.text(body, "transaction_id", 32))
        return platform.book.get(fields.text(body, "out_trade_no", 32))
    except PayError as error:
        if error.status != 404:  # noqa: PLR2004 - HTTP not found
            raise
        raise PayError(404, "RESOURCE_NOT_EXISTS", "订单不存在") from None


def _checked(body: fields.Body, order: Order) -> RefundRequest:
    number = fields.text(body, "out_refund_no", 64)
    if not OUT_REFUND_NO.fullmatch(number):
        raise FieldError("/out_refund_no", number, "1..64 of 0-9A-Za-z_-|*@", message="商户退款单号格式错误")
    amount = body.get("amount")
    if not isinstance(amount, dict) or amount.keys() - {"refund", "total", "currency", "from"}:
        raise FieldError("/amount", amount, "object of refund, total, currency")
    if amount.get("currency") != "CNY":
        raise FieldError("/amount/currency", amount.get("currency"), "Currency code is invalid")
    return RefundRequest(
        out_refund_no=number,
        out_trade_no=order.request.out_trade_no,
        amount_fen=fields.fen(amount, "refund"),
        total_fen=fields.fen(amount, "total"),
        reason=fields.text(body, "reason", REASON_MAX) if "reason" in body else "",
        notify_url=fields.notify_url(body) if "notify_url" in body else "",
    )
