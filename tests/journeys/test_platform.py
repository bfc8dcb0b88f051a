"""What the platform, the network and strangers do to a conversation: through the sandbox, over real HTTP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from app.phone import link_in
from app.redis_server import RedisServer
from models.order import NotifyInbox, Order
from models.person import Person
from sandbox.credentials import Credentials
from tests.journeys.entrance import Entrance
from tests.journeys.town import Student, Town, taps, text_of, understood
from tests.rig import Rig, eventually

HUGE = 5_000_000


@pytest.fixture
def entrance(town: Town, credentials: Credentials) -> Entrance:
    return Entrance(town.rig.port, credentials, town.now)


def answers(student: Student, kind: str = "push.text") -> list[str]:
    """Our decrypted answers to this student's pushes, oldest first."""
    exchanges = student.api("GET", "/sim/wire")["exchanges"]
    return [
        exchange["decrypted_response"]
        for exchange in exchanges
        if (exchange["kind"], exchange["openid"]) == (kind, student.own_openid)
    ]


def rows(town: Town) -> tuple[int, ...]:
    with town.house.database.reading() as session:
        tables = (Person, Order, NotifyInbox)
        return tuple(session.scalar(select(func.count()).select_from(table)) or 0 for table in tables)


def test_a_push_that_comes_three_times_gets_the_first_answer_and_acts_once(town: Town) -> None:
    student = town.newcomer().bound()
    student.say("充值5")
    before = len(answers(student))
    student.api("POST", "/sim/faults", {"name": "drop_answer", "place": "push", "times": 2})
    delivery = student.push("text", text="确认")
    assert len(delivery["tries"]) == 3
    assert link_in(text_of(delivery), "/h5/pay/")
    first, *others = answers(student)[before:]
    assert others == [first, first]
    assert len(town.orders(student)) == 1


def test_a_follow_that_comes_three_times_is_one_person(town: Town) -> None:
    student = town.newcomer()
    student.api("POST", "/sim/faults", {"name": "drop_answer", "place": "push", "times": 2})
    assert "欢迎" in student.follow("dorm-9")
    assert len(set(answers(student, "push.subscribe"))) == 1
    assert town.person(student).scene == "dorm-9"


def test_what_takes_too_long_is_announced_and_follows_as_a_message(make_rig: Callable[..., Rig]) -> None:
    # No worker: it would ask WeChat about the order as well.
    rig = make_rig(workers=0)
    phone = rig.phone()
    phone.follow()
    phone.bind()
    phone.say("充值5")
    pay_page = phone.open(link_in(phone.say("确认"), "/h5/pay/"))
    # WeChat must have heard of the order, or it is not asked about it.
    phone.post_json(pay_page, f"{pay_page.url}/params")
    phone.api("POST", "/sim/faults", {"name": "delay", "place": "pay.query", "args": {"seconds": 5.5}})
    # The platform hangs up after two seconds each time: a retry meets the handler still at work.
    rig.sandbox.oa.pusher.timeout_s = 2.0
    delivery = phone.api("POST", f"/sim/students/{phone.student}/text", {"text": "没到账"})["delivery"]
    assert len(delivery["tries"]) > 1
    assert "正在处理" in text_of(delivery)
    assert "订单" in phone.wait_for("还没有收到付款")
    asked = [e for e in phone.api("GET", "/sim/wire")["exchanges"] if e["kind"] == "pay.query"]
    assert len(asked) == 1


def test_without_redis_people_are_still_answered(make_rig: Callable[..., Rig], tmp_path: Path) -> None:
    server = RedisServer(tmp_path / "own-redis")
    try:
        rig = make_rig(redis_url=server.url)
        phone = rig.phone()
        phone.follow()
        phone.bind()
        server.kill()
        assert "余额：12.34 元" in phone.say("余额")
        assert taps(phone.say("充值"))[0] == "充值5"
        assert "欢迎" in rig.phone("xiaohong").follow()
        assert len(taps(phone.say("完全听不懂的话"))) == 4
        phone.api("POST", "/sim/faults", {"name": "drop_answer", "place": "push", "times": 2})
        assert "余额：12.34 元" in phone.say("余额")
        server.restart()
        eventually(lambda: phone.say("充值5") and "/h5/pay/" in phone.say("确认"), "chat state again")
    finally:
        server.stop()


