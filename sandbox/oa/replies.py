"""Passive replies: what the site may answer to a push, checked as the platform checks it."""

from __future__ import annotations

from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from sandbox.oa import xml

TEXT_LIMIT_BYTES = 2048

REQUIRED: dict[str, tuple[str, ...]] = {
    "text": ("Content",),
    "image": ("Image/MediaId",),
    "voice": ("Voice/MediaId",),
    "video": ("Video/MediaId",),
    "music": ("Music/ThumbMediaId",),
    "news": ("ArticleCount",),
    "transfer_customer_service": (),
}
"""Type of reply -> fields that may be neither missing nor empty."""


class BadReply(Exception):
    """The answer is no reply; the person sees the failure text."""


@dataclass(frozen=True)
class Reply:
    """A checked passive reply, ready to be shown."""

    kind: str
    text: str = ""
    content: dict[str, object] = field(default_factory=dict)


def read(body: bytes, openid: str, original_id: str) -> Reply:
    """The reply in `body`, or BadReply with the reason."""
    try:
        root = xml.parse(body)
        _check_envelope(root, openid, original_id)
        kind = xml.leaf(root, "MsgType") or ""
    except xml.BadXml as error:
        raise BadReply(str(error)) from error
    if kind not in REQUIRED:
        raise BadReply(f"MsgType {kind!r} is not a type of reply")
    for path in REQUIRED[kind]:
        if not (root.findtext(path) or "").strip():
            raise BadReply(f"{kind}: {path} is missing or empty")
    return _CONTENT[kind](root)


def _check_envelope(root: Element, openid: str, original_id: str) -> None:
    if xml.leaf(root, "ToUserName") != openid:
        raise BadReply("ToUserName is not the openid of the push")
    if xml.leaf(root, "FromUserName") != original_id:
        raise BadReply("FromUserName is not the account's original id")
    created = xml.leaf(root, "CreateTime")
    if created is None or not created.strip().isdigit():
        raise BadReply("CreateTime is not a whole number")


def _text(root: Element) -> Reply:
    content = root.findtext("Content") or ""
    if len(content.encode()) > TEXT_LIMIT_BYTES:
        raise BadReply(f"text: Content is longer than {TEXT_LIMIT_BYTES} bytes")
    return Reply("text", content)


def _media(root: Element) -> Reply:
    kind = root.findtext("MsgType") or ""
    part = root.find(kind.capitalize())
    return Reply(kind, content={child.tag: child.text or "" for child in part} if part is not None else {})


def _news(root: Element) -> Reply:
    items = root.findall("Articles/item")
    if str(len(items)) != (root.findtext("ArticleCount") or "").strip() or not items:
        raise BadReply("news: ArticleCount differs from the number of items")
    articles = [
        {
            "title": item.findtext("Title") or "",
            "description": item.findtext("Description") or "",
            "picurl": item.findtext("PicUrl") or "",
            "url": item.findtext("Url") or "",
        }
        for item in items
    ]
    # The app shows one article only since 2018; the rest is dropped in silence.
    return Reply("news", content={"articles": articles[:1]})


def _transfer(root: Element) -> Reply:
    return Reply("transfer", content={"kf_account": root.findtext("TransInfo/KfAccount") or ""})


_CONTENT = {
    "text": _text,
    "image": _media,
    "voice": _media,
    "video": _media,
    "music": _media,
    "news": _news,
    "transfer_customer_service": _transfer,
}
