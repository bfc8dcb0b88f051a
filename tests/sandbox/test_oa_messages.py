"""Customer messages within their windows, templates with their finish event, the menu's limits."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sandbox.pay import PaidOrder
from tests.sandbox.oa_rig import OaRig, wait_until

SEND = "/cgi-bin/message/custom/send"
CREATE = "/cgi-bin/menu/create"
TEMPLATE = "/cgi-bin/message/template/send"
HOUR_S = 3600


def text(oa: OaRig, content: str = "hello") -> int:
    return oa.code(SEND, {"touser": oa.xiaoming, "msgtype": "text", "text": {"content": content}})


def follow_and_let_the_window_close(oa: OaRig) -> None:
    oa.act("follow")
    oa.pass_time(61)


def test_without_a_trigger_nothing_may_be_sent(oa: OaRig) -> None:
    assert oa.code(SEND, {"touser": "o" + "x" * 27, "msgtype": "text", "text": {"content": "x"}}) == 40003
    follow_and_let_the_window_close(oa)
    assert text(oa) == 45015


def test_a_message_allows_five_within_48_hours(oa: OaRig) -> None:
    follow_and_let_the_window_close(oa)
    oa.act("text", {"text": "hi"})
    assert [text(oa) for _ in range(6)] == [0, 0, 0, 0, 0, 45047]
    oa.act("text", {"text": "again"})
    assert text(oa) == 0
    oa.pass_time(48 * HOUR_S + 1)
    assert text(oa) == 45015


@pytest.mark.parametrize(
    ("action", "body"), [("click", {"key": "K"}), ("scan", {"scene": "1"}), ("follow", {"scene": "2"})]
)
def test_a_tap_or_scan_allows_three_within_a_minute(oa: OaRig, action: str, body: dict[str, str]) -> None:
    follow_and_let_the_window_close(oa)
    oa.act(action, body)
    assert [text(oa) for _ in range(4)] == [0, 0, 0, 45047]
    oa.pass_time(61)
    assert text(oa) == 45015


def test_a_payment_allows_any_number_for_48_hours_and_shows_a_receipt(oa: OaRig) -> None:
    follow_and_let_the_window_close(oa)
    paid = PaidOrder(
        out_trade_no="R1",
        transaction_id="42",
        openid=oa.xiaoming,
        amount_fen=2000,
        description="校园网充值",
        merchant="模拟商户",
        success_at=oa.sandbox.engine.clock.now(),
    )
    assert oa.sandbox.pay.on_paid is not None
    oa.sandbox.pay.on_paid(oa.xiaoming, paid)
    assert {text(oa) for _ in range(20)} == {0}
    assert next(item for item in oa.bubbles() if item["from"] == "pay")["amount_fen"] == 2000
    oa.pass_time(48 * HOUR_S + 1)
    assert text(oa) == 45015


def test_leaving_closes_every_window(oa: OaRig) -> None:
    oa.act("follow")
    oa.act("text", {"text": "hi"})
    oa.act("unfollow")
    assert text(oa) == 45015


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"msgtype": "text", "text": {"content": ""}}, 44004),
        ({"msgtype": "text", "text": {"content": "x" * 2049}}, 45002),
        ({"msgtype": "fax", "fax": {}}, 40008),
        ({"msgtype": "image", "image": {"media_id": "unknown"}}, 40007),
        ({"msgtype": "news", "news": {"articles": [{"title": "a"}, {"title": "b"}]}}, 45008),
        ({"msgtype": "msgmenu", "msgmenu": {"head_content": "?", "list": []}}, 47003),
        ({"msgtype": "text", "text": {"content": "x"}, "customservice": {"kf_account": "a@b"}}, 65401),
    ],
)
def test_wrong_messages_have_their_codes_and_cost_nothing(oa: OaRig, body: dict[str, Any], code: int) -> None:
    oa.act("follow")
    assert oa.code(SEND, {"touser": oa.xiaoming, **body}) == code
    assert oa.look("students/xiaoming")["windows"]["subscribe"]["left"] == 3


def test_kinds_of_messages_reach_the_chat(oa: OaRig) -> None:
    oa.act("follow")
    oa.act("text", {"text": "hi"})
    upload = oa.http.post(
        f"{oa.url}/cgi-bin/media/upload",
        params={"access_token": oa.token(), "type": "image"},
        files={"media": ("a.png", b"png")},
    ).json()
    menu = {
        "head_content": "选金额",
        "list": [{"id": "1", "content": "5"}, {"id": "2", "content": "20"}],
        "tail_content": "元",
    }
    bodies = [
        {"msgtype": "msgmenu", "msgmenu": menu},
        {"msgtype": "news", "news": {"articles": [{"title": "公告", "url": "http://x"}]}},
        {"msgtype": "image", "image": {"media_id": upload["media_id"]}},
    ]
    assert [oa.code(SEND, {"touser": oa.xiaoming, **body}) for body in bodies] == [0, 0, 0]
    shown = [item for item in oa.bubbles() if item["from"] == "oa"]
    assert [item["kind"] for item in shown] == ["msgmenu", "news", "image"]
    assert shown[0]["list"][1]["content"] == "20"


def template_of(oa: OaRig, title: str) -> str:
    found = oa.api("/cgi-bin/template/get_all_private_template")["template_list"]
    return str(next(item["template_id"] for item in found if item["title"] == title))


RESULT = {
    "character_string1": {"value": "2400101001"},
    "amount2": {"value": "20.00元"},
    "time3": {"value": "2026-11-01 12:00"},
    "phrase4": {"value": "充值成功"},
}


def test_template_message_is_shown_and_its_finish_reported(plain_oa: OaRig) -> None:
    plain_oa.act("follow")
    body = {"touser": plain_oa.xiaoming, "template_id": template_of(plain_oa, "充值结果通知"), "data": RESULT}
    answer = plain_oa.api(TEMPLATE, body)
    wait_until(lambda: len(plain_oa.site.received) == 2)
    event = plain_oa.site.received[1].body.decode()
    assert f"<MsgID>{answer['msgid']}</MsgID><Status><![CDATA[success]]></Status>" in event
    assert "20.00元" in plain_oa.bubbles()[-1]["text"]


@pytest.mark.parametrize(
    ("name", "told", "shown"),
    [
        ("user_block", "failed:user block", False),
        ("system_failed", "failed: system failed", False),
        ("lost", None, True),
    ],
)
def test_a_template_message_may_end_otherwise(
    plain_oa: OaRig, name: str, told: str | None, *, shown: bool
) -> None:
    plain_oa.act("follow")
    plain_oa.fault("template_finish", name)
    body = {"touser": plain_oa.xiaoming, "template_id": template_of(plain_oa, "充值结果通知"), "data": RESULT}
    assert plain_oa.code(TEMPLATE, body) == 0
    assert any("20.00元" in bubble["text"] for bubble in plain_oa.bubbles()) is shown
    wait_until(lambda: plain_oa.look("clock")["pending"] == 0)
    events = [got.body.decode() for got in plain_oa.site.received[1:]]
    assert [told in event for event in events if told] == ([True] if told else [])
    assert len(events) == (1 if told else 0)


def test_template_rules(oa: OaRig) -> None:
    template_id = template_of(oa, "充值结果通知")
    body = {"touser": oa.xiaoming, "template_id": template_id, "data": RESULT}
    assert oa.code(TEMPLATE, body) == 40003
    oa.act("follow")
    assert oa.code(TEMPLATE, {**body, "template_id": "x" * 43}) == 40037
    assert oa.code(TEMPLATE, {**body, "data": {**RESULT, "phrase4": {"value": "六个字的状态"}}}) == 47003
    assert oa.code(TEMPLATE, {**body, "data": {}}) == 47003
    same = [oa.api(TEMPLATE, {**body, "client_msg_id": "order-1"})["msgid"] for _ in range(2)]
    assert same[0] == same[1]
    oa.act("unfollow")
    assert oa.code(TEMPLATE, body) == 43004


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("character_string1", "…1001"),
        ("amount2", "二十元"),
        ("amount2", "12345678901"),
        ("time3", "昨天"),
        ("phrase4", "ok"),
        ("phrase4", ""),
    ],
)
def test_a_field_takes_its_own_kind_of_text_only(oa: OaRig, field: str, value: str) -> None:
    oa.act("follow")
    body = {"touser": oa.xiaoming, "template_id": template_of(oa, "充值结果通知")}
    assert oa.code(TEMPLATE, {**body, "data": {**RESULT, field: {"value": value}}}) == 47003
    assert oa.code(TEMPLATE, {**body, "data": RESULT}) == 0


def click(name: str = "余额", key: str = "K") -> dict[str, Any]:
    return {"type": "click", "name": name, "key": key}


def create(oa: OaRig, buttons: list[Any]) -> int:
    """As the platform wants it: Chinese as it is, without escapes."""
    raw = json.dumps({"button": buttons}, ensure_ascii=False).encode()
    answer = oa.http.post(oa.url + CREATE, params={"access_token": oa.token()}, data=raw)
    return int(answer.json()["errcode"])


@pytest.mark.parametrize(
    ("buttons", "code"),
    [
        ([], 40016),
        ([click()] * 4, 40016),
        ([{"type": "shout", "name": "x", "key": "k"}], 40017),
        ([click(name="网费充值了吗")], 40018),
        ([click(name="")], 40018),
        ([click(key="k" * 129)], 40019),
        ([{"type": "view", "name": "x", "url": "http://x/" + "a" * 1020}], 40020),
        ([{"type": "view", "name": "x", "url": "ftp://x/"}], 40055),
        ([{"name": "x", "sub_button": [click()] * 6}], 40023),
        ([{"name": "x", "sub_button": [{"type": "?", "name": "y"}]}], 40024),
        ([{"name": "x", "sub_button": [click(name="长" * 21)]}], 40025),
        ([{"name": "x", "sub_button": [click(key="")]}], 40026),
        ([{"name": "x", "sub_button": [{"type": "view", "name": "y"}]}], 40027),
        ([{"name": "x", "sub_button": [{"type": "view", "name": "y", "url": "nowhere"}]}], 40054),
        ([{"name": "x", "sub_button": [{"name": "y", "sub_button": [click()]}]}], 40022),
    ],
)
def test_menus_over_a_limit_are_refused(oa: OaRig, buttons: list[Any], code: int) -> None:
    assert create(oa, buttons) == code
    assert oa.code("/cgi-bin/menu/get") == 46003


def test_menu_at_its_limits_is_stored_shown_and_removed(oa: OaRig) -> None:
    buttons = [
        {"name": "网费充值", "sub_button": [click(name="长" * 20, key="k" * 128) for _ in range(5)]},
        {"type": "view", "name": "n" * 16, "url": "https://x/" + "a" * 1014},
        click(name="balance"),
    ]
    assert create(oa, buttons) == 0
    assert len(oa.look("menu")["button"][0]["sub_button"]) == 5
    assert oa.api("/cgi-bin/menu/get")["menu"]["button"][2]["key"] == "K"
    assert oa.code("/cgi-bin/menu/delete") == 0
    assert oa.look("menu")["button"] == []


def test_escaped_chinese_in_a_menu_is_refused(oa: OaRig) -> None:
    assert oa.code(CREATE, {"button": [click()]}) == 40033
