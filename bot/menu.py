"""The menu of the official account: one table for the phones and for the handlers' keys."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bot.client import WechatClient

MAX_BUTTONS = 3
MAX_ENTRIES = 5
MAX_BUTTON_NAME_BYTES = 16
MAX_ENTRY_NAME_BYTES = 60
MAX_KEY_BYTES = 128
MAX_URL_BYTES = 1024


@dataclass(frozen=True)
class Entry:
    """One line of a sub-menu: a click that sends `key`, or a view that opens `path` on our site."""

    name: str
    key: str = ""
    path: str = ""


@dataclass(frozen=True)
class Button:
    """One of the three words at the bottom of the chat; tapping it unfolds its entries."""

    name: str
    entries: tuple[Entry, ...]


MENU: tuple[Button, ...] = (
    Button(
        "网费充值",
        (
            Entry("立即充值", path="/h5/recharge"),
            Entry("给他人充值", key="RECHARGE_OTHER"),
            Entry("充值记录", path="/h5/orders"),
            Entry("线下充值", key="COUNTER"),
        ),
    ),
    Button(
        "内网服务",
        (
            Entry("查余额", key="BALANCE"),
            Entry("流量用量", key="USAGE"),
            Entry("换购套餐", key="PACKAGES"),
            Entry("换购日志", key="PACKAGE_LOG"),
            Entry("账号绑定", key="BIND"),
        ),
    ),
    Button(
        "服务帮助",
        (
            Entry("资费标准", key="FEES"),
            Entry("充值流程", key="STEPS"),
            Entry("常见问题", key="FAQ"),
            Entry("最新公告", key="NOTICES"),
            Entry("联系我们", key="CONTACT"),
        ),
    ),
)


def click_keys(menu: Sequence[Button] = MENU) -> frozenset[str]:
    """Every key a tap can send; each needs a handler."""
    return frozenset(entry.key for button in menu for entry in button.entries if entry.key)


def menu_payload(base_url: str, menu: Sequence[Button] = MENU) -> dict[str, Any]:
    """The body of menu/create, within the platform's limits.

    Raises:
        ValueError: a limit of the platform is exceeded, or an entry is neither click nor view.
    """
    _check(1 <= len(menu) <= MAX_BUTTONS, "a menu has one to three buttons")
    return {"button": [_button(button, base_url) for button in menu]}


def push_menu(client: WechatClient, base_url: str) -> None:
    """Make this the menu of the account; phones show it within five minutes."""
    client.post("menu/create", menu_payload(base_url))


def _button(button: Button, base_url: str) -> dict[str, Any]:
    _check(_size(button.name) <= MAX_BUTTON_NAME_BYTES, f"button name too long: {button.name}")
    _check(1 <= len(button.entries) <= MAX_ENTRIES, f"one to five entries under {button.name}")
    return {"name": button.name, "sub_button": [_entry(entry, base_url) for entry in button.entries]}


def _entry(entry: Entry, base_url: str) -> dict[str, str]:
    _check(_size(entry.name) <= MAX_ENTRY_NAME_BYTES, f"entry name too long: {entry.name}")
    _check(bool(entry.key) != bool(entry.path), f"either a key or a path: {entry.name}")
    if entry.key:
        _check(_size(entry.key) <= MAX_KEY_BYTES, f"key too long: {entry.key}")
        return {"type": "click", "name": entry.name, "key": entry.key}
    url = base_url + entry.path
    _check(_size(url) <= MAX_URL_BYTES, f"address too long: {entry.name}")
    _check(url.startswith(("http://", "https://")), f"no absolute address: {entry.name}")
    return {"type": "view", "name": entry.name, "url": url}


def _size(text: str) -> int:
    return len(text.encode())


def _check(fine: bool, otherwise: str) -> None:  # noqa: FBT001 - a condition and its complaint
    if not fine:
        raise ValueError(otherwise)
