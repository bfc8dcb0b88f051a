"""The portal's menu, as the seed words it; what the back end cannot do is not in it."""

from __future__ import annotations

from dataclasses import dataclass

from billing.interface import Capabilities

# What has no entry of its own, and stands on 服务.
OF_SERVICES = (
    "/self/services",
    "/self/packages",
    "/self/swaps/",
    "/self/devices",
    "/self/payout",
    "/self/logins",
    "/self/bindings",
)


@dataclass(frozen=True)
class Entry:
    """One page of the menu; `current` marks the one that is open."""

    name: str
    path: str
    current: bool


def entries(can: Capabilities, path: str) -> list[Entry]:
    """The pages there are for a back end that `can` so much, seen from the page at `path`."""
    pages = [
        ("总览", "/self/", True),
        ("账户充值", "/self/recharge", True),
        ("服务", "/self/services", True),
        ("换购日志", "/self/log", can.exchange),
        ("流量使用详情", "/self/usage", can.usage or can.sessions),
        ("流量余额", "/self/traffic", True),
        ("账单", "/self/statement", True),
        ("公告", "/self/notices", True),
    ]
    return [Entry(name, target, _stands_on(target, path)) for name, target, there in pages if there]


def _stands_on(target: str, path: str) -> bool:
    if target == "/self/services":
        return path.startswith(OF_SERVICES)
    if target == "/self/usage" and path == "/self/sessions":
        return True
    return path == target or (target != "/self/" and path.startswith(f"{target}/"))
