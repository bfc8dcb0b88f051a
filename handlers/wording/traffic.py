"""Balance, traffic, packages, swaps and fees."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from billing.interface import Balance, ExchangeRecord, Lot, Offer
from bot.context import link, tap
from bot.render import MAX_TEXT_BYTES
from handlers.wording.common import ONE_AT_A_TIME, hhmm, last_day, lines, moment, short
from models.money import gigabytes, yuan, yuan_short
from models.site import Site
from payments.speed_wording import why_slow

OFFERS_SHOWN = 12
SWAPS_SHOWN = 5
LOTS_SHOWN = 6
NOTHING_ON_SALE = "目前没有在售套餐。"
PACKAGES_HEAD = "在售流量套餐（有效期一个月，超出后限速但不断网）："


def _lot(lot: Lot) -> str:
    left, total = gigabytes(lot.left_bytes), gigabytes(lot.total_bytes)
    return f"{short(lot.name)}：剩 {left} / {total} GB，有效至{last_day(lot.ends_at)}"


def _speed(balance: Balance) -> str:
    return f"限速中（{why_slow(balance)}，不断网）" if balance.throttled else "全速"


def balance(seen: Balance) -> str:
    """Money, package, high-speed traffic and speed of the owner's account."""
    package = seen.package
    return lines(
        f"账号：{seen.account_no}（{short(seen.masked_name)}）",
        f"余额：{yuan(seen.balance_fen)} 元",
        f"当前套餐：{_lot(package) if package else '无'}",
        f"高速流量剩余：{gigabytes(seen.left_bytes)} GB",
        f"网速：{_speed(seen)}",
        f"更新于 {hhmm(seen.as_of)}",
        "",
        f"{tap('充值')}　{tap('流量')}　{tap('套餐')}",
    )


def usage(site: Site, seen: Balance, used_bytes: int | None) -> str:
    """This month's use and what is left; `used_bytes` None where the back end does not know."""
    used = "本月已用：暂时无法查询" if used_bytes is None else f"本月已用：{gigabytes(used_bytes)} GB"
    lots = [_lot(lot) for lot in seen.lots[:LOTS_SHOWN]] or ["没有可用的高速流量"]
    return lines(
        used,
        *lots,
        f"网速：{_speed(seen)}",
        f"更新于 {hhmm(seen.as_of)}",
        "",
        f"{link(site.link('/h5/usage'), '查看每日用量')}　{tap('套餐')}",
        link(site.link("/go/usage"), "流量使用详情（需连接校园网）"),
    )


def _offer(offer: Offer) -> str:
    price, quota = f"{yuan_short(offer.price_fen)}元", f"{gigabytes(offer.quota_bytes).removesuffix('.0')}GB"
    # Many names say price and traffic already; what they say is not repeated.
    facts = [fact for fact in (price, quota) if fact not in offer.name]
    if offer.validity_months != 1:
        facts.append(f"有效期{offer.validity_months}个月")
    if offer.special and offer.sale_until:
        facts.append(f"售至{last_day(offer.sale_until)}")
    mark = "【特惠】" if offer.special else "· "
    return f"{mark}{short(offer.name)}" + (f"（{'，'.join(facts)}）" if facts else "")


def _offers(offers: Sequence[Offer]) -> list[str]:
    return [_offer(offer) for offer in offers[:OFFERS_SHOWN]] or [NOTHING_ON_SALE]


def packages(site: Site, offers: Sequence[Offer]) -> str:
    """The catalogue, the rule, and the link to the intranet page."""
    return lines(PACKAGES_HEAD, *_offers(offers), "", ONE_AT_A_TIME, *_ways(site))


def own_packages(site: Site, offers: Sequence[Offer], seen: Balance, missing_fen: Mapping[str, int]) -> str:
    """The same for the owner of an account: what runs, the balance, and what each package still lacks."""
    running = seen.package if seen.package and seen.package.left_bytes > 0 else None
    tail = lines(
        "",
        f"账户余额：{yuan(seen.balance_fen)} 元",
        f"当前{_lot(running)}" if running else "当前没有未用完的流量包",
        ONE_AT_A_TIME,
        *_ways(site),
    )
    shown = [PACKAGES_HEAD]
    for offer, line in zip(offers, _offers(offers), strict=False):
        lack = missing_fen.get(offer.code)
        more = [line] if lack is None else [line, _recharge_and_swap(site, offer, lack)]
        # A package whose link has no room is left to the page, with all that follow.
        if len(lines(*shown, *more, tail).encode()) > MAX_TEXT_BYTES:
            break
        shown += more
    return lines(*shown, *([] if offers else [NOTHING_ON_SALE]), tail)


def _recharge_and_swap(site: Site, offer: Offer, missing_fen: int) -> str:
    # Paying needs no campus network, and the swap that follows needs nobody.
    page = site.link(f"/h5/recharge?package={quote(offer.code, safe='')}")
    return f"　还差 {yuan(missing_fen)} 元：{link(page, '充值并换购')}"


def _ways(site: Site) -> tuple[str, str]:
    return (
        f"{link(site.link('/go/packages'), '去换购（需连接校园网）')}　{tap('换购日志')}",
        link(site.link("/go/self"), "自助服务系统（需连接校园网）"),
    )


def exchange_log(site: Site, records: Sequence[ExchangeRecord]) -> str:
    """The last swaps, and the link to all of them."""
    if not records:
        return lines("还没有换购记录。", f"看看在售的{tap('套餐')}。")
    rows = [
        f"{moment(row.at)} {short(row.package_name)} {yuan(row.price_fen)} 元"
        for row in records[:SWAPS_SHOWN]
    ]
    whole = link(site.link("/go/log"), "全部换购日志（需连接校园网）")
    return lines("最近的换购：", *rows, "", whole, f"{tap('流量')}　{tap('套餐')}")


def fees(offers: Sequence[Offer]) -> str:
    """The rule of the school with today's prices."""
    return lines(
        "校园网收费依据《桂林电子科技大学校园网收费管理办法》（桂电网信〔2023〕2号）。",
        "每月初赠送高速流量，用完后动态限速，满足基本学习需要。",
        "",
        "需要更多高速流量，可换购套餐：",
        *_offers(offers),
        "",
        f"每月不定期有特惠套餐。{tap('充值')}　{tap('套餐')}",
    )
