"""Following, leaving, binding, unbinding."""

from __future__ import annotations

from bot.context import tap
from handlers.wording.common import CANCEL, MAIN_WORDS, bind_page, lines
from models.site import Site


def welcome(site: Site) -> str:
    """For a new follower: three tappable answers and the bind link."""
    return lines(
        f"欢迎关注{site.name}！在这里可以随时随地充网费、查余额、看流量。",
        "",
        f"点一下试试：{MAIN_WORDS}",
        "",
        f"首次使用请{bind_page(site, '绑定校园网账号')}，以后充值不用再输账号。",
    )


def welcome_back(site: Site) -> str:
    """For a follower who scanned a code."""
    return lines(f"欢迎来到{site.name}，需要什么？", MAIN_WORDS, f"查看全部功能：{tap('帮助')}")


def bind_link(site: Site) -> str:
    """Nothing is bound yet: where to bind."""
    return lines(
        f"{bind_page(site, '点此绑定校园网账号')}",
        "使用统一身份认证登录，我们不会看到您的密码。",
    )


def bind_first(site: Site) -> str:
    """The question needs a bound account."""
    return lines("为保护隐私，只能查询本人绑定的账号，您还没有绑定。", "", bind_link(site))


def bound_already(site: Site, account_no: str) -> str:
    """What is bound, how to change it, how to end it."""
    return lines(
        f"您已绑定校园网账号 {account_no}。",
        f"换一个：{bind_page(site, '重新绑定')}",
        f"不再使用：{tap('解绑')}",
    )


def nothing_bound(site: Site) -> str:
    """Unbinding without a binding."""
    return lines("您目前没有绑定校园网账号，无需解绑。", "", bind_link(site))


def unbind_question(account_no: str) -> str:
    """The first of two taps."""
    return lines(f"确定解绑校园网账号 {account_no} 吗？充值记录会保留。", f"{tap('确认解绑')}　{CANCEL}")


def unbind_reminder() -> str:
    """Something else was said between the two taps."""
    return lines("正在等您确认解绑：", f"{tap('确认解绑')}　{CANCEL}")


def unbound(account_no: str) -> str:
    """The second tap did it."""
    return lines(f"已解绑校园网账号 {account_no}。", f"需要时可以重新{tap('绑定')}。")
