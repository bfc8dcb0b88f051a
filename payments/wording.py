"""What payments say to a person in a message of their own accord."""

from __future__ import annotations

from datetime import datetime

from billing.interface import ExchangeReceipt
from models.clock import CAMPUS_ZONE
from models.money import traffic, yuan
from models.order import Order
from models.tidings import Tidings, of_money, of_notice


def credited(order: Order, balance_fen: int | None, *, at: datetime) -> Tidings:
    """The 到账 message; `balance_fen` only for the account's owner."""
    lines = [
        "充值到账",
        f"账号：{order.account_no}（{order.masked_name}）",
        f"金额：{yuan(order.amount_fen)} 元",
    ]
    if balance_fen is not None:
        lines.append(f"余额：{yuan(balance_fen)} 元")
    lines.append(f"订单号：{order.order_no}")
    return of_money(
        "\n".join(lines),
        account_no=order.account_no,
        amount_fen=order.amount_fen,
        state="充值到账",
        at=at,
        path=f"/h5/orders/{order.order_no}",
    )


def swapped(order: Order, receipt: ExchangeReceipt, *, own: bool, at: datetime) -> Tidings:
    """The message after a recharge with a swap; the balance only for the account's `own`er."""
    ends = receipt.ends_at.astimezone(CAMPUS_ZONE)
    lines = [
        "换购成功",
        f"账号：{order.account_no}（{order.masked_name}）",
        f"套餐：{receipt.package_name}（{traffic(receipt.quota_bytes)}）",
        f"有效期至：{ends.month}月{ends.day}日 {ends:%H:%M}",
    ]
    if own and receipt.balance_fen is not None:
        lines.append(f"余额：{yuan(receipt.balance_fen)} 元")
    return _of_swap(order, lines, "换购成功", receipt.package_name, at)


def swap_refused(order: Order, package_name: str, reason: str | None, *, at: datetime) -> Tidings:
    """The message when the money arrived and the swap did not happen; `reason` only for the owner."""
    lines = [
        "充值已到账，套餐未能换购",
        f"账号：{order.account_no}（{order.masked_name}）",
        f"套餐：{package_name}",
    ]
    if reason is not None:
        lines.append(f"原因：{reason}")
    lines.append(f"充值的 {yuan(order.amount_fen)} 元已留在账户余额中，可在自助服务系统中重新换购。")
    return _of_swap(order, lines, "充值已到账，套餐未能换购", "充值的钱已留在账户余额中", at)


def _of_swap(order: Order, lines: list[str], title: str, short: str, at: datetime) -> Tidings:
    text = "\n".join([*lines, f"订单号：{order.order_no}"])
    path = f"/h5/orders/{order.order_no}"
    return of_notice(text, account_no=order.account_no, title=title, short=short, at=at, path=path)
