"""What alerts say; each ends with the one tap that stops them."""

from __future__ import annotations

from billing.interface import Balance, Crossing, CrossingKind, Lot
from models.clock import CAMPUS_ZONE
from models.money import gigabytes, yuan, yuan_short
from models.site import Site

STOP = "停止提醒"
RESUME = "恢复提醒"
_SLOW = "网速已放慢，不会断网。"


def crossed(site: Site, account_no: str, crossing: Crossing) -> str:
    """80 percent, 100 percent, or nothing left at all."""
    match crossing.kind:
        case CrossingKind.ALMOST:
            text = f"{crossing.lot_name}已用 80%，还剩 {gigabytes(crossing.left_bytes)} GB。"
        case CrossingKind.USED_UP:
            text = f"{crossing.lot_name}已用完，接下来使用其余的高速流量。"
        case CrossingKind.THROTTLED:
            text = f"{crossing.lot_name}已用完，高速流量没有了：{_SLOW}"
    return _message("流量提醒", account_no, text, f"{_link(site, '/h5/usage', '查看用量')}　{_tap('套餐')}")


def restored(site: Site, balance: Balance) -> str:
    """There is high-speed traffic again."""
    text = f"已恢复全速，高速流量还有 {gigabytes(balance.left_bytes)} GB。"
    return _message("网速恢复", balance.account_no, text, _link(site, "/h5/usage", "查看用量"))


def ending(account_no: str, package: Lot) -> str:
    """A package ends soon with traffic in it."""
    ends = package.ends_at.astimezone(CAMPUS_ZONE)
    text = (
        f"{package.name}将于 {ends:%m-%d %H:%M} 到期，"
        f"还剩 {gigabytes(package.left_bytes)} GB 高速流量，到期后不能再用。"
    )
    return _message("套餐即将到期", account_no, text, _tap("套餐"))


def low_balance(balance: Balance, threshold_fen: int) -> str:
    """The balance is below what the person chose."""
    text = f"余额 {yuan(balance.balance_fen)} 元，低于 {yuan_short(threshold_fen)} 元。"
    return _message("余额提醒", balance.account_no, text, _tap("充值"))


def _message(title: str, account_no: str, text: str, ways: str) -> str:
    # The end is enough for the owner to know which account, and says little to whoever looks on.
    return f"{title}\n账号：…{account_no[-4:]}\n{text}\n\n{ways}　{_tap(STOP)}"


def _tap(words: str) -> str:
    return f'<a href="weixin://bizmsgmenu?msgmenucontent={words}&msgmenuid=1">{words}</a>'


def _link(site: Site, path: str, shown: str) -> str:
    return f'<a href="{site.link(path)}">{shown}</a>'
