"""Help, notices, and what is said when nothing else fits."""

from __future__ import annotations

from collections.abc import Sequence

from bot.context import link, tap
from handlers.wording.common import MAIN_WORDS, NO_WAY_BACK, ONE_AT_A_TIME, day, lines, reach, short
from handlers.wording.recharge import expired
from models.notice import Notice
from models.site import Contact, Site

LONGEST_TITLE = 24
LONGEST_EXCERPT = 90


def notices(site: Site, found: Sequence[Notice]) -> str:
    """The newest with its first lines, the others as links."""
    if not found:
        return lines("目前没有公告。", MAIN_WORDS)
    heads = [
        link(site.link(f"/h5/notices/{row.id}"), f"{day(row.published_at)} {short(row.title, LONGEST_TITLE)}")
        for row in found
    ]
    everything = link(site.link("/h5/notices"), "全部公告")
    return lines(heads[0], short(found[0].body, LONGEST_EXCERPT), "", *heads[1:], everything)


def overview(site: Site) -> str:
    """Everything the bot can do."""
    return lines(
        f"{site.name}可以帮您：",
        f"充值：{tap('充值')}　{tap('给他人充值')}　{tap('记录')}　{tap('没到账')}",
        f"查询：{tap('余额')}　{tap('流量')}　{tap('套餐')}　{tap('换购日志')}",
        f"账号：{tap('绑定')}　{tap('解绑')}",
        f"说明：{tap('资费')}　{tap('流程')}　{tap('线下')}　{tap('常见问题')}　{tap('公告')}",
        f"找人：{tap('客服')}　{tap('联系我们')}",
        "",
        "也可以直接说“充值20”。",
    )


def recharge_steps(site: Site) -> str:
    """How a recharge goes."""
    return lines(
        "充值流程：填写 → 支付 → 支付完成 → 后台充值处理 → 充值成功。",
        "1. 说“充值”，选金额；也可以直接说“充值20”。",
        f"2. 核对账号和户名。{NO_WAY_BACK}",
        "3. 点链接，用微信支付付款（目前仅支持微信支付）。",
        "4. 到账后会发消息告诉您；受网络影响可能会有延迟。",
        "",
        f"{tap('充值')}　{link(site.link('/h5/recharge'), '打开充值页面')}　{tap('线下')}",
    )


def counter(contact: Contact) -> str:
    """Where and how to pay at the counter."""
    return lines(
        f"线下充值：{contact.office}",
        f"时间：{contact.office_hours}",
        "必须备注学号和姓名；金额须是套餐金额或其倍数，没有备注或金额不对将原路退回。",
        "",
        f"推荐线上{tap('充值')}，随时可用。　{tap('资费')}",
    )


def questions(contact: Contact) -> str:
    """Short answers to what is asked most."""
    return lines(
        f"问：付了钱没到账？　答：点{tap('没到账')}，马上向微信支付核对。",
        "问：充错账号能退吗？　答：不能退回，付款前请务必核对。",
        f"问：网速变慢了？　答：高速流量用完会限速，不断网。可看{tap('流量')}或换购{tap('套餐')}。",
        f"问：能买几个流量包？　答：{ONE_AT_A_TIME}",
        f"问：校外能充值吗？　答：能，也能{tap('充值并换购')}。用余额换购才需要连接校园网。",
        f"还有问题：{tap('客服')}　{reach(contact)}",
    )


def contact_us(contact: Contact) -> str:
    """Where people find help."""
    return lines(
        f"QQ 群：{contact.qq_group}",
        f"热线：{contact.hotline}",
        f"地点：{contact.office}",
        f"时间：{contact.office_hours}",
        tap("客服"),
    )


def _service_hours(contact: Contact) -> str:
    return f"工作日 {contact.service_from_hour}:00–{contact.service_until_hour}:00"


def human_notice(contact: Contact) -> str:
    """Told before a human takes over."""
    return lines("正在为您转接人工客服，请直接描述问题。", f"也可以联系：{reach(contact)}")


def human_away(contact: Contact) -> str:
    """Nobody is there now."""
    return lines(
        f"人工客服时间：{_service_hours(contact)}，现在不在服务时间。",
        f"可以留言，或联系：{reach(contact)}",
        f"{tap('没到账')}　{tap('常见问题')}　{tap('帮助')}",
    )


def guesses(taps: Sequence[str], *, ran_out: bool) -> str:
    """Not understood: the nearest guesses as tappable words."""
    before = (expired(),) if ran_out else ("没有听懂，您是不是想：",)
    return lines(*before, "　".join(taps), f"查看全部功能：{tap('帮助')}")


def media() -> str:
    """A picture, a voice message, a place."""
    return lines("目前只看得懂文字，请打字告诉我，或点一下：", MAIN_WORDS, f"需要人工：{tap('客服')}")


def busy(contact: Contact) -> str:
    """The billing system does not answer."""
    return lines("计费系统暂时没有回应，请过几分钟再试。", f"着急请联系：{reach(contact)}")


def ran_out() -> str:
    """The question a person answers has run out."""
    return lines(expired(), MAIN_WORDS)
