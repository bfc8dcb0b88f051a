"""What payments say to a person in a message of their own accord."""

from __future__ import annotations

from models.money import yuan
from models.order import Order


def credited_text(order: Order, balance_fen: int | None) -> str:
    """The 到账 message; `balance_fen` only for the account's owner."""
    lines = [
        "充值到账",
        f"账号：{order.account_no}（{order.masked_name}）",
        f"金额：{yuan(order.amount_fen)} 元",
    ]
    if balance_fen is not None:
        lines.append(f"余额：{yuan(balance_fen)} 元")
    lines.append(f"订单号：{order.order_no}")
    return "\n".join(lines)
