"""Orders: where the money is."""

from __future__ import annotations

from collections.abc import Sequence

from bot.context import link, tap
from handlers.wording.common import MAIN_WORDS, lines, moment, reach, short
from models.money import yuan, yuan_short
from models.site import Site
from payments.orders import Checked
from payments.views import OrderView, Step, steps

STEP_MARKS = {"done": "●", "now": "◐", "todo": "○"}
STEP_HINTS = {
    Step.CREDITING: "已收到付款，正在入账，可能会有几分钟延迟，到账后会发消息告诉您。",
    Step.CLOSED: "订单已关闭，没有收到付款。如果您已付款，请联系我们并提供订单号。",
    Step.ATTENTION: "已收到付款，正在人工处理，钱不会丢。着急请联系我们并提供订单号。",
    Step.CREDITED: "已充值成功。",
    Step.REFUNDING: "款项正在原路退回，零钱一般几分钟到账，银行卡一般 1 至 3 个工作日。",
    Step.REFUNDED: "款项已退回原支付账户，请在微信账单中查看。",
}


def order(site: Site, view: OrderView) -> str:
    """One order: where the money is and what can be done."""
    page = site.link(f"/h5/orders/{view.order_no}")
    if view.payable:
        pay = link(site.link(f"/h5/pay/{view.order_no}"), "点此支付")
        tail = f"还没有收到付款。{pay}　已付款？{tap('没到账')}"
    else:
        tail = STEP_HINTS[view.step]
    bar = " ".join(f"{STEP_MARKS[mark]}{label}" for label, mark in steps(view))
    return lines(
        f"订单 {view.order_no}",
        f"{yuan(view.amount_fen)} 元 → {view.account_no}（{short(view.masked_name)}）",
        f"状态：{_state(view)}",
        *(() if view.step is Step.CLOSED or view.going_back else (bar,)),
        tail,
        f"{link(page, '订单详情')}　{tap('记录')}　{tap('联系我们')}",
    )


def checked(site: Site, found: Checked) -> str:
    """What 没到账 found: the order that matters, and other paid ones in short."""
    if not found.also_paid:
        return order(site, found.shown)
    rows = [_row(site, view) for view in found.also_paid]
    return lines(order(site, found.shown), "", "另有已付款的订单，请勿重复支付：", *rows)


def records(site: Site, views: Sequence[OrderView]) -> str:
    """The last orders with their state."""
    if not views:
        return no_orders()
    rows = [_row(site, view) for view in views]
    return lines("最近的充值：", *rows, "", f"{link(site.link('/h5/orders'), '全部记录')}　{tap('没到账')}")


def no_orders() -> str:
    """Nothing was ever ordered here."""
    return lines("您在这里还没有充值记录。", MAIN_WORDS)


def check_unanswered(site: Site) -> str:
    """WeChat could not be asked: nobody knows yet."""
    return lines(
        "暂时没能向微信支付查到结果，还不能确定是否已付款。",
        "请不要重复支付：系统会继续自动核对，已付的钱一定会入账或有人处理。",
        f"稍后再试：{tap('没到账')}　{link(site.link('/h5/orders'), '充值记录')}",
        f"着急请联系：{reach(site.contact)}",
    )


def in_doubt(site: Site, text: str) -> str:
    """Another payment is not confirmed yet: no link to pay."""
    return lines(text, f"{tap('没到账')}　{link(site.link('/h5/orders'), '充值记录')}")


def _row(site: Site, view: OrderView) -> str:
    return link(
        site.link(f"/h5/orders/{view.order_no}"),
        f"{moment(view.created_at)} {yuan_short(view.amount_fen)}元→{view.account_no} {_state(view)}",
    )


def _state(view: OrderView) -> str:
    """The step, and what of the money goes back; said once where that is the same."""
    if not view.refund_text:
        return view.title
    return view.refund_text if view.going_back else f"{view.title}，{view.refund_text}"
