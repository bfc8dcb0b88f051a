"""Authentic pushes that are damaged where nobody looks are answered; WeChat would repeat and apologise."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, Literal

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from bot.callback import Callback
from bot.context import Answer, Article, Context, Silence, Text
from bot.crypto import MessageCipher, message_signature
from bot.push_json import JSON
from bot.replies import JSON_PUSH_KEY
from bot.routes import Route, click, event, otherwise, words
from bot.xmlread import read_xml
from tests.bot.bot_pushes import (
    APP_ID,
    KEY,
    NOW,
    OPENID,
    TOKEN,
    US,
    Ctx,
    Phone,
    config,
    echo,
    event_xml,
    make_phone,
    signed,
    text_xml,
    xml_of,
)

MODES = pytest.mark.parametrize("mode", ["safe", "plain"])
Mode = Literal["safe", "plain"]


class Witness:
    """A handler that keeps what it sees."""

    def __init__(self) -> None:
        self.seen: list[dict[str, Any]] = []

    def __call__(self, ctx: Ctx) -> Answer:
        self.seen.append(dict(ctx.push.fields))
        return Text(f"第{len(self.seen)}次")


BYTES = {
    "U+FFFF": b"\xef\xbf\xbf",
    "U+FFFE": b"\xef\xbf\xbe",
    "two surrogates": b"\xed\xa0\xbd\xed\xb8\x80",
    "one surrogate": b"\xed\xa0\xbd",
    "cut": "查询".encode()[:-1],
    "cut to one byte": "查".encode()[:1],
    "gbk": "余额".encode("gbk"),
    "no utf-8": b"\xff\xfe\xc0\x80\xf8",
    "controls": b"\x00\x01\x08\x0b\x1f\x7f\xc2\x85",
}


@MODES
@pytest.mark.parametrize("name", BYTES)
def test_bytes_that_xml_forbids_are_replaced(no_redis: Redis, mode: Mode, name: str) -> None:
    phone = make_phone(no_redis, mode=mode)
    status, said = phone.send(text_xml("余额HERE好").encode().replace(b"HERE", BYTES[name]))
    assert status == 200
    assert said.startswith("听到:余额")
    assert said.endswith("好")


def test_emoji_in_two_surrogates_arrives(no_redis: Redis) -> None:
    body = text_xml("HERE").encode().replace(b"HERE", BYTES["two surrogates"])
    assert make_phone(no_redis).send(body) == (200, "听到:\U0001f600")


@settings(
    max_examples=300,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(raw=st.binary(max_size=40), plain=st.booleans())
def test_any_bytes_in_a_text_are_answered(phones: dict[str, Phone], raw: bytes, *, plain: bool) -> None:
    raw = raw.replace(b"]]>", b"")
    phone = phones["plain" if plain else "safe"]
    assert phone.send(text_xml("HERE").encode().replace(b"HERE", raw))[0] == 200


@pytest.fixture
def phones(no_redis: Redis) -> Iterator[dict[str, Phone]]:
    made = {
        "safe": make_phone(no_redis, otherwise(echo), mode="safe"),
        "plain": make_phone(no_redis, otherwise(echo), mode="plain"),
    }
    yield made
    for phone in made.values():
        phone.callback.close()


@MODES
def test_what_is_not_signed_is_refused_however_it_is_damaged(no_redis: Redis, mode: Mode) -> None:
    witness = Witness()
    phone = make_phone(no_redis, otherwise(witness), mode=mode)
    for raw in BYTES.values():
        query, body = signed(text_xml("HERE").encode().replace(b"HERE", raw), mode)
        signature = "msg_signature" if mode == "safe" else "signature"
        assert phone.callback.handle(query | {signature: "0" * 40}, body)[0] == 403
    query, body = signed(text_xml("余额"), mode)
    if mode == "safe":
        damaged = body.replace(b"<Encrypt><![CDATA[", b"<Encrypt><![CDATA[\xff")
        # Around the signed part nothing is repaired.
        assert phone.callback.handle(query, damaged)[0] == 400
    assert not witness.seen


# The fields of each kind, as the platform documents them; those in `used` are read by us.
KINDS: dict[str, dict[str, str]] = {
    "text": {"Content": "余额", "bizmsgmenuid": "1"},
    "image": {"PicUrl": "http://mmbiz.qpic.cn/x", "MediaId": "m"},
    "voice": {"MediaId": "m", "Format": "amr", "Recognition": "余额"},
    "video": {"MediaId": "m", "ThumbMediaId": "t"},
    "shortvideo": {"MediaId": "m", "ThumbMediaId": "t"},
    "location": {"Location_X": "25.3", "Location_Y": "110.4", "Scale": "20", "Label": "桂林"},
    "link": {"Title": "t", "Description": "d", "Url": "https://x.test/"},
    "brandnew": {"Thing": "1"},
    "event subscribe": {"EventKey": "qrscene_7", "Ticket": "t"},
    "event unsubscribe": {"EventKey": ""},
    "event SCAN": {"EventKey": "7", "Ticket": "t"},
    "event CLICK": {"EventKey": "BALANCE", "MenuId": "1"},
    "event VIEW": {"EventKey": "https://x.test/", "MenuId": "1"},
    "event LOCATION": {"Latitude": "1", "Longitude": "2", "Precision": "3"},
    "event scancode_push": {"EventKey": "k", "ScanCodeInfo": "x"},
    "event pic_weixin": {"EventKey": "k", "SendPicsInfo": "x"},
    "event location_select": {"EventKey": "k", "SendLocationInfo": "x"},
    "event MASSSENDJOBFINISH": {
        "MsgID": "1", "Status": "send success", "TotalCount": "9", "FilterCount": "8", "SentCount": "7",
        "ErrorCount": "1", "CopyrightCheckResult": "x", "ArticleUrlResult": "x",
    },
    "event TEMPLATESENDJOBFINISH": {"MsgID": "1", "Status": "success"},
    "event subscribe_msg_popup_event": {"SubscribeMsgPopupEvent": "x"},
    "event brand_new": {"Thing": "1"},
}  # fmt: skip
COMMON_UNUSED = ("MsgId", "AgentID", "New", "source", "type", "a-b", "餘")
USED = {"text": ("Content",), "event CLICK": ("EventKey",)}

DAMAGE = {
    "empty": "<N></N>",
    "missing": "",
    "twice": "<N>1</N><N>2</N>",
    "structure": "<N><a><b>1</b></a></N>",
    "list": "<N><item>1</item><item>2</item></N>",
    "attribute": '<N a="1">x</N>',
    "long": f"<N>{'汉' * 9000}</N>",
    "number": f"<N>{'9' * 400}</N>",
    "negative": "<N>-1</N>",
    "text": "<N>x y</N>",
    "unescaped": "<N>A&B &nbsp; &#0; &#xFFFF;</N>",
    "bytes": "<N><![CDATA[HERE]]></N>",
    "controls": "<N>\x00\x08</N>",
}


def push_xml(kind: str, damaged: str, damage: str, *, at_s: int) -> bytes:
    """A push of this kind with one field damaged."""
    of_kind, _, name = kind.partition(" ")
    fields = {"ToUserName": US, "FromUserName": OPENID, "CreateTime": str(at_s)}
    fields |= {"MsgType": of_kind} | ({"Event": name} if name else {"MsgId": f"77{at_s}"}) | KINDS[kind]
    fields.pop(damaged, None)
    inner = damage.replace("<N", f"<{damaged}").replace("</N>", f"</{damaged}>")
    return xml_of(**fields).replace("</xml>", f"{inner}</xml>").encode().replace(b"HERE", b"\xe6\xa1\xff\xfe")


def answers(ctx: Ctx) -> Answer:
    """Answer with what a decorated handler of WeRoBot sees, too."""
    return Text(f"答:{ctx.push.kind}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_field_that_is_not_used_costs_itself_only(no_redis: Redis, kind: str) -> None:
    name = kind.partition(" ")[2].lower() or kind
    routes = [event(answers, name)] if " " in kind and name != "click" else []
    phone = make_phone(no_redis, *routes, click(answers, "BALANCE"), otherwise(answers))
    robot: Any = phone.callback._desk.robot
    robot.add_handler(lambda message: setattr(message, "seen", (message.source, message.type)), type="all")
    seconds = itertools.count(int(NOW.timestamp()))
    for field in (*KINDS[kind], *COMMON_UNUSED):
        if field in USED.get(kind, ()):
            continue
        for what, damage in DAMAGE.items():
            got = phone.send(push_xml(kind, field, damage, at_s=next(seconds)))
            assert got == (200, f"答:{name}"), f"{field} {what}"


def test_an_odd_field_around_the_encrypted_part_is_left_out_and_broken_xml_refused(no_redis: Redis) -> None:
    phone = make_phone(no_redis)
    for name, damage in DAMAGE.items():
        expected = 400 if name in {"unescaped", "controls"} else 200
        query, body = signed(text_xml("余额"))
        for field in ("ToUserName", "AgentID"):
            inner = damage.replace("<N", f"<{field}").replace("</N>", f"</{field}>").encode()
            assert phone.callback.handle(query, body.replace(b"</xml>", inner + b"</xml>"))[0] == expected


def test_an_unknown_field_reaches_neither_handlers_nor_the_messages_of_werobot(no_redis: Redis) -> None:
    witness, messages = Witness(), []
    phone = make_phone(no_redis, otherwise(witness))
    robot: Any = phone.callback._desk.robot

    def decorated(message: Any) -> None:
        messages.append(message)

    robot.add_handler(decorated, type="all")
    hostile = "<source>oVictim</source><type>image</type><target>x</target><time>1</time></xml>"
    phone.send(text_xml("余额").replace("</xml>", hostile))
    (message,), (fields,) = messages, witness.seen
    assert (message.source, message.type, message.target) == (OPENID, "text", US)
    assert not {"source", "type", "target", "time"} & set(fields)


def test_two_texts_without_a_number_in_one_second_are_two(redis: Redis) -> None:
    phone = make_phone(redis)

    def bare(content: str, number: str = "") -> str:
        head = {"ToUserName": US, "FromUserName": OPENID, "CreateTime": str(int(NOW.timestamp()))}
        return xml_of(**head, MsgType="text", Content=content, **({"MsgId": number} if number else {}))

    assert phone.send(bare("余额")) == (200, "听到:余额")
    assert phone.send(bare("资费")) == (200, "听到:资费")
    assert phone.send(bare("余额", "1x")) == (200, "听到:余额")
    image = {"ToUserName": US, "FromUserName": OPENID, "CreateTime": "1", "MsgType": "image"}
    witness = Witness()
    counting = make_phone(redis, otherwise(witness))
    for media in ("a", "b", "a"):
        counting.send(xml_of(**image, MediaId=media, PicUrl="http://x.test/"))
    assert len(witness.seen) == 2


@pytest.mark.parametrize("away", [False, True], ids=["Redis", "Redis away"])
def test_a_text_without_a_number_is_answered_once(redis: Redis, no_redis: Redis, *, away: bool) -> None:
    witness = Witness()
    phone = make_phone(no_redis if away else redis, otherwise(witness))
    head = {"ToUserName": US, "FromUserName": OPENID, "CreateTime": "1", "MsgType": "text"}
    assert {phone.send(xml_of(**head, Content="余额")) for _ in range(3)} == {(200, "第1次")}


def json_push(mode: str = "safe", **fields: Any) -> tuple[dict[str, str], bytes]:
    """A push as the console's JSON format has it."""
    head = {"ToUserName": US, "FromUserName": OPENID, "CreateTime": int(NOW.timestamp()), "MsgType": "text"}
    query, body = signed(json.dumps(head | fields), mode)
    if mode == "safe":
        encrypted = read_xml(body)["Encrypt"]
        body = json.dumps({"ToUserName": US, "Encrypt": encrypted}).encode()
    return query, body


