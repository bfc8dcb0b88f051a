"""Whether a page may invite to pay."""

from __future__ import annotations

from payments import unconfirmed
from payments.unconfirmed import PaymentInDoubt
from payments.views import OrderView
from web.current import services


def doubt_of(openid: str, order: OrderView) -> str:
    """Return why this order must not be paid now: another payment is not confirmed. Empty: it may be."""
    return _doubt(openid, order.account_no, order.order_no)


def doubt_before(openid: str, account_no: str) -> str:
    """Return why no new order is offered now, as `doubt_of`."""
    return _doubt(openid, account_no, None)


def _doubt(openid: str, account_no: str, besides: str | None) -> str:
    try:
        unconfirmed.check_none(services(), openid=openid, account_no=account_no, besides=besides)
    except PaymentInDoubt as doubt:
        return doubt.text
    return ""