def test_plain_mode_works_as_well(make_rig: Callable[..., Rig]) -> None:
    rig = make_rig(wechat={"message_mode": "plain"})
    rig.sandbox.set_message_mode("plain")
    phone = rig.phone()
    assert "欢迎" in phone.follow()
    phone.bind()
    assert "余额：12.34 元" in phone.say("余额")
    phone.say("充值5")
    order_no = phone.pay(link_in(phone.say("确认"), "/h5/pay/"))
    phone.wait_for("充值到账", order_no)


@pytest.mark.parametrize(("ours", "theirs"), [("safe", "plain"), ("plain", "safe")])
def test_the_other_mode_is_refused_whatever_the_push_claims(
    make_rig: Callable[..., Rig], ours: str, theirs: str
) -> None:
    rig = make_rig(wechat={"message_mode": ours})
    rig.sandbox.set_message_mode(theirs)
    rig.phone().follow()
    exchanges = rig.phone().api("GET", "/sim/wire")["exchanges"]
    statuses = {e["status"] for e in exchanges if e["kind"] == "push.subscribe"}
    assert statuses <= {400, 403}
    assert statuses


def test_the_console_finds_our_address(town: Town) -> None:
    assert town.newcomer().api("POST", "/sim/oa/verify_url")["ok"] is True


@pytest.mark.parametrize("fault", ["tamper_signature", "skew"])
def test_a_push_with_a_false_signature_or_an_old_one_is_refused(town: Town, fault: str) -> None:
    student = town.newcomer()
    student.api("POST", "/sim/faults", {"name": fault, "place": "push", "times": 3})
    assert student.push("follow")["status"] == "failed"
    assert {record["status"] for record in student.push("text", text="余额")["tries"]} == {200}


def test_an_overheard_push_that_is_sent_again_changes_nothing(town: Town) -> None:
    student = town.newcomer().bound()
    student.say("充值5")
    student.say("确认")
    overheard = [
        e for e in student.api("GET", "/sim/wire")["exchanges"] if e["openid"] == student.own_openid
    ][-1]
    assert student.api("POST", f"/sim/wire/{overheard['id']}/replay")["status"] == 200
    assert len(town.orders(student)) == 1
    town.move(minutes=6)
    assert student.api("POST", f"/sim/wire/{overheard['id']}/replay")["status"] == 403


def message(content: str = "余额", **more: Any) -> str:
    fields = {
        "FromUserName": "oStranger",
        "CreateTime": 1,
        "MsgType": "text",
        "Content": content,
        "MsgId": 1,
    } | more
    return "".join(f"<{name}>{value}</{name}>" for name, value in fields.items())