def json_reply(reply: str, mode: str) -> dict[str, Any]:
    outer = json.loads(reply)
    if mode == "plain":
        return dict(outer)
    ours = message_signature(TOKEN, str(outer["TimeStamp"]), outer["Nonce"], outer["Encrypt"])
    assert outer["MsgSignature"] == ours
    return dict(json.loads(MessageCipher(KEY, APP_ID).decrypt(outer["Encrypt"])))


@MODES
def test_a_push_in_json_is_answered_in_json(redis: Redis, mode: Mode) -> None:
    card: Route[Any] = words(lambda _: Article("标题", "说明", "https://x.test/"), "卡")
    phone = make_phone(redis, card, event(lambda _: Silence(), "unsubscribe"), mode=mode)
    query, body = json_push(mode, Content="余额", MsgId=23456789012345678)
    status, reply, content_type = phone.callback.handle(query, body)
    assert (status, content_type) == (200, JSON)
    answer = json_reply(reply, mode)
    assert (answer["Content"], answer["ToUserName"], answer["FromUserName"]) == ("听到:余额", OPENID, US)
    assert answer["CreateTime"] == int(NOW.timestamp())
    query, body = json_push(mode, Content="卡", MsgId=2)
    item = {"Title": "标题", "Description": "说明", "PicUrl": "", "Url": "https://x.test/"}
    assert json_reply(phone.callback.handle(query, body)[1], mode)["Articles"] == [item]
    query, body = json_push(mode, MsgType="event", Event="unsubscribe", EventKey="")
    assert phone.callback.handle(query, body)[:2] == (200, "success")


