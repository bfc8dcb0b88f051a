"""What a refund says to the payer in messages of its own accord."""

from __future__ import annotations

from datetime import datetime

from models.money import yuan
from models.order import Order
from models.refund import Refund
from models.tidings import Tidings, of_money


def submitted(order: Order, refund: Refund, *, at: datetime) -> Tidings:
    """WeChat took the task; the money is on its way."""
    text = "\n".join(
        [
            "退款已提交",
            f"金额：{yuan(refund.amount_fen)} 元",
            f"订单号：{order.order_no}",
            "微信支付正在原路退回，零钱一般几分钟到账，银行卡一般 1 至 3 个工作日。",
        ]
    )
    return _tidings(order, refund, text, "退款中", at)


def refunded(order: Order, refund: Refund, *, at: datetime) -> Tidings:
    """The money has arrived where it came from."""
    text = "\n".join(
        [
            "退款到账",
            f"金额：{yuan(refund.amount_fen)} 元",
            f"订单号：{order.order_no}",
            "款项已退回原支付账户，请在微信账单中查看。",
        ]
    )
    return _tidings(order, refund, text, "退款到账", at)


def _tidings(order: Order, refund: Refund, text: str, state: str, at: datetime) -> Tidings:
    return of_money(
        text,
        account_no=order.account_no,
        amount_fen=refund.amount_fen,
        state=state,
        at=at,
        path=f"/h5/orders/{order.order_no}",
    )
