"""Passive replies as XML: what a person typed can never become markup."""

from __future__ import annotations

from typing import assert_never

from bot.context import Answer, Article, Silence, Text, ToHuman, link

MAX_TEXT_BYTES = 2048
ELLIPSIS = "…"
# C0 except tab, line feed and carriage return; surrogates and the two non-characters.
_CONTROLS = set(range(32)) - {9, 10, 13}
_FORBIDDEN = dict.fromkeys((*_CONTROLS, *range(0xD800, 0xE000), 0xFFFE, 0xFFFF))


def cdata(text: str) -> str:
    """Text as a CDATA section from which it cannot break out; characters XML forbids are dropped."""
    if not text.isprintable():
        text = text.translate(_FORBIDDEN)
    return f"<![CDATA[{text.replace(']]>', ']]]]><![CDATA[>')}]]>"


def shorten(text: str, limit_bytes: int = MAX_TEXT_BYTES) -> str:
    """Text within a number of UTF-8 bytes, cut between characters and marked with an ellipsis."""
    data = text.encode("utf-8", "replace")
    if len(data) <= limit_bytes:
        return text
    return data[: limit_bytes - len(ELLIPSIS.encode())].decode("utf-8", "ignore") + ELLIPSIS


def content(answer: Answer) -> str:
    """The part of a reply that depends on the answer; empty for silence."""
    match answer:
        case Text():
            return f"<MsgType><![CDATA[text]]></MsgType><Content>{cdata(shorten(answer.content))}</Content>"
        case Article():
            return articles([(answer.title, answer.description, "", answer.url)])
        case ToHuman():
            return transfer()
        case Silence():
            return ""
        case _:
            assert_never(answer)


def as_message(answer: Answer) -> str:
    """The same answer as the text of a customer message; empty where there is nothing to say."""
    match answer:
        case Text():
            return answer.content
        case Article():
            return f"{answer.title}\n{answer.description}\n{link(answer.url, '点这里查看')}"
        case ToHuman():
            return answer.notice
        case Silence():
            return ""
        case _:
            assert_never(answer)


def articles(items: list[tuple[str, str, str, str]]) -> str:
    """News of title, description, picture address and link."""
    inner = "".join(
        f"<item><Title>{cdata(title)}</Title><Description>{cdata(description)}</Description>"
        f"<PicUrl>{cdata(picture)}</PicUrl><Url>{cdata(url)}</Url></item>"
        for title, description, picture, url in items
    )
    count = f"<ArticleCount>{len(items)}</ArticleCount>"
    return f"<MsgType><![CDATA[news]]></MsgType>{count}<Articles>{inner}</Articles>"


def transfer(account: str = "") -> str:
    """Hand the conversation to a human, or to one of them."""
    who = f"<TransInfo><KfAccount>{cdata(account)}</KfAccount></TransInfo>" if account else ""
    return f"<MsgType><![CDATA[transfer_customer_service]]></MsgType>{who}"


def envelope(inner: str, *, to: str, sender: str, at_s: int) -> str:
    """A complete reply; `to` is the person, `sender` our account, `at_s` seconds since 1970."""
    return (
        f"<xml><ToUserName>{cdata(to)}</ToUserName><FromUserName>{cdata(sender)}</FromUserName>"
        f"<CreateTime>{at_s}</CreateTime>{inner}</xml>"
    )


def encrypted_envelope(encrypted: str, signature: str, timestamp: str, nonce: str) -> str:
    """The outer shape of a reply in safe mode."""
    return (
        f"<xml><Encrypt><![CDATA[{encrypted}]]></Encrypt><MsgSignature><![CDATA[{signature}]]></MsgSignature>"
        f"<TimeStamp>{timestamp}</TimeStamp><Nonce>{cdata(nonce)}</Nonce></xml>"
    )
