"""The `/sim/pay/refunds` API: what a merchant does in the console, and knobs for tests."""

from __future__ import annotations

from flask import Blueprint

from sandbox.pay.orders import SUCCESS, Unpayable, beijing
from sandbox.pay.platform import PayPlatform
from sandbox.pay.refunds import ENDS, PROCESSING, Refund, RefundRequest
from sandbox.pay.refunds_api import end, proceed, refund_event
from sandbox.pay.sim_views import body_of, plain

RESEND_MAX = 50
CONSOLE_REASON = "商户平台操作退款"


def add_refund_routes(blueprint: Blueprint, platform: PayPlatform) -> None:
    """Hang the routes on the pay blueprint."""

    @blueprint.get("/sim/pay/refunds")
    @plain
    def all_refunds() -> dict[str, object]:
        with platform.engine.lock:
            return {"refunds": [describe(one) for one in platform.refunds.all()]}

    @blueprint.post("/sim/pay/refunds")
    @plain
    def refund_in_console() -> dict[str, object]:
        """Refund in the merchant console: the site hears of it only if `tell` is true, or by asking."""
        return _refund_in_console(platform, body_of())

    @blueprint.get("/sim/pay/refunds/<out_refund_no>")
    @plain
    def one_refund(out_refund_no: str) -> dict[str, object]:
        with platform.engine.lock:
            return describe(platform.refunds.get(out_refund_no))

    @blueprint.post("/sim/pay/refunds/<out_refund_no>/settle")
    @plain
    def settle_refund(out_refund_no: str) -> dict[str, object]:
        """End a refund as `status` says: SUCCESS, ABNORMAL or CLOSED."""
        status = str(body_of().get("status", SUCCESS))
        with platform.engine.lock:
            found = platform.refunds.get(out_refund_no)
        if status not in ENDS or not end(platform, found, status):
            raise Unpayable(f"退款状态为 {found.status}，不能变为 {status}")
        return describe(found)

    @blueprint.post("/sim/pay/refunds/<out_refund_no>/notify")
    @plain
    def tell_refund(out_refund_no: str) -> dict[str, object]:
        """Tell the merchant again, `times` times, `parallel` or one after the other."""
        body = body_of()
        with platform.engine.lock:
            found = platform.refunds.get(out_refund_no)
        if found.status == PROCESSING or not found.request.notify_url:
            raise Unpayable("退款处理中或没有通知地址，没有通知可发")
        times = min(max(int(str(body.get("times", 1))), 1), RESEND_MAX)
        event = refund_event(found)
        return {"statuses": platform.notifier.resend(event, times, parallel=body.get("parallel") is True)}


def describe(refund: Refund) -> dict[str, object]:
    """A refund for the phone page and for tests."""
    return {
        "out_refund_no": refund.request.out_refund_no,
        "refund_id": refund.refund_id,
        "out_trade_no": refund.request.out_trade_no,
        "transaction_id": refund.order.transaction_id,
        "amount_fen": refund.request.amount_fen,
        "reason": refund.request.reason,
        "status": refund.status,
        "external": refund.external,
        "created_at": beijing(refund.created_at),
        "success_at": beijing(refund.success_at) if refund.success_at else None,
    }


def _refund_in_console(platform: PayPlatform, body: dict[str, object]) -> dict[str, object]:
    tell = body.get("tell") is True
    with platform.engine.lock:
        order = platform.book.get(str(body.get("out_trade_no")))
        which = f"{order.request.out_trade_no} {len(platform.refunds.of(order.request.out_trade_no))}"
        own_number = f"console{platform.engine.chance.about('console refund', which).hex(16)}"
        request = RefundRequest(
            # The console chooses numbers of its own.
            out_refund_no=str(body.get("out_refund_no") or own_number),
            out_trade_no=order.request.out_trade_no,
            amount_fen=int(str(body.get("amount_fen", order.request.amount_fen))),
            total_fen=order.request.amount_fen,
            reason=CONSOLE_REASON,
            notify_url=str(body.get("notify_url") or order.request.notify_url) if tell else "",
        )
        accepted, _ = platform.refunds.accept(order, request, external=True)
    if body.get("at_once") is True:
        end(platform, accepted, SUCCESS, tell=tell)
    else:
        proceed(platform, accepted, SUCCESS, tell=tell)
    return describe(accepted)