ENTITIES = '<!DOCTYPE xml [<!ENTITY a "余额"><!ENTITY b "&a;&a;">]>'
HOSTILE = {
    "content twice": "<xml>{us}" + message() + "<Content>充值</Content></xml>",
    "sender twice": "<xml>{us}" + message() + "<FromUserName>oOther</FromUserName></xml>",
    "doctype": ENTITIES + "<xml>{us}" + message("&b;") + "</xml>",
    "external entity": '<!DOCTYPE xml SYSTEM "file:///etc/passwd"><xml>{us}' + message() + "</xml>",
    "nested": "<xml>{us}" + message("<a>" * 500 + "</a>" * 500) + "</xml>",
    "no sender": "<xml>{us}<MsgType>text</MsgType></xml>",
    "another account": "<xml><ToUserName>gh_other</ToUserName>" + message() + "</xml>",
    "another root": "<html>{us}" + message() + "</html>",
    "cut off": "<xml>{us}" + message(),
    "json": '{{"MsgType": "text"}}',
    "nothing": "",
    "huge inside": "<xml>{us}" + message("啊" * 30_000) + "</xml>",
}
# Odd in what we do not use: authentic, and answered.
ODD = {
    "source": "<xml>{us}" + message() + "<source>1</source></xml>",
    "type": "<xml>{us}" + message() + "<type>text</type></xml>",
    "undefined entity": "<xml>{us}" + message("&nbsp;") + "</xml>",
    "attribute": "<xml>{us}" + message().replace("<Content>", '<Content a="1">') + "</xml>",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_push_is_refused_even_when_truly_signed(
    town: Town, entrance: Entrance, credentials: Credentials, name: str
) -> None:
    before = rows(town)
    us = f"<ToUserName>{credentials.original_id}</ToUserName>"
    body = HOSTILE[name].replace("{us}", us).encode()
    assert entrance.push(f"<xml>{us}{message()}</xml>".encode()) == 200
    assert entrance.push(body) == (413 if name == "huge inside" else 400)
    assert entrance.push_outer(body) in {400, 413}
    assert entrance.post("/wechat", body) in {403, 413}
    assert rows(town) == before


@pytest.mark.parametrize("name", ODD)
def test_an_odd_push_is_answered_only_when_truly_signed(
    entrance: Entrance, credentials: Credentials, name: str
) -> None:
    us = f"<ToUserName>{credentials.original_id}</ToUserName>"
    body = ODD[name].replace("{us}", us).encode()
    assert entrance.push(body) == 200
    assert entrance.push_outer(body) == 400
    assert entrance.post("/wechat", body) == 403


@pytest.mark.parametrize(
    "words", ["]]>", "]]><Content>充值</Content><![CDATA[", "]]]]>>", "<![CDATA[余额]]>"]
)
def test_text_that_looks_like_markup_stays_text(town: Town, words: str) -> None:
    student = town.newcomer()
    student.follow()
    delivery = student.push("text", text=words)
    assert [record["status"] for record in delivery["tries"]] == [200]
    assert delivery["status"] == "replied"
    assert "没有听懂" in text_of(delivery)


@pytest.mark.parametrize(
    "body", [b"x" * HUGE, b"<xml>" + b"<a>" * (HUGE // 3), b"<xml><Encrypt>" + b"QUJD" * (HUGE // 4)],
    ids=["letters", "tags", "cipher"],
)  # fmt: skip
def test_five_megabytes_are_refused_at_both_entrances(entrance: Entrance, body: bytes) -> None:
    assert entrance.push_outer(body, "QUJD") == 413
    assert entrance.post("/wechat", body) == 413
    assert entrance.notify(body) == 413
    assert entrance.post("/wechatpay/notify", body) == 413


NOTICE = b'{"id":"EV-1","event_type":"TRANSACTION.SUCCESS","resource_type":"encrypt-resource","resource":%s}'
FALSE_NOTICES = {
    "nothing": b"",
    "no json": b"<xml>]]></xml>",
    "doctype": ENTITIES.encode() + b"<xml>&b;</xml>",
    "not utf-8": b'{"id":"\xff\xfe"}',
    "a list": b"[1,2]",
    "deep": b"[" * 60_000,
    "two ids": b'{"id":"EV-1","id":"EV-2"}',
    "no resource": NOTICE % b"null",
    "plain resource": NOTICE % b'{"out_trade_no":"r1","trade_state":"SUCCESS"}',
    "wrong cipher text": NOTICE
    % b'{"algorithm":"AEAD_AES_256_GCM","nonce":"n","associated_data":"","ciphertext":"QUJDREVGR0hJSktM"}',
    "not a number": NOTICE % b"NaN",
    "a huge number": NOTICE % (b"9" * 20_000),
}  # fmt: skip


@pytest.mark.parametrize("name", FALSE_NOTICES)
def test_a_false_payment_notice_is_refused_signed_or_not(town: Town, entrance: Entrance, name: str) -> None:
    before = rows(town)
    assert entrance.notify(FALSE_NOTICES[name]) == (403 if name == "wrong cipher text" else 400)
    assert entrance.post("/wechatpay/notify", FALSE_NOTICES[name]) == 403
    assert rows(town) == before


def test_after_all_that_people_are_still_answered(town: Town) -> None:
    assert understood(town.newcomer().bound().say("余额"))
