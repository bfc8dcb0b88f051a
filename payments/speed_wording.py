"""Why a line is slow, as chat and pages say it."""

from __future__ import annotations

from billing.interface import Balance, SlowReason

_BECAUSE = {
    SlowReason.NO_GRANT: "本月没有赠送流量",
    SlowReason.GRANT_USED_UP: "本月赠送的高速流量已用完",
    SlowReason.PACKAGE_USED_UP: "流量包已用完",
    SlowReason.PACKAGE_ENDED: "流量包已到期",
}


def why_slow(balance: Balance) -> str:
    """The reasons of a slow line, also where the back end gives none."""
    return "，".join(_BECAUSE[reason] for reason in balance.slow_because) or "高速流量已用完"
