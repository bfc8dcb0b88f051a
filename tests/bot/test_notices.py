"""Messages of our own accord: which way they go, and what becomes of each refusal."""

from __future__ import annotations

from typing import Any

import pytest

from bot.client import WechatClient
from bot.customer import Delivery
from bot.errors import ConfigurationWrong, QuotaExhausted, TooFast
from bot.notices import SAME_ID_TRIES, Filled, Notices, Template, fields_of, fit
from models.errors import Unknown
from models.tidings import Form
from tests.bot.bot_fake_api import FakeApi

CUSTOM = "/cgi-bin/message/custom/send"
TEMPLATE = "/cgi-bin/message/template/send"
FINE = {"errcode": 0, "errmsg": "ok"}
OVER = {"errcode": 45015, "errmsg": "response out of time limit"}
TEMPLATES = {Form.NOTICE: Template("T1", {"thing1": "title", "thing2": "text"})}
FILLED = Filled(
    Form.NOTICE,
    {"title": "流量提醒", "text": "流" * 30, "time": "2026-11-24 12:00", "account": "***1001"},
    "https://net.example/h5/usage",
    "alert:7:1",
)


@pytest.fixture
def notices(client: WechatClient) -> Notices:
    return Notices(client, TEMPLATES)


def send(notices: Notices, *, filled: Filled | None = FILLED, tries: int = 1) -> Delivery:
    return notices.send("oA", "流量提醒……", filled, tries=tries)


def answer(code: int) -> dict[str, Any]:
    return {"errcode": code, "errmsg": "no"}


def test_while_the_window_is_open_a_customer_message_goes_and_nothing_else(
    api: FakeApi, notices: Notices
) -> None:
    api.on(CUSTOM, FINE)
    assert send(notices) is Delivery.SENT
    assert api.calls_of(TEMPLATE) == []


@pytest.mark.parametrize("code", [45015, 45047, 45009])
def test_after_the_window_a_template_message_goes(api: FakeApi, notices: Notices, code: int) -> None:
    api.on(CUSTOM, answer(code))
    api.on(TEMPLATE, {**FINE, "msgid": 3_000_000_000})
    assert send(notices) is Delivery.SENT_BY_TEMPLATE
    assert send(notices, tries=2) is Delivery.SENT_BY_TEMPLATE
    (_, _, first), (_, _, again) = api.calls_of(TEMPLATE)
    assert first["client_msg_id"] == again["client_msg_id"]
    assert {key: value for key, value in first.items() if key != "client_msg_id"} == {
        "touser": "oA",
        "template_id": "T1",
        "url": "https://net.example/h5/usage",
        "data": {"thing1": {"value": "流量提醒"}, "thing2": {"value": "流" * 19 + "…"}},
    }


@pytest.mark.parametrize(
    ("code", "delivery"), [(43004, "UNREACHABLE"), (43019, "UNREACHABLE"), (40003, "UNREACHABLE")]
)
def test_who_cannot_be_reached_gets_no_template_either(
    api: FakeApi, notices: Notices, code: int, delivery: str
) -> None:
    api.on(CUSTOM, answer(code))
    assert send(notices) == delivery
    assert api.calls_of(TEMPLATE) == []


@pytest.mark.parametrize(
    ("code", "delivery"),
    [
        (43004, "UNREACHABLE"),
        (43019, "UNREACHABLE"),
        (40003, "UNREACHABLE"),
        (40037, "REFUSED"),
        (47003, "REFUSED"),
    ],
)
def test_a_refused_template_is_the_end(api: FakeApi, notices: Notices, code: int, delivery: str) -> None:
    api.on(CUSTOM, OVER)
    api.on(TEMPLATE, answer(code))
    assert send(notices) == delivery


@pytest.mark.parametrize(
    ("code", "error"),
    [(45009, QuotaExhausted), (45011, TooFast), (48001, ConfigurationWrong), (-1, Unknown)],
)
def test_what_may_work_later_is_raised(
    api: FakeApi, notices: Notices, code: int, error: type[Exception]
) -> None:
    api.on(CUSTOM, OVER)
    api.on(TEMPLATE, answer(code))
    with pytest.raises(error):
        send(notices)


def test_an_unknown_template_is_not_repeated_once_wechat_has_forgotten_it(
    api: FakeApi, notices: Notices
) -> None:
    api.on(CUSTOM, OVER)
    api.on(TEMPLATE, 500)
    with pytest.raises(Unknown):
        send(notices, tries=SAME_ID_TRIES)
    assert send(notices, tries=SAME_ID_TRIES + 1) is Delivery.UNKNOWN


def test_without_a_template_the_window_decides(api: FakeApi, client: WechatClient) -> None:
    notices = Notices(client, {})
    api.on(CUSTOM, OVER)
    assert send(notices) is Delivery.UNREACHABLE
    assert send(Notices(client, TEMPLATES), filled=None) is Delivery.UNREACHABLE
    api.on(CUSTOM, answer(45047))
    assert send(notices) is Delivery.EXHAUSTED
    api.on(CUSTOM, answer(45009))
    with pytest.raises(QuotaExhausted):
        send(notices)
    assert api.calls_of(TEMPLATE) == []


def test_the_platform_says_whether_the_templates_fit(api: FakeApi, notices: Notices) -> None:
    def list_with(content: str, template_id: str = "T1") -> dict[str, Any]:
        return {"template_list": [{"template_id": template_id, "title": "x", "content": content}]}

    where = "/cgi-bin/template/get_all_private_template"
    api.on(where, list_with("{{thing1.DATA}}\n{{thing2.DATA}}"))
    assert notices.faults() == []
    api.on(where, list_with("{{thing1.DATA}} {{time2.DATA}}"))
    assert notices.faults() == ["notice: its fields are thing1, time2"]
    api.on(where, list_with("", "T2"))
    assert notices.faults() == ["notice: the account has no such template"]


@pytest.mark.parametrize(
    ("field", "value", "fitted"),
    [
        ("thing1", "流" * 20, "流" * 20),
        ("thing1", "流" * 21, "流" * 19 + "…"),
        ("character_string12", "…1001", "1001"),
        ("phrase4", "充值到账", "充值到账"),
    ],
)
def test_values_fit_into_their_fields(field: str, value: str, fitted: str) -> None:
    assert fit(field, value) == fitted


@pytest.mark.parametrize("pair", ["keyword1=title", "thing=title", "thing1", "thing1=amount", "thing1=x"])
def test_a_field_that_cannot_be_filled_stops_the_start(pair: str) -> None:
    with pytest.raises(ValueError, match=pair):
        fields_of(Form.NOTICE, (pair,))
