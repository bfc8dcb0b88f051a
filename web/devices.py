"""What a browser is called in the owner's list of sessions: system and browser, never a fingerprint."""

from __future__ import annotations

_SYSTEMS = (
    ("HarmonyOS", "鸿蒙手机"),
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "安卓手机"),
    ("Windows", "Windows 电脑"),
    ("Mac OS X", "Mac 电脑"),
    ("Linux", "Linux 电脑"),
)
_BROWSERS = (
    ("MicroMessenger", "微信"),
    ("Edg", "Edge"),
    ("Firefox", "Firefox"),
    ("Chrome", "Chrome"),
    ("Safari", "Safari"),
)


def label(user_agent: str) -> str:
    """Return words that the owner recognises, e.g. `iPhone · 微信`."""
    system = next((name for sign, name in _SYSTEMS if sign in user_agent), "未知设备")
    browser = next((name for sign, name in _BROWSERS if sign in user_agent), "")
    return f"{system} · {browser}" if browser else system
