"""What a refund says to the payer in messages of its own accord."""

from __future__ import annotations

from models.money import yuan
from models.order import Order
from models.refund import Refund


def submitted_text(order: Order, refund: Refund) -> str:
    """WeChat took the task; the money is on its way."""
    return "\n".join(
        [
            "退款已提交",
            f"金额：{yuan(refund.amount_fen)} 元",
            f"订单号：{order.order_no}",
            "微信支付正在原路退回，零钱一般几分钟到账，银行卡一般 1 至 3 个工作日。",
        ]
    )


def refunded_text(order: Order, refund: Refund) -> str:
    """The money has arrived where it came from."""
    return "\n".join(
        [
            "退款到账",
            f"金额：{yuan(refund.amount_fen)} 元",
            f"订单号：{order.order_no}",
            "款项已退回原支付账户，请在微信账单中查看。",
        ]
    )
