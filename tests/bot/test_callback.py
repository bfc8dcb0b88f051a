"""What the platform's entrance lets in and what it answers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import pytest
from redis import Redis

from bot.callback import PLAIN, XML
from bot.context import Answer, Article, Text, ToHuman
from bot.crypto import MessageCipher, message_signature, url_signature
from bot.envelope import Envelope
from bot.routes import event, otherwise, words
from models.errors import Forged, Malformed, NotBound
from tests.bot.bot_pushes import (
    APP_ID,
    KEY,
    NOW,
    OPENID,
    TOKEN,
    US,
    Ctx,
    config,
    echo,
    event_xml,
    make_phone,
    opened,
    quiet,
    signed,
    text_xml,
    xml_of,
)

MODES = pytest.mark.parametrize("mode", ["safe", "plain"])
Mode = Literal["safe", "plain"]


@MODES
def test_a_text_is_answered_in_the_mode_it_came(redis: Redis, mode: Mode) -> None:
    phone = make_phone(redis, mode=mode)
    query, body = signed(text_xml("你好"), mode)
    status, reply, content_type = phone.callback.handle(query, body)
    assert (status, content_type) == (200, XML)
    answer = opened(reply, query, mode)
    assert answer["Content"] == "听到:你好"
    assert (answer["ToUserName"], answer["FromUserName"]) == (OPENID, US)
    assert answer["CreateTime"] == str(int(NOW.timestamp()))


@MODES
def test_silence_is_success_unencrypted(redis: Redis, mode: Mode) -> None:
    phone = make_phone(redis, event(quiet, "unsubscribe"), mode=mode)
    query, body = signed(event_xml("unsubscribe"), mode)
    assert phone.callback.handle(query, body) == (200, "success", PLAIN)


@MODES
@pytest.mark.parametrize("change", ["timestamp", "nonce", "signature"])
def test_a_changed_query_is_forged(redis: Redis, mode: Mode, change: str) -> None:
    phone = make_phone(redis, mode=mode)
    query, body = signed(text_xml("你好"), mode)
    name = "msg_signature" if change == "signature" and mode == "safe" else change
    query[name] = query[name][:-1] + ("0" if query[name][-1] != "0" else "1")
    assert phone.callback.handle(query, body)[0] == 403
    del query[name]
    assert phone.callback.handle(query, body)[0] == 403


@MODES
@pytest.mark.parametrize(("offset_s", "status"), [(-301, 403), (-299, 200), (299, 200), (301, 403)])
def test_old_and_early_pushes_are_forged(redis: Redis, mode: Mode, offset_s: int, status: int) -> None:
    phone = make_phone(redis, mode=mode)
    query, body = signed(text_xml("你好"), mode, at=NOW + timedelta(seconds=offset_s))
    assert phone.callback.handle(query, body)[0] == status


def test_safe_mode_takes_no_plain_push_whatever_it_claims(redis: Redis) -> None:
    phone = make_phone(redis)
    query, body = signed(text_xml("你好"), "plain")
    assert phone.callback.handle(query, body)[0] == 400
    assert phone.callback.handle(query | {"encrypt_type": "raw"}, body)[0] == 400


def test_safe_mode_reads_nothing_beside_the_encrypted_part(redis: Redis) -> None:
    phone = make_phone(redis)
    query, body = signed(text_xml("真的"))
    compatible = body.replace(b"</xml>", b"<Content>false</Content><FromUserName>else</FromUserName></xml>")
    status, reply, _ = phone.callback.handle(query, compatible)
    assert status == 200
    assert opened(reply, query)["Content"] == "听到:真的"


def test_plain_mode_takes_no_encrypted_push(redis: Redis) -> None:
    phone = make_phone(redis, mode="plain")
    query, body = signed(text_xml("你好"), "safe")
    assert phone.callback.handle(query, body)[0] == 400


def test_a_push_for_another_app_is_forged(redis: Redis) -> None:
    phone = make_phone(redis)
    query, _ = signed(text_xml("你好"))
    encrypted = MessageCipher(KEY, "wx-another").encrypt(text_xml("你好").encode())
    query["msg_signature"] = message_signature(TOKEN, query["timestamp"], query["nonce"], encrypted)
    assert phone.callback.handle(query, xml_of(ToUserName=US, Encrypt=encrypted).encode())[0] == 403


def _hostile() -> dict[str, str | bytes]:
    good = text_xml("你好")
    return {
        "duplicate": good.replace("</xml>", "<FromUserName>oVictim</FromUserName></xml>"),
        "duplicate content": good.replace("</xml>", "<Content>2</Content></xml>"),
        "nested content": good.replace("<![CDATA[你好]]>", "<b>x</b>"),
        "doctype": "<!DOCTYPE xml>" + good,
        "entity": '<!DOCTYPE xml [<!ENTITY e "x">]>' + good.replace("<![CDATA[你好]]>", "&e;"),
        "external": '<!DOCTYPE xml [<!ENTITY e SYSTEM "file:///etc/passwd">]>' + good,
        "attributes": good.replace("<xml>", '<xml a="1">'),
        "other root": good.replace("xml>", "html>"),
        "deep": good.replace("</xml>", "<SendPicsInfo>" + "<a>" * 50 + "</a>" * 50 + "</SendPicsInfo></xml>"),
        "no type": xml_of(ToUserName=US, FromUserName=OPENID, CreateTime="1"),
        "no event": xml_of(ToUserName=US, FromUserName=OPENID, CreateTime="1", MsgType="event"),
        "another account": text_xml("你好").replace(US, "gh_other"),
        "odd openid": text_xml("你好", openid="o<script>"),
        "long openid": text_xml("你好", openid="o" * 65),
        "no number": good.replace("<CreateTime><![CDATA[", "<CreateTime><![CDATA[x"),
        "empty": "",
        "empty element": "<xml/>",
        "half": good[: len(good) // 2],
        "json": '{"ToUserName":"gh_campus"}',
        "json list": "[]",
        "broken json": "{",
        "json that is nested": '{"a":' * 60 + "1" + "}" * 60,
        "json without end": '{"a":' * 9000,
        "attributes of the sender": good.replace("<FromUserName>", '<FromUserName a="1">'),
        "another encoding": '<?xml version="1.0" encoding="utf-16"?>'.encode("utf-16")
        + good.encode("utf-16"),
        "five megabytes": text_xml("你" * 1_700_000),
    }


@MODES
@pytest.mark.parametrize("name", _hostile())
def test_garbage_is_refused_even_when_it_is_signed(redis: Redis, mode: Mode, name: str) -> None:
    phone = make_phone(redis, mode=mode)
    query, body = signed(_hostile()[name], mode)
    assert phone.callback.handle(query, body) == (400, "bad request", PLAIN)


def test_fields_of_the_future_are_no_reason_to_refuse(redis: Redis) -> None:
    phone = make_phone(redis)
    new = text_xml("你好").replace("</xml>", "<NewField>1</NewField><bizmsgmenuid>1</bizmsgmenuid></xml>")
    assert phone.send(new) == (200, "听到:你好")
    future = xml_of(ToUserName=US, FromUserName=OPENID, CreateTime="1", MsgType="event", Event="brand_new")
    assert phone.send(future) == (200, "success")


def test_unknown_fields_reach_no_handler(redis: Redis) -> None:
    seen: list[dict[str, Any]] = []

    def look(ctx: Ctx) -> Answer:
        seen.append(dict(ctx.push.fields))
        return Text("看到")

    make_phone(redis, otherwise(look)).send(
        text_xml("你好").replace("</xml>", "<NewField>1</NewField></xml>")
    )
    assert set(seen[0]) == {"ToUserName", "FromUserName", "CreateTime", "MsgType", "Content", "MsgId"}


def test_control_characters_typed_by_a_person_are_dropped(redis: Redis) -> None:
    assert make_phone(redis).say("余\x08额\x1f") == "听到:余额"


def test_markup_typed_by_a_person_stays_text(redis: Redis) -> None:
    phone = make_phone(redis)
    assert phone.say("<b>&amp;<!DOCTYPE x>") == "听到:<b>&amp;<!DOCTYPE x>"
    broken_out = text_xml("x").replace("<![CDATA[x]]>", "a]]&gt;&lt;/Content&gt;&lt;X&gt;")
    assert phone.send(broken_out) == (200, "听到:a]]></Content><X>")


@pytest.mark.parametrize(
    "query", [{}, {"timestamp": "１"}, {"signature": "签", "timestamp": "1", "nonce": "\ud800"}]
)
def test_odd_queries_are_forged(redis: Redis, query: dict[str, str]) -> None:
    for mode in ("safe", "plain"):
        assert make_phone(redis, mode=mode).callback.handle(query, b"<xml/>")[0] == 403


def _address_check(echostr: str, **changes: str) -> dict[str, str]:
    timestamp, nonce = str(int(NOW.timestamp())), "1514711492"
    query = {"timestamp": timestamp, "nonce": nonce, "signature": url_signature(TOKEN, timestamp, nonce)}
    return query | {"echostr": echostr} | changes


@MODES
def test_the_address_check_is_echoed(redis: Redis, mode: Mode) -> None:
    verify = make_phone(redis, mode=mode).callback.verify
    assert verify(_address_check("4375120948345356249")) == "4375120948345356249"
    for echostr in ("<script>", "", "1" * 65, "a b", "１"):
        with pytest.raises(Malformed):
            verify(_address_check(echostr))
    for changes in ({"signature": "0" * 40}, {"timestamp": "1"}, {"nonce": ""}):
        with pytest.raises(Forged):
            verify(_address_check("1", **changes))


def test_an_empty_token_or_key_stops_the_start() -> None:
    with pytest.raises(ValueError, match="token"):
        Envelope(config(token=""), lambda: NOW)
    with pytest.raises(ValueError, match="EncodingAESKey"):
        Envelope(config(encoding_aes_key=""), lambda: NOW)
    assert TOKEN not in repr(config())
    assert KEY not in repr(config())
    assert APP_ID in repr(config())


def test_a_refusal_is_said_and_a_bug_is_confessed(redis: Redis) -> None:
    def refuse(_: Ctx) -> Answer:
        raise NotBound

    def break_down(ctx: Ctx) -> Answer:
        raise ZeroDivisionError(ctx)

    phone = make_phone(redis, words(refuse, "余额"), words(break_down, "坏"))
    assert phone.say("余额") == "您还没有绑定校园网账号"
    assert "E-" in phone.say("坏")


def test_a_handler_that_answers_nonsense_is_a_bug_too(redis: Redis) -> None:
    phone = make_phone(redis, words(lambda _: 42, "坏"))  # type: ignore[arg-type, return-value]
    assert "E-" in phone.say("坏")


def test_cards_and_humans_have_their_own_shape(redis: Redis) -> None:
    phone = make_phone(
        redis,
        words(lambda _: Article("标题]]>", "说明", "https://x.test/?a=1&b=2"), "卡"),
        words(lambda _: ToHuman("这就转人工"), "客服"),
    )
    query, body = signed(text_xml("卡"))
    card = opened(phone.callback.handle(query, body)[1], query)
    item = {"Title": "标题]]>", "Description": "说明", "PicUrl": "", "Url": "https://x.test/?a=1&b=2"}
    assert (card["MsgType"], card["ArticleCount"], card["Articles"]) == ("news", "1", {"item": item})
    query, body = signed(text_xml("客服"))
    assert opened(phone.callback.handle(query, body)[1], query)["MsgType"] == "transfer_customer_service"
    phone.callback.close()
    assert phone.told == [(OPENID, "这就转人工")]


def test_a_broken_store_is_no_error_for_the_platform(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    phone = make_phone(redis, otherwise(echo))
    monkeypatch.setattr(phone.callback._store, "begin", lambda *_: 1 / 0)
    assert phone.send(text_xml("你好")) == (200, "success")
