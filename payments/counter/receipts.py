"""What a clerk prints and hands over."""

from __future__ import annotations

from models.clock import CAMPUS_ZONE
from models.counter import ReturnReason, Way
from models.money import FEN_PER_YUAN, yuan
from payments.counter.steps import Booked

WAYS = {Way.CASH: "现金", Way.TRANSFER: "转账"}
REASONS = {
    ReturnReason.AMOUNT: "金额不是套餐价格或其倍数",
    ReturnReason.NO_NAME: "未注明学号姓名",
    ReturnReason.REFUND: "充值已撤销",
    ReturnReason.DECIDED: "人工核对后决定退回",
}
_DIGITS = "零壹贰叁肆伍陆柒捌玖"
_PLACES = ("", "拾", "佰", "仟")
_GROUPS = ("", "万", "亿")
_GROUP = 10_000


def receipt_text(booked: Booked, *, site_name: str) -> str:
    """The receipt of a top-up, or the slip of money that goes back. The name stays masked.

    Every print after the first says 补打, so that two slips are never two payments.
    """
    booking = booked.booking
    again = f"（补打，第 {booking.prints} 次打印）" if booking.prints > 1 else ""
    lines = [
        f"{site_name} {'网费充值收据' if booked.order else '待退回款项凭单'}{again}",
        f"收据号：{booking.receipt_no}",
        f"日期：{booking.booked_at.astimezone(CAMPUS_ZONE):%Y-%m-%d %H:%M}",
        f"学号：{booking.account_no or '未注明'}{f'（{booked.order.masked_name}）' if booked.order else ''}",
        f"金额：{yuan(booking.amount_fen)} 元（人民币{in_words(booking.amount_fen)}）",
        f"方式：{WAYS[Way(booking.way)]}{f'（流水号 {booking.reference}）' if booking.reference else ''}",
    ]
    if booked.order:
        lines.append(f"订单号：{booked.order.order_no}")
        lines.append("说明：款项将自动充入上述账号，到账可能略有延迟，请以账户余额为准。")
    if booked.return_item:
        lines.append(f"退款单号：{booked.return_item.return_no}")
        lines.append(
            f"说明：{REASONS[ReturnReason(booked.return_item.reason)]}，款项将原路退回，未充入账号。"
        )
    lines.append(f"经办人：{booking.clerk}")
    return "\n".join(lines)


def in_words(fen: int) -> str:
    """An amount as receipts spell it: 2000 -> 贰拾元整, 1050 -> 壹拾元零伍角整."""
    whole, rest = divmod(fen, FEN_PER_YUAN)
    jiao, cent = divmod(rest, 10)
    words = f"{_integer(whole)}元" if whole else ""
    if not rest:
        return f"{words or '零元'}整"
    # 零 bridges a place that is empty: between 元 and 分, or after a round number of 元.
    bridge = "零" if whole and (not jiao or whole % 10 == 0) else ""
    words += bridge
    if jiao:
        words += f"{_DIGITS[jiao]}角"
    return f"{words}{_DIGITS[cent]}分" if cent else f"{words}整"


def _integer(number: int) -> str:
    words, group, gap = "", 0, False
    while number:
        number, part = divmod(number, _GROUP)
        if part:
            # 零 between groups when the lower one does not begin with thousands.
            words = f"{_thousands(part)}{_GROUPS[group]}{'零' if gap and words else ''}{words}"
            gap = part < _GROUP // 10
        else:
            gap = bool(words)
        group += 1
    return words


def _thousands(number: int) -> str:
    words, empty = "", False
    for place in range(3, -1, -1):
        digit = number // 10**place % 10
        if digit:
            words += ("零" if empty else "") + _DIGITS[digit] + _PLACES[place]
            empty = False
        else:
            empty = bool(words)
    return words
