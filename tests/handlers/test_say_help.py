from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.context import Silence, Text, ToHuman
from bot.menu import MENU, click_keys
from handlers import ROUTES, recharge
from handlers.fallback import nearest
from handlers.vocabulary import TOPICS
from models.notice import Notice
from tests.handlers.handler_chat import BASE_URL, CONTACT, NOON, SITE, Chat

MAX_BYTES = 2048
OTHER_STATES = [recharge.AWAIT_ACCOUNT_AGAIN, recharge.AWAIT_NAME_CONFIRM, recharge.CONFIRM, "unbind"]


def taps(text: str) -> list[str]:
    return re.findall(r"msgmenucontent=([^&]*)&", text)


def spoken() -> list[str]:
    return [key for route in ROUTES if route.by == "word" for key in route.keys]


@pytest.mark.parametrize("key", sorted(click_keys(MENU)))
def test_every_menu_key_has_its_handler(chat: Chat, key: str) -> None:
    assert key in {name for route in ROUTES if route.by == "click" for name in route.keys}
    assert chat.tap(key)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("资费", "桂电网信〔2023〕2号"),
        ("资费", "20元不限量套餐（60GB）"),
        ("流程", "填写 → 支付 → 支付完成 → 后台充值处理 → 充值成功"),
        ("流程", "充错无法退回"),
        ("线下", "110室"),
        ("线下", "原桂林信息科技学院办公楼，现网络与信息中心、研究生学院办公楼"),
        ("线下", "备注学号和姓名"),
        ("线下", "倍数"),
        ("线下", "原路退回"),
        ("常见问题", "没到账"),
        ("联系我们", "466522933"),
        ("联系我们", "0773-2290739"),
        ("帮助", "换购日志"),
    ],
)
def test_the_leaflet_answers(chat: Chat, said: str, told: str) -> None:
    assert told in chat.say(said)


def test_help_names_only_words_that_work(chat: Chat) -> None:
    assert set(taps(chat.say("帮助"))) <= set(spoken())


def test_every_tappable_word_works(bound: Chat) -> None:
    offered = {word for said in spoken() for word in taps(bound.say(said))}
    bound.say("取消")
    dead = [
        word
        for word in offered - {"确认", "确认解绑"}
        if "没有听懂" in bound.say(word) or "没有听懂" in bound.say("取消")
    ]
    assert dead == []


@pytest.mark.parametrize(
    ("at", "forwarded"),
    [
        (datetime(2026, 3, 10, 1, 0, tzinfo=UTC), True),  # Tuesday 09:00
        (datetime(2026, 3, 10, 0, 59, tzinfo=UTC), False),  # 08:59
        (datetime(2026, 3, 10, 8, 59, tzinfo=UTC), True),  # 16:59
        (datetime(2026, 3, 10, 9, 0, tzinfo=UTC), False),  # 17:00
        (datetime(2026, 3, 13, 4, 0, tzinfo=UTC), True),  # Friday noon
        (datetime(2026, 3, 14, 4, 0, tzinfo=UTC), False),  # Saturday noon
        (datetime(2026, 3, 15, 17, 0, tzinfo=UTC), False),  # Monday 01:00 on campus
    ],
)
def test_a_human_answers_in_working_hours_only(chat: Chat, at: datetime, *, forwarded: bool) -> None:
    chat.clock.now = at
    answer = chat.answer("客服")
    if forwarded:
        assert isinstance(answer, ToHuman)
        words = answer.notice
    else:
        assert isinstance(answer, Text)
        assert "9:00–17:00" in answer.content
        words = answer.content
    assert CONTACT.hotline in words
    assert CONTACT.qq_group in words


def publish(chat: Chat, count: int, **changes: str) -> None:
    with chat.services.transaction() as session:
        for number in range(count):
            text = {"title": f"公告{number}", "body": f"正文{number}", **changes}
            session.add(Notice(published_at=NOON - timedelta(days=count - number), **text))
        session.add(Notice(title="明天的公告", body="还早", published_at=NOON + timedelta(days=1)))


