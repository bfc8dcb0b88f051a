"""Pushes: signed, sealed, tried three times; replies read as strictly as the platform reads them."""

from __future__ import annotations

import threading

import pytest

from sandbox.oa.crypto import signature
from sandbox.oa.platform import FAULT_TEXT
from tests.sandbox.oa_rig import TRY_TIMEOUT_S, Answer, OaRig, Received


def test_url_verification_wants_the_echo_back_verbatim(oa: OaRig) -> None:
    oa.site.respond = lambda got: Answer(got.query["echostr"].encode())
    assert oa.sandbox.oa.verify_url()
    got = oa.site.received[0]
    assert got.query["signature"] == signature(
        oa.credentials.token, got.query["timestamp"], got.query["nonce"]
    )
    oa.site.respond = lambda got: Answer(f'"{got.query["echostr"]}"'.encode())
    assert not oa.sandbox.oa.verify_url()


def test_safe_push_opens_with_another_implementation_and_shows_nothing_in_clear(oa: OaRig) -> None:
    oa.act("follow", {"scene": "dorm-7"})
    got = oa.site.received[0]
    plain = oa.plain(got)
    assert "<Event><![CDATA[subscribe]]></Event>" in plain
    assert "<EventKey><![CDATA[qrscene_dorm-7]]></EventKey>" in plain
    assert got.query["encrypt_type"] == "aes"
    assert got.query["openid"] == oa.xiaoming
    assert b"subscribe" not in got.body
    assert b"FromUserName" not in got.body


def test_plain_push_is_signed_and_readable(plain_oa: OaRig) -> None:
    plain_oa.act("follow")
    plain_oa.act("text", {"text": "余额 ]]> <x>"})
    got = plain_oa.site.received[1]
    assert "encrypt_type" not in got.query
    assert got.query["signature"] == signature(
        plain_oa.credentials.token, got.query["timestamp"], got.query["nonce"]
    )
    assert "<MsgType><![CDATA[text]]></MsgType>" in got.body.decode()


def test_success_and_empty_show_nothing(plain_oa: OaRig) -> None:
    assert plain_oa.act("follow")["status"] == "silent"
    plain_oa.site.respond = lambda _got: Answer(b"")
    assert plain_oa.act("text", {"text": "hi"})["status"] == "silent"
    assert [bubble["from"] for bubble in plain_oa.bubbles()] == ["user"]


def test_sealed_reply_appears_in_the_chat(oa: OaRig) -> None:
    oa.act("follow")
    oa.site.respond = lambda _got: Answer(oa.sealed("余额 12.50 元"))
    delivery = oa.act("text", {"text": "余额"})
    assert delivery["status"] == "replied"
    last = oa.bubbles()[-1]
    assert (last["from"], last["kind"], last["text"]) == ("oa", "text", "余额 12.50 元")
    exchange = next(item for item in oa.look("wire")["exchanges"] if item["id"] == last["exchange_id"])
    assert "余额 12.50 元" in exchange["decrypted_response"]
    assert "<Content><![CDATA[余额]]></Content>" in exchange["decrypted"]
    assert exchange["signed"].startswith("sha1(sort(")
    assert exchange["verdict"] == "reply accepted"


def bad_safe_replies(oa: OaRig) -> dict[str, bytes]:
    good = oa.sealed("x").decode()
    other = good.replace("<TimeStamp>1700000000", "<TimeStamp>1700000001")
    return {
        "plain text in safe mode": oa.text_xml("hello").encode(),
        "wrong signature": other.encode(),
        "success, sealed": str(oa.crypto().encrypt_message("success", "n", "1")).encode(),
        "json": b'{"text":"hello"}',
        "two roots": (good + good).encode(),
    }


@pytest.mark.parametrize(
    "case", ["plain text in safe mode", "wrong signature", "success, sealed", "json", "two roots"]
)
def test_bad_safe_reply_shows_the_fault_text_without_a_retry(oa: OaRig, case: str) -> None:
    oa.act("follow")
    oa.site.received.clear()
    oa.site.respond = lambda _got: Answer(bad_safe_replies(oa)[case])
    assert oa.act("text", {"text": "hi"})["status"] == "bad_reply"
    assert len(oa.site.received) == 1
    assert oa.bubbles()[-1]["text"] == FAULT_TEXT


@pytest.mark.parametrize(
    ("changed", "word"),
    [
        ({"to": "oSomebodyElse"}, "ToUserName"),
        ({"from": "gh_other"}, "FromUserName"),
        ({"at": "yesterday"}, "CreateTime"),
    ],
)
def test_reply_with_a_wrong_envelope_is_refused(plain_oa: OaRig, changed: dict[str, str], word: str) -> None:
    plain_oa.act("follow")
    plain_oa.site.respond = lambda _got: Answer(plain_oa.text_xml("hi", **changed).encode())
    delivery = plain_oa.act("text", {"text": "hi"})
    assert delivery["status"] == "bad_reply"
    assert word in delivery["reason"]


@pytest.mark.parametrize(("length", "status"), [(2048, "replied"), (2049, "bad_reply"), (0, "bad_reply")])
def test_text_reply_has_1_to_2048_bytes(plain_oa: OaRig, length: int, status: str) -> None:
    plain_oa.act("follow")
    plain_oa.site.respond = lambda _got: Answer(plain_oa.text_xml("x" * length).encode())
    assert plain_oa.act("text", {"text": "hi"})["status"] == status


def test_entities_in_a_reply_are_refused(plain_oa: OaRig) -> None:
    plain_oa.act("follow")
    bomb = '<!DOCTYPE x [<!ENTITY e "boom">]>' + plain_oa.text_xml("hi")
    plain_oa.site.respond = lambda _got: Answer(bomb.encode())
    assert plain_oa.act("text", {"text": "hi"})["status"] == "bad_reply"


