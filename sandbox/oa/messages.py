"""Customer-service messages, within the windows the platform grants."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sandbox.oa.chat import Chat
from sandbox.oa.errors import ApiError
from sandbox.oa.media import MediaStore
from sandbox.oa.users import Followers
from sandbox.oa.values import Call, list_of, map_of, text_of
from sandbox.oa.windows import CustomerWindows

TEXT_LIMIT_BYTES = 2048
MENU_LIMIT = 10
TYPING = {"Typing", "CancelTyping"}


class CustomerMessages:
    """message/custom/send and typing."""

    def __init__(self, followers: Followers, windows: CustomerWindows, media: MediaStore, chat: Chat) -> None:
        self._followers = followers
        self._windows = windows
        self._chat = chat
        self._content: dict[str, Callable[[dict[str, Any]], tuple[str, dict[str, object]]]] = {
            "text": _text,
            "msgmenu": _menu,
            "news": _news,
            "image": lambda part: _media(media, part),
            "voice": lambda part: _media(media, part),
            "mpnews": lambda part: _media(media, part),
            "video": lambda part: _media(media, part),
            "music": _music,
            "miniprogrampage": _card,
            "mpnewsarticle": _article,
        }

    def send(self, call: Call) -> dict[str, object]:
        """Show a message to one person, or the code of the first rule it breaks."""
        openid = self._recipient(call)
        kind = text_of(call.body, "msgtype")
        if kind not in self._content:
            raise ApiError(40008)
        if text_of(map_of(call.body, "customservice"), "kf_account"):
            raise ApiError(65401)
        text, content = self._content[kind](map_of(call.body, kind))
        self._spend(openid)
        self._chat.add(openid, "oa", kind, text, content={**content, "channel": "custom"})
        return {"errcode": 0, "errmsg": "ok"}

    def typing(self, call: Call) -> dict[str, object]:
        """message/custom/typing: allowed while a message is."""
        openid = self._recipient(call)
        if text_of(call.body, "command") not in TYPING:
            raise ApiError(40097)
        if not self._windows.describe(openid):
            raise ApiError(45015)
        return {"errcode": 0, "errmsg": "ok"}

    def _recipient(self, call: Call) -> str:
        openid = text_of(call.body, "touser")
        if self._followers.get(openid) is None:
            raise ApiError(40003)
        return openid

    def _spend(self, openid: str) -> None:
        if not self._followers.follows(openid):
            raise ApiError(45015)
        self._windows.spend(openid)


def _text(part: dict[str, Any]) -> tuple[str, dict[str, object]]:
    content = text_of(part, "content")
    if not content.strip():
        raise ApiError(44004)
    if len(content.encode()) > TEXT_LIMIT_BYTES:
        raise ApiError(45002)
    return content, {}


def _menu(part: dict[str, Any]) -> tuple[str, dict[str, object]]:
    items = list_of(part, "list")
    good = all(isinstance(item, dict) and item.get("id") and text_of(item, "content") for item in items)
    if not items or not good or len(items) > MENU_LIMIT:
        raise ApiError(47003)
    head, tail = text_of(part, "head_content"), text_of(part, "tail_content")
    words = [{"id": str(item["id"]), "content": str(item["content"])} for item in items]
    return head, {"head_content": head, "list": words, "tail_content": tail}


def _news(part: dict[str, Any]) -> tuple[str, dict[str, object]]:
    articles = list_of(part, "articles")
    if len(articles) != 1:
        raise ApiError(45008)
    names = ("title", "description", "url", "picurl")
    article = articles[0] if isinstance(articles[0], dict) else {}
    return "", {"articles": [{name: text_of(article, name) for name in names}]}


def _media(media: MediaStore, part: dict[str, Any]) -> tuple[str, dict[str, object]]:
    media.check(text_of(part, "media_id"))
    return "", {key: value for key, value in part.items() if isinstance(value, str)}


def _music(part: dict[str, Any]) -> tuple[str, dict[str, object]]:
    if not text_of(part, "musicurl"):
        raise ApiError(44004)
    return "", {key: value for key, value in part.items() if isinstance(value, str)}


def _card(part: dict[str, Any]) -> tuple[str, dict[str, object]]:
    if not text_of(part, "appid") or not text_of(part, "pagepath"):
        raise ApiError(40097)
    return text_of(part, "title"), {key: value for key, value in part.items() if isinstance(value, str)}


def _article(part: dict[str, Any]) -> tuple[str, dict[str, object]]:
    if not text_of(part, "article_id"):
        raise ApiError(40007)
    return "", {"article_id": text_of(part, "article_id")}
