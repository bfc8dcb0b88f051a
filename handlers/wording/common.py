"""What every part of the catalogue uses: lines, short names, campus time, the words always offered."""

from __future__ import annotations

from datetime import datetime, timedelta

from bot.context import link, tap
from models.clock import CAMPUS_ZONE
from models.site import Contact, Site

LONGEST_NAME = 16

NO_WAY_BACK = "充错无法退回，请务必核对账号。"
ONE_AT_A_TIME = "一次只能换购一个流量包，用完之后才能再次换购。"
MAIN_WORDS = f"{tap('充值')}　{tap('余额')}　{tap('套餐')}"
CANCEL = tap("取消")


def lines(*parts: str) -> str:
    """The parts below one another."""
    return "\n".join(parts)


def short(text: str, longest: int = LONGEST_NAME) -> str:
    """A name or text from outside on one line, cut to `longest` characters, without markup."""
    flat = " ".join(text.replace("<", "＜").split())
    return flat if len(flat) <= longest else flat[: longest - 1] + "…"


def hhmm(at: datetime) -> str:
    """Campus time of day, 09:05."""
    return f"{at.astimezone(CAMPUS_ZONE):%H:%M}"


def day(at: datetime) -> str:
    """Campus date, 9月1日."""
    local = at.astimezone(CAMPUS_ZONE)
    return f"{local.month}月{local.day}日"


def last_day(end: datetime) -> str:
    """The last campus date before an instant at which something ends: midnight of April 1st is 3月31日."""
    return day(end - timedelta(microseconds=1))


def moment(at: datetime) -> str:
    """Campus date and time, 09-01 08:30."""
    return f"{at.astimezone(CAMPUS_ZONE):%m-%d %H:%M}"


def reach(contact: Contact) -> str:
    """How to reach a human, in half a line."""
    return f"QQ 群 {contact.qq_group}，热线 {contact.hotline}"


def bind_page(site: Site, shown: str) -> str:
    """The link to the bind page."""
    return link(site.link("/h5/bind"), shown)
