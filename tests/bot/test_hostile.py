"""Hostile bodies by the thousand, signed and unsigned, half in each mode: no error of ours, no way in."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from bot.context import Answer, Text
from bot.crypto import url_signature
from bot.push import OPENID as OPENID_SHAPE
from bot.routes import otherwise
from bot.xmlread import read_xml
from tests.bot.bot_pushes import NOW, OPENID, TOKEN, US, Ctx, Phone, make_phone, signed

NAMES = (
    *(
        "ToUserName",
        "FromUserName",
        "CreateTime",
        "MsgType",
        "Content",
        "MsgId",
        "Event",
        "EventKey",
        "MsgID",
    ),
    *(
        "Encrypt",
        "source",
        "type",
        "time",
        "raw",
        "key",
        "xml",
        "__class__",
        "__dict__",
        "SendPicsInfo",
        "New",
    ),
    *("ScanCodeInfo", "PicUrl", "Recognition", "Status", "a b", "1", "", "x:y", "餘"),
)
WORDS = (
    *(
        "",
        "0",
        "-1",
        "1",
        "9" * 30,
        "1e9",
        OPENID,
        US,
        "gh_other",
        "text",
        "event",
        " EVENT ",
        "voice",
        "image",
    ),
    *(
        "CLICK",
        "VIEW",
        "subscribe",
        "SCAN",
        "pic_weixin",
        "MASSSENDJOBFINISH",
        "_",
        "x" * 70,
        "余额",
        "\u202e",
    ),
    *(
        "]]>",
        "<![CDATA[",
        "&e;",
        "&amp;",
        "&#0;",
        "&#x1F600;",
        "\x00",
        "\x08",
        "\ud800",
        "<",
        "%s{0}",
        "\r\n",
    ),
)
STARTS = (
    *(
        "",
        "",
        "",
        "",
        '<?xml version="1.0"?>',
        '<?xml version="1.0" encoding="gbk"?>',
        "\ufeff",
        "<!-- -->",
        "x",
    ),
    *(
        "<!DOCTYPE xml>",
        '<!DOCTYPE xml [<!ENTITY e "x">]>',
        '<!DOCTYPE xml [<!ENTITY e SYSTEM "file:///x">]>',
    ),
)


class Recipe:
    """Turns drawn bytes into a body: one choice a byte, so that small bytes make simple bodies."""

    def __init__(self, choices: bytes) -> None:
        self._choices = iter(choices)

    def number(self, below: int) -> int:
        return next(self._choices, 0) % below

    def pick(self, among: Sequence[str]) -> str:
        return among[self.number(len(among))]

    def body(self) -> bytes:
        right = {
            "ToUserName": US,
            "FromUserName": OPENID,
            "CreateTime": "1",
            "MsgType": "text",
            "Content": "x",
        }
        for _ in range(self.number(4)):
            right[self.pick(NAMES)] = self.pick(WORDS)
        if self.number(4) == 1:
            right.pop(self.pick(tuple(right)))
        leaves = "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in right.items())
        trees = "".join(self.tree(0) for _ in range(self.number(3)))
        body = f"{self.pick(STARTS)}<xml>{leaves}{trees}</xml>".encode("utf-8", "surrogatepass")
        return body[: self.number(256)] if self.number(8) == 1 else body

    def tree(self, depth: int) -> str:
        name = self.pick(NAMES)
        if depth > 9 or self.number(3) == 0:
            return f"<{name}>{self.pick(WORDS)}</{name}>"
        return f"<{name}>{''.join(self.tree(depth + 1) for _ in range(self.number(3)))}</{name}>"


class Witness:
    """A handler that reads what handlers read."""

    def __init__(self) -> None:
        self.openids: set[str] = set()

    def __call__(self, ctx: Ctx) -> Answer:
        self.openids.add(ctx.openid)
        return Text(ctx.push.text + ctx.push.raw_text + ctx.push.key + ctx.push.kind)


@pytest.fixture
def witness() -> Witness:
    return Witness()


@pytest.fixture
def phones(no_redis: Redis, witness: Witness) -> Iterator[list[Phone]]:
    """One in each mode, without Redis so that thousands are quick; a decorated handler looks too."""
    made = [
        make_phone(no_redis, otherwise(witness), mode="safe"),
        make_phone(no_redis, otherwise(witness), mode="plain"),
    ]
    for phone in made:
        robot: Any = phone.callback._desk.robot
        robot.add_handler(lambda message: setattr(message, "seen", message.source), type="all")
    yield made
    for phone in made:
        phone.callback.close()


def hostile_bodies(count: int) -> settings:
    """The same ones every time."""
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


@hostile_bodies(1_000)
@given(choices=st.binary(max_size=40))
def test_hostile_bodies_are_refused_or_answered(
    phones: list[Phone], witness: Witness, choices: bytes
) -> None:
    refused_or_answered(phones, witness, choices)


@pytest.mark.long
@hostile_bodies(10_000)
@given(choices=st.binary(max_size=40))
def test_ten_thousand_hostile_bodies_are_refused_or_answered(
    phones: list[Phone], witness: Witness, choices: bytes
) -> None:
    refused_or_answered(phones, witness, choices)


def refused_or_answered(phones: list[Phone], witness: Witness, choices: bytes) -> None:
    body = choices if choices[:1] == b"\xff" else Recipe(choices).body()
    phone = phones[sum(choices) % 2]
    query, sealed = signed(body, phone.mode)
    status, reply, _ = phone.callback.handle(query, sealed)
    assert status in {200, 400}
    if reply.startswith("<"):
        read_xml(reply.encode())
    heard = len(witness.openids)
    query["signature"] = query["msg_signature"] = "0" * 40
    assert phone.callback.handle(query, sealed)[0] in {400, 403}
    assert len(witness.openids) == heard
    assert all(OPENID_SHAPE.fullmatch(openid) for openid in witness.openids)


@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    query=st.dictionaries(
        st.sampled_from(["signature", "msg_signature", "timestamp", "nonce", "encrypt_type", "echostr"]),
        st.one_of(
            st.text(max_size=50),
            st.sampled_from([str(int(NOW.timestamp())), url_signature(TOKEN, "1", "2"), "0" * 40]),
        ),
    )
)
def test_hostile_queries_never_get_in(phones: list[Phone], witness: Witness, query: dict[str, str]) -> None:
    for phone in phones:
        _, sealed = signed(Recipe(b"").body(), phone.mode)
        assert phone.callback.handle(query, sealed)[0] == 403
    assert not witness.openids
