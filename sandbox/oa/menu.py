"""The custom menu, with every limit the platform puts on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sandbox.oa.errors import ApiError
from sandbox.oa.values import Call, list_of, text_of

KEYED = {
    "click",
    "scancode_push",
    "scancode_waitmsg",
    "pic_sysphoto",
    "pic_photo_or_album",
    "pic_weixin",
    "location_select",
}
MEDIA = {"media_id", "view_limited", "article_id", "article_view_limited"}
KEY_LIMIT_BYTES = 128
URL_LIMIT_BYTES = 1024


@dataclass(frozen=True)
class Level:
    """Limits and error codes of one level of the menu."""

    most: int
    name_bytes: int
    size: int
    kind: int
    name: int
    key: int
    url: int
    domain: int


TOP = Level(3, 16, size=40016, kind=40017, name=40018, key=40019, url=40020, domain=40055)
SUB = Level(5, 60, size=40023, kind=40024, name=40025, key=40026, url=40027, domain=40054)


class Menu:
    """The account's menu; `buttons` is what the phone shows."""

    def __init__(self) -> None:
        self.buttons: list[dict[str, Any]] = []

    def create(self, call: Call) -> dict[str, object]:
        """Replace the menu, or refuse it with the code of the first limit it breaks."""
        if b"\\u" in call.raw:
            raise ApiError(40033)
        buttons = [_button(item, TOP) for item in _sized(list_of(call.body, "button"), TOP)]
        self.buttons = buttons
        return {"errcode": 0, "errmsg": "ok"}

    def get(self, _call: Call) -> dict[str, object]:
        """The menu as stored; 46003 when there is none."""
        if not self.buttons:
            raise ApiError(46003)
        return {"menu": {"button": self.buttons}}

    def delete(self, _call: Call) -> dict[str, object]:
        """Remove the menu; removing none is no error."""
        self.buttons = []
        return {"errcode": 0, "errmsg": "ok"}


def _sized(items: list[Any], level: Level) -> list[Any]:
    if not 1 <= len(items) <= level.most:
        raise ApiError(level.size)
    return items


def _button(item: Any, level: Level) -> dict[str, Any]:
    if not isinstance(item, dict):
        raise ApiError(level.kind)
    name = text_of(item, "name")
    if not 1 <= len(name.encode()) <= level.name_bytes:
        raise ApiError(level.name)
    subs = list_of(item, "sub_button")
    if not subs:
        return {**_action(item, level), "name": name, "sub_button": []}
    if level is SUB:
        raise ApiError(40022)
    return {"name": name, "sub_button": [_button(sub, SUB) for sub in _sized(subs, SUB)]}


def _action(item: dict[str, Any], level: Level) -> dict[str, Any]:
    kind = text_of(item, "type")
    if kind in KEYED:
        return {"type": kind, "key": _bounded(text_of(item, "key"), KEY_LIMIT_BYTES, level.key)}
    if kind == "view":
        return {"type": kind, "url": _url(item, level)}
    if kind == "miniprogram":
        wanted = {name: text_of(item, name) for name in ("appid", "pagepath")}
        return {"type": kind, "url": _url(item, level), **wanted}
    if kind in MEDIA:
        field = "article_id" if kind.startswith("article") else "media_id"
        return {"type": kind, field: _bounded(text_of(item, field), KEY_LIMIT_BYTES, 40007)}
    raise ApiError(level.kind)


def _url(item: dict[str, Any], level: Level) -> str:
    url = _bounded(text_of(item, "url"), URL_LIMIT_BYTES, level.url)
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ApiError(level.domain)
    return url


def _bounded(text: str, limit_bytes: int, code: int) -> str:
    if not 1 <= len(text.encode()) <= limit_bytes:
        raise ApiError(code)
    return text