def test_slow_site_gets_three_requests_with_one_msgid_then_the_person_sees_the_fault(oa: OaRig) -> None:
    oa.act("follow")
    oa.site.received.clear()
    oa.impatient()
    release = threading.Event()

    def stall(_got: Received) -> Answer:
        release.wait(10)
        return Answer()

    oa.site.respond = stall
    delivery = oa.act("text", {"text": "余额"})
    release.set()
    assert delivery["status"] == "failed"
    plains = [oa.plain(got) for got in oa.site.received]
    assert len(plains) == 3
    assert len(set(plains)) == 1
    assert "<MsgId>" in plains[0]
    assert len({got.query["nonce"] for got in oa.site.received}) == 3
    assert oa.bubbles()[-1]["text"] == FAULT_TEXT


def test_an_answer_that_trickles_past_the_deadline_is_no_answer(plain_oa: OaRig) -> None:
    plain_oa.act("follow")
    plain_oa.impatient()
    plain_oa.site.trickle_s = TRY_TIMEOUT_S * 0.7
    plain_oa.site.respond = lambda _got: Answer(b"abc")
    delivery = plain_oa.act("text", {"text": "hi"})
    assert delivery["status"] == "failed"
    assert [entry["status"] for entry in delivery["tries"]] == [0, 0, 0]


def test_an_answer_on_the_third_try_is_shown(oa: OaRig) -> None:
    oa.act("follow")
    oa.site.received.clear()
    oa.site.respond = lambda _got: Answer(oa.sealed("三"), 200 if len(oa.site.received) == 3 else 500)
    delivery = oa.act("text", {"text": "hi"})
    assert [entry["status"] for entry in delivery["tries"]] == [500, 500, 200]
    assert oa.bubbles()[-1]["text"] == "三"


@pytest.mark.parametrize("event", ["unsubscribe", "VIEW"])
def test_failures_of_unseen_events_show_nothing(plain_oa: OaRig, event: str) -> None:
    plain_oa.act("follow")
    plain_oa.site.respond = lambda _got: Answer(status=500)
    plain_oa.act("raw", {"fields": {"MsgType": "event", "Event": event, "EventKey": "x"}})
    assert plain_oa.bubbles() == []


def test_events_of_the_phone_have_their_fields(plain_oa: OaRig) -> None:
    plain_oa.act("follow")
    plain_oa.act("scan", {"scene": "42"})
    plain_oa.act("click", {"key": "BALANCE"})
    plain_oa.act("view", {"url": f"{plain_oa.site.origin}/h5/recharge"})
    plain_oa.act("location", {"latitude": 25.3, "longitude": 110.4})
    plain_oa.act("text", {"text": "10", "bizmsgmenuid": "amount-10"})
    plain_oa.act("raw", {"fields": {"MsgType": "image", "PicUrl": "http://x/1.jpg", "MediaId": "m"}})
    plain_oa.act("unfollow")
    bodies = [got.body.decode() for got in plain_oa.site.received]
    wanted = [
        "subscribe]]></Event><EventKey><![CDATA[]]>",
        "SCAN]]></Event><EventKey><![CDATA[42]]></EventKey><Ticket>",
        "CLICK]]></Event><EventKey><![CDATA[BALANCE]]>",
        "VIEW]]></Event><EventKey><![CDATA[http",
        "LOCATION]]></Event><Latitude><![CDATA[25.300000]]>",
        "<bizmsgmenuid><![CDATA[amount-10]]></bizmsgmenuid><MsgId>",
        "<PicUrl><![CDATA[http://x/1.jpg]]></PicUrl>",
        "unsubscribe]]></Event>",
    ]
    assert len(bodies) == len(wanted)
    for body, part in zip(bodies, wanted, strict=True):
        assert part in body
        assert ("<MsgId>" in body) is ("<Event>" not in body)


def test_a_stranger_can_not_write_to_the_account(oa: OaRig) -> None:
    answer = oa.http.post(f"{oa.url}/sim/students/xiaoming/text", json={"text": "hi"})
    assert answer.status_code == 409
    assert oa.site.received == []


def test_faults_of_pushes_do_what_they_say(plain_oa: OaRig) -> None:
    plain_oa.act("follow")
    site = plain_oa.site
    token = plain_oa.credentials.token

    def send(name: str, **args: float) -> list[Received]:
        site.received.clear()
        plain_oa.fault("push", name, args=args)
        plain_oa.act("text", {"text": name})
        return list(site.received)

    def genuine(got: Received) -> bool:
        return got.query["signature"] == signature(token, got.query["timestamp"], got.query["nonce"])

    assert len(send("drop_answer")) == 2
    assert len(send("repeat", count=2)) == 3
    assert len(send("lost")) == 1
    assert [genuine(got) for got in send("tamper_signature")] == [False]
    (skewed,) = send("skew", seconds=900)
    (fresh,) = send("none")
    assert genuine(skewed)
    assert int(fresh.query["timestamp"]) - int(skewed.query["timestamp"]) >= 900


def test_replay_sends_the_same_bytes_again(oa: OaRig) -> None:
    oa.act("follow")
    first = oa.look("wire")["exchanges"][0]
    assert oa.sim(f"wire/{first['id']}/replay") == {"status": 200, "body": "success"}
    original, again = oa.site.received
    assert (original.query, original.body) == (again.query, again.body)


def test_message_mode_can_be_switched_while_running(oa: OaRig) -> None:
    oa.sim("message_mode", {"mode": "plain"})
    oa.act("follow")
    assert b"subscribe" in oa.site.received[0].body
