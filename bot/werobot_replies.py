"""What a handler made with WeRoBot's decorators may answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from werobot.replies import (
    ArticlesReply,
    ImageReply,
    MusicReply,
    SuccessReply,
    TextReply,
    TransferCustomerServiceReply,
    VideoReply,
    VoiceReply,
    process_function_reply,
)

from bot.context import Answer, Silence, Text
from bot.render import articles, cdata, transfer


@dataclass(frozen=True)
class ForeignReply:
    """A reply our own answers have no word for, rendered already."""

    content: str


def accept(reply: Any) -> Answer | ForeignReply:
    """One of WeRoBot's replies in our words.

    Raises:
        TypeError: no reply that we know; a bug of the handler.
    """
    made = process_function_reply(reply)
    if isinstance(made, TextReply):
        return Text(str(made.content))
    if isinstance(made, SuccessReply):
        return Silence()
    return ForeignReply(_content(made))


def _content(made: Any) -> str:
    match made:
        case TransferCustomerServiceReply():
            return transfer(made.account or "")
        case ArticlesReply():
            return articles([(a.title, a.description, a.img, a.url) for a in made._articles])  # noqa: SLF001 - no getter
        case ImageReply():
            return _of("image", "Image", MediaId=made.media_id)
        case VoiceReply():
            return _of("voice", "Voice", MediaId=made.media_id)
        case VideoReply():
            return _of(
                "video", "Video", MediaId=made.media_id, Title=made.title, Description=made.description
            )
        case MusicReply():
            words = {"Title": made.title, "Description": made.description}
            return _of("music", "Music", **words, MusicUrl=made.url, HQMusicUrl=made.hq_url)
        case _:
            raise TypeError(f"no reply: {type(made).__name__}")


def _of(kind: str, element: str, **fields: object) -> str:
    inner = "".join(f"<{name}>{cdata(str(value or ''))}</{name}>" for name, value in fields.items())
    return f"<MsgType>{cdata(kind)}</MsgType><{element}>{inner}</{element}>"
