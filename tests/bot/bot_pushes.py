"""The platform's side of a push: bodies, signatures, and reading what comes back."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

from redis import Redis

from bot.callback import Callback
from bot.context import Answer, Context, Silence, Text
from bot.crypto import MessageCipher, message_signature, url_signature
from bot.envelope import CallbackConfig
from bot.replies import ReplyStore
from bot.robot import build_robot
from bot.routes import Route, otherwise
from bot.xmlread import Tree, read_xml

TOKEN = "token-of-the-tests"
APP_ID = "wx0123456789abcdef"
KEY = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG"
US = "gh_campus"
OPENID = "oStudent-0001"
NOW = datetime(2026, 11, 23, 4, 0, tzinfo=UTC)

_numbers = itertools.count(10_000_000_000)

Ctx = Context[Any]


def config(mode: Literal["safe", "plain"] = "safe", **changes: Any) -> CallbackConfig:
    values = {"token": TOKEN, "mode": mode, "app_id": APP_ID, "encoding_aes_key": KEY, "original_id": US}
    return CallbackConfig(**(values | changes))


def xml_of(**fields: str) -> str:
    inner = "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in fields.items())
    return f"<xml>{inner}</xml>"


def text_xml(content: str, *, openid: str = OPENID, msg_id: int | None = None) -> str:
    number = next(_numbers) if msg_id is None else msg_id
    return xml_of(
        ToUserName=US,
        FromUserName=openid,
        CreateTime=str(int(NOW.timestamp())),
        MsgType="text",
        Content=content,
        MsgId=str(number),
    )


def event_xml(event: str, key: str = "", *, openid: str = OPENID, at_s: int = 0, **more: str) -> str:
    created = str(at_s or int(NOW.timestamp()))
    head = {"ToUserName": US, "FromUserName": openid, "CreateTime": created}
    return xml_of(**head, MsgType="event", Event=event, EventKey=key, **more)


def signed(xml: str | bytes, mode: str = "safe", *, at: datetime = NOW) -> tuple[dict[str, str], bytes]:
    """Query and body as WeChat would send them."""
    raw = xml if isinstance(xml, bytes) else xml.encode()
    timestamp, nonce = str(int(at.timestamp())), "486452656"
    query = {"timestamp": timestamp, "nonce": nonce, "signature": url_signature(TOKEN, timestamp, nonce)}
    if mode == "plain":
        return query, raw
    encrypted = MessageCipher(KEY, APP_ID).encrypt(raw)
    query |= {
        "encrypt_type": "aes",
        "msg_signature": message_signature(TOKEN, timestamp, nonce, encrypted),
    }
    return query, xml_of(ToUserName=US, Encrypt=encrypted).encode()


def opened(reply: str, query: dict[str, str], mode: str = "safe") -> Tree:
    """What is in a reply, after checking its signature as WeChat does."""
    outer = read_xml(reply.encode())
    if mode == "plain":
        return outer
    ours = message_signature(TOKEN, outer["TimeStamp"], outer["Nonce"], outer["Encrypt"])
    assert outer["MsgSignature"] == ours
    assert outer["Nonce"] == query["nonce"]
    return read_xml(MessageCipher(KEY, APP_ID).decrypt(outer["Encrypt"]))


def echo(ctx: Ctx) -> Answer:
    return Text(f"听到:{ctx.push.raw_text}")


def quiet(ctx: Ctx) -> Answer:
    del ctx
    return Silence()


@dataclass
class Phone:
    """Sends pushes to a callback and keeps the customer messages that arrive beside them."""

    callback: Callback
    mode: str
    told: list[tuple[str, str]] = field(default_factory=list)

    def send(self, xml: str | bytes) -> tuple[int, str]:
        """Status and the text of the reply; `success` where nothing was said."""
        query, body = signed(xml, self.mode)
        status, reply, _ = self.callback.handle(query, body)
        if status != 200 or not reply.startswith("<"):
            return status, reply
        return status, opened(reply, query, self.mode).get("Content", "")

    def say(self, content: str, **more: Any) -> str:
        return self.send(text_xml(content, **more))[1]


def make_phone(
    redis: Redis,
    *routes: Route[Any],
    mode: Literal["safe", "plain"] = "safe",
    clock: Callable[[], datetime] = lambda: NOW,
    **changes: Any,
) -> Phone:
    """A callback with these routes; `otherwise` echoes when no route says what to do."""
    table = list(routes)
    if not any(route.by == "otherwise" for route in table):
        table.append(otherwise(echo))
    told: list[tuple[str, str]] = []
    callback = Callback(
        config(mode, **changes),
        ReplyStore(redis),
        build_robot(table, None),
        clock,
        lambda openid, text: told.append((openid, text)),
    )
    return Phone(callback, mode, told)
