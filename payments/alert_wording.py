"""What alerts say; each ends with the one tap that stops them."""

from __future__ import annotations

from datetime import datetime

from billing.interface import Balance, Crossing, CrossingKind, Lot
from models.clock import CAMPUS_ZONE
from models.money import gigabytes, yuan, yuan_short
from models.site import Site
from models.tidings import Tidings, of_notice

STOP = "停止提醒"
RESUME = "恢复提醒"
USAGE = "/h5/usage"
_SLOW = "网速已放慢，不会断网。"


def crossed(site: Site, account_no: str, crossing: Crossing, *, at: datetime) -> Tidings:
    """80 percent, 100 percent, or nothing left at all."""
    match crossing.kind:
        case CrossingKind.ALMOST:
            text = f"{crossing.lot_name}已用 80%，还剩 {gigabytes(crossing.left_bytes)} GB。"
            short = f"已用80%，还剩{gigabytes(crossing.left_bytes)}GB"
        case CrossingKind.USED_UP:
            text = f"{crossing.lot_name}已用完，接下来使用其余的高速流量。"
            short = "已用完一份，接下来用其余流量"
        case CrossingKind.THROTTLED:
            text = f"{crossing.lot_name}已用完，高速流量没有了：{_SLOW}"
            short = "高速流量已用完，限速但不断网"
    ways = f"{_link(site, USAGE, '查看用量')}　{_tap('套餐')}"
    return _message("流量提醒", account_no, (text, short), ways, at=at)


def restored(site: Site, balance: Balance, *, at: datetime) -> Tidings:
    """There is high-speed traffic again."""
    left = gigabytes(balance.left_bytes)
    texts = (f"已恢复全速，高速流量还有 {left} GB。", f"已恢复全速，还有{left}GB")
    return _message("网速恢复", balance.account_no, texts, _link(site, USAGE, "查看用量"), at=at)


def ending(account_no: str, package: Lot, *, at: datetime) -> Tidings:
    """A package ends soon with traffic in it."""
    ends, left = f"{package.ends_at.astimezone(CAMPUS_ZONE):%m-%d %H:%M}", gigabytes(package.left_bytes)
    text = f"{package.name}将于 {ends} 到期，还剩 {left} GB 高速流量，到期后不能再用。"
    return _message("套餐即将到期", account_no, (text, f"还剩{left}GB，{ends[:5]}到期"), _tap("套餐"), at=at)


def low_balance(balance: Balance, threshold_fen: int, *, at: datetime) -> Tidings:
    """The balance is below what the person chose."""
    text = f"余额 {yuan(balance.balance_fen)} 元，低于 {yuan_short(threshold_fen)} 元。"
    texts = (text, f"余额{yuan(balance.balance_fen)}元，请充值")
    return _message("余额提醒", balance.account_no, texts, _tap("充值"), at=at, path="/h5/recharge")


def _message(
    title: str, account_no: str, texts: tuple[str, str], ways: str, *, at: datetime, path: str = USAGE
) -> Tidings:
    """`texts` for the chat and for a template."""
    text, short = texts
    # The end is enough for the owner to know which account, and says little to whoever looks on.
    full = f"{title}\n账号：…{account_no[-4:]}\n{text}\n\n{ways}　{_tap(STOP)}"
    return of_notice(full, account_no=account_no, title=title, short=short, at=at, path=path)


def _tap(words: str) -> str:
    return f'<a href="weixin://bizmsgmenu?msgmenucontent={words}&msgmenuid=1">{words}</a>'


def _link(site: Site, path: str, shown: str) -> str:
    return f'<a href="{site.link(path)}">{shown}</a>'
