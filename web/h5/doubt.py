"""Whether a page may invite to pay."""

from __future__ import annotations

from payments import unconfirmed
from payments.unconfirmed import PaymentInDoubt
from payments.views import OrderView
from web.current import services


def doubt_of(openid: str, order: OrderView) -> str:
    """Return why this order must not be paid now: another payment is not confirmed. Empty: it may be."""
    try:
        unconfirmed.check_none(services(), openid=openid, account_no=order.account_no, besides=order.order_no)
    except PaymentInDoubt as doubt:
        return doubt.text
    return ""
