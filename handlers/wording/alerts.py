"""Alerts: what is on, and how to change it."""

from __future__ import annotations

from bot.context import link, tap
from handlers.wording.common import lines
from models.money import yuan_short
from models.site import Site


def settings(site: Site, *, wanted: bool, low_fen: int) -> str:
    """What the person has chosen."""
    page = link(site.link("/h5/alerts"), "提醒设置")
    if not wanted:
        return lines("提醒已关闭。", f"{tap('恢复提醒')}　{page}")
    return lines(
        "提醒已开启：流量用到 80%、用完、限速、恢复全速、套餐 3 天内到期时，会在 8:00-22:00 告诉您。",
        f"余额低于 {yuan_short(low_fen)} 元时也会提醒。" if low_fen else "余额提醒：已关闭。",
        "修改余额提醒：回复“余额提醒10”（0 为不提醒）。",
        "",
        f"{tap('停止提醒')}　{page}",
    )


def stopped() -> str:
    """Alerts are off."""
    return lines("已停止提醒，不会再主动告诉您流量和余额的变化。", tap("恢复提醒"))