@MODES
@pytest.mark.parametrize(
    "value", [None, True, [], ["a", {"b": 1}], {"a": {"b": 1}}, 1.5, -1, "\ud800\uffff", "x" * 9000, 10**400]
)
def test_a_damaged_field_in_json_costs_itself_only(no_redis: Redis, mode: Mode, value: Any) -> None:
    phone = make_phone(no_redis, mode=mode)
    for number, field in enumerate(("New", "source", "MsgId", "bizmsgmenuid", "SendPicsInfo", "Label")):
        query, body = json_push(mode, Content=f"余额{number}", **{field: value})
        status, reply, _ = phone.callback.handle(query, body)
        assert status == 200
        assert json_reply(reply, mode)["Content"] == f"听到:余额{number}"


@MODES
def test_json_that_nobody_signed_is_refused_and_not_named(redis: Redis, mode: Mode) -> None:
    phone = make_phone(redis, mode=mode)
    query, body = json_push(mode, Content="余额")
    with structlog.testing.capture_logs() as lines:
        forged = query | {"signature": "0" * 40, "msg_signature": "0" * 40}
        assert phone.callback.handle(forged, body)[0] == 403
    assert not [line for line in lines if line["event"] == "push_format_json"]
    assert redis.get(JSON_PUSH_KEY) is None