def test_notices_show_the_newest_first_and_none_of_tomorrow(chat: Chat) -> None:
    publish(chat, 6)
    text = chat.say("公告")
    assert "正文5" in text
    assert text.index("公告5") < text.index("公告4") < text.index("公告1")
    assert "公告0" not in text
    assert "明天" not in text
    assert f"{BASE_URL}/h5/notices" in text


def test_without_notices_that_is_said(chat: Chat) -> None:
    assert "没有公告" in chat.say("gg")


def test_a_long_notice_fits_into_a_reply_and_brings_no_markup(chat: Chat) -> None:
    publish(chat, 5, title="长" * 64, body='<a href="http://evil.example">' + "文" * 5000)
    text = chat.say("公告")
    assert len(text.encode()) <= MAX_BYTES
    assert '<a href="http://evil' not in text


@pytest.mark.parametrize(
    ("said", "first"),
    [
        ("我的余额还有多少", "余额"),
        ("充直", "充值"),
        ("chongzi", "充值"),
        ("看看充值记录吧", "记录"),
        ("流量还剩多少呀", "流量"),
        ("怎样解绑", "解绑"),
        ("套餐包", "套餐"),
        ("公告呢", "公告"),
    ],
)
def test_the_nearest_guess_comes_first(chat: Chat, said: str, first: str) -> None:
    offered = taps(chat.say(said))
    assert offered[0] == first
    assert len(offered) == 4


def test_a_bare_number_may_be_an_amount(chat: Chat) -> None:
    assert taps(chat.say("20"))[0] == "充值20"
    assert "充值2400101001" not in taps(chat.say("2400101001"))


def test_guesses_are_three_different_topics() -> None:
    assert len(set(nearest("什么"))) == 3
    assert len({topic[0] for topic in TOPICS}) == len(TOPICS)


@pytest.mark.parametrize("kind", ["image", "voice", "video", "shortvideo", "location", "link"])
def test_what_is_no_text_gets_a_gentle_word(chat: Chat, kind: str) -> None:
    answer = chat.message(kind)
    assert isinstance(answer, Text)
    assert taps(answer.content)[:3] == ["充值", "余额", "套餐"]


@pytest.mark.parametrize("name", ["view", "location", "templatesendjobfinish", "never_seen_before"])
def test_events_that_nobody_waits_for_stay_silent(chat: Chat, name: str) -> None:
    assert chat.event(name, "https://net.example.edu/h5/recharge") == Silence()


def test_a_broadcast_result_stays_silent(chat: Chat) -> None:
    fields = {"MsgID": "1000001", "Status": "send success", "TotalCount": "3", "SentCount": "3"}
    assert chat.event("masssendjobfinish", **fields) == Silence()


def test_an_old_menu_key_is_not_met_with_silence(chat: Chat) -> None:
    assert taps(chat.tap("A_KEY_OF_LAST_YEAR"))


def test_every_word_is_answered_within_the_limit_on_a_long_address(bound: Chat) -> None:
    long_name = replace(SITE, base_url="https://a-rather-long-host-name.of-some.university.example.edu.cn")
    bound.services = replace(bound.services, site=long_name)
    sizes = {said: len(bound.say(said).encode()) for said in spoken()}
    assert min(sizes.values()) > 0
    assert max(sizes.values()) <= MAX_BYTES, max(sizes, key=lambda said: sizes[said])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    texts=st.lists(st.text(max_size=60) | st.sampled_from([*spoken(), "确认", "5", "2400101002"]), max_size=6)
)
def test_whatever_is_said_gets_an_answer_that_fits(bound: Chat, texts: list[str]) -> None:
    for said in texts:
        text = bound.say(said)
        assert text.strip()
        assert len(text.encode(errors="replace")) <= MAX_BYTES


@pytest.mark.parametrize("name", OTHER_STATES)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(said=st.text(max_size=2500))
def test_no_state_is_silent(bound: Chat, name: str, said: str) -> None:
    bound.state.enter(name, {"account_no": "2400101002", "masked_name": "*芳", "amount_fen": "500"})
    assert bound.say(said).strip()
    bound.say("取消")
