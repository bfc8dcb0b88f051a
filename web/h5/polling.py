"""Waiting for a payment: the page asks us often, we ask WeChat twice."""

from __future__ import annotations

from models.errors import LimitReached, Mismatch, Unavailable, Unknown
from payments import orders
from payments.views import OrderView
from web.rates import slow_down
from web.services import WebServices

# Seconds after the pay sheet closed at which WeChat is asked, should its callback not have come.
ASK_AT_S = (3, 10)
ASK_WINDOW_S = 120


def watch(services: WebServices, openid: str, order_no: str, waited_s: int | None) -> OrderView:
    """The order now. `waited_s` is how long the page has waited since the pay sheet reported success.

    Raises: NoSuchOrder.
    """
    order = orders.look(services, order_no=order_no, openid=openid)
    if not order.payable or waited_s is None or not _turn(order_no, waited_s):
        return order
    try:
        return orders.check_now(services, order_no=order_no, openid=openid)
    except (Unknown, Unavailable, Mismatch):
        # No word about the payment, or one that a person has to look at: the order's own job sees to both.
        return order


def _turn(order_no: str, waited_s: int) -> bool:
    """Whether one of the two moments has come and nobody has used it for this order."""
    for moment_s in ASK_AT_S:
        if waited_s >= moment_s:
            try:
                slow_down(f"watch{moment_s}", order_no, limit=1, window_s=ASK_WINDOW_S)
            except LimitReached:
                continue
            return True
    return False