def test_json_is_named_once_a_minute_until_the_console_sends_xml(redis: Redis) -> None:
    at = [NOW]
    phone = make_phone(redis, clock=lambda: at[0])

    def send(number: int) -> int:
        query, body = json_push(Content="余额", MsgId=number)
        with structlog.testing.capture_logs() as lines:
            assert phone.callback.handle(query, body)[0] == 200
        return len([line for line in lines if line["event"] == "push_format_json"])

    assert [send(number) for number in range(3)] == [1, 0, 0]
    at[0] = NOW + timedelta(seconds=61)
    assert [send(number) for number in range(3, 6)] == [1, 0, 0]
    assert redis.get(JSON_PUSH_KEY) is not None
    assert phone.say("余额") == "听到:余额"
    assert redis.get(JSON_PUSH_KEY) is None


def test_the_time_of_a_push_is_that_of_the_platform(no_redis: Redis) -> None:
    seen: list[datetime | None] = []

    def look(ctx: Context[Any]) -> Answer:
        seen.append(ctx.push.sent_at)
        return Silence()

    phone = make_phone(no_redis, event(look, "subscribe"))
    at_s = int(NOW.timestamp()) - 7
    phone.send(event_xml("subscribe", at_s=at_s))
    phone.send(event_xml("subscribe", at_s=10**19))
    assert seen == [NOW - timedelta(seconds=7), None]
    assert isinstance(phone.callback, Callback)
    assert config().window_s == 300
