"""WeChat Pay v3 as its merchants see it: prepay, query, close, notifications."""

from __future__ import annotations

from sandbox.pay.orders import PaidOrder
from sandbox.pay.platform import PayPlatform
from sandbox.pay.views import pay_blueprint

__all__ = ["PaidOrder", "PayPlatform", "pay_blueprint"]
