"""The recharge conversation, from the amount to the pay link."""

from __future__ import annotations

from bot.context import link, tap
from handlers.wish import Wish
from handlers.wording.common import CANCEL, MAIN_WORDS, NO_WAY_BACK, bind_page, hhmm, lines, short
from models.money import yuan, yuan_short
from models.site import RechargeRules, Site
from payments.views import OrderView

TAPS_SHOWN = 9


def amount_taps(rules: RechargeRules, *, own: bool) -> str:
    """The amounts as tappable words.

    For one's own account a tap sends 充值5 and still works when the state is gone; for another
    account it sends the bare number, which means nothing outside the conversation it belongs to.
    """
    sent = "充值" if own else ""
    words = [
        tap(f"{sent}{yuan_short(fen)}", f"{yuan_short(fen)}元") for fen in rules.presets_fen[:TAPS_SHOWN]
    ]
    return "　".join([*words, tap("其他金额")])


def _whose(wish: Wish) -> str:
    owner = "您绑定的账号" if wish.own else "充值账号"
    return f"{owner}：{wish.account_no}（{short(wish.masked_name)}）"


def ask_amount(wish: Wish, rules: RechargeRules, problem: str) -> str:
    """The account is known; `problem` says what was wrong with the last answer, if anything."""
    how = (problem,) if problem else ()
    other = f"给别人充：{tap('给他人充值')}　{CANCEL}" if wish.own else CANCEL
    return lines(*how, _whose(wish), "请选择充值金额：", amount_taps(rules, own=wish.own), "", other)


def type_amount(wish: Wish, rules: RechargeRules) -> str:
    """其他金额: type it."""
    bounds = f"{yuan_short(rules.min_fen)} 到 {yuan_short(rules.max_fen)} 元"
    return lines(_whose(wish), f"请直接输入充值金额（{bounds}），例如 15。", CANCEL)


def ask_account(site: Site, amount_fen: int | None, problem: str) -> str:
    """The account is not known yet."""
    what = (
        "请输入要充值的校园网账号。"
        if amount_fen is None
        else f"充值 {yuan_short(amount_fen)} 元，请输入校园网账号。"
    )
    return lines(
        *((problem,) if problem else ()),
        what,
        NO_WAY_BACK,
        "",
        f"给自己充：{bind_page(site, '绑定后免输账号')}　{CANCEL}",
    )


def ask_account_again(account_no: str) -> str:
    """The second time, against slips of the finger."""
    return lines(f"账号 {account_no}，请再输入一次以便核对。", CANCEL)


def ask_name(wish: Wish) -> str:
    """The masked name: is it them?"""
    return lines(_whose(wish), "请核对户名，是 TA 吗？", f"{tap('确认')}　{CANCEL}")


def confirm(wish: Wish, amount_fen: int, *, reminder: bool = False) -> str:
    """Account, name and amount before an order exists."""
    return lines(
        "还没有看到您的确认：" if reminder else "请核对充值信息：",
        _whose(wish),
        f"充值金额：{yuan(amount_fen)} 元",
        NO_WAY_BACK,
        "",
        f"{tap('确认')}　{CANCEL}",
    )


def pay_link(site: Site, view: OrderView) -> str:
    """The order exists: one link that opens the pay page."""
    return lines(
        "请核对订单后支付，充错无法退回：",
        f"账号：{view.account_no}（{short(view.masked_name)}）",
        f"金额：{yuan(view.amount_fen)} 元",
        "",
        link(site.link(f"/h5/pay/{view.order_no}"), f"点此支付 {yuan(view.amount_fen)} 元"),
        f"请在 {hhmm(view.expires_at)} 前完成支付，到账后会发消息告诉您。",
    )


def accounts_differ() -> str:
    """The two typed accounts are not the same."""
    return "两次输入的账号不一致，请重新开始。"


def account_unclear() -> str:
    """This does not look like an account."""
    return "这不像是校园网账号（由字母和数字组成，如学号）。"


def cancelled() -> str:
    """A state was left."""
    return lines("已取消。", MAIN_WORDS)


def nothing_to_cancel() -> str:
    """There was no state to leave."""
    return lines("现在没有进行中的操作。", MAIN_WORDS)


def nothing_to_confirm() -> str:
    """A yes without a question."""
    return lines("现在没有等待确认的操作。", MAIN_WORDS)


def expired() -> str:
    """The state ran out."""
    return "刚才的操作已超过10分钟，已自动取消。"
