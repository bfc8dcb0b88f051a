"""The table of routes, and WeRoBot's decorators after it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from redis import Redis
from werobot.replies import Article as WerobotArticle
from werobot.replies import ArticlesReply, ImageReply, MusicReply, SuccessReply, TransferCustomerServiceReply

from bot.context import Answer, Handler, Text
from bot.index import Index
from bot.robot import build_robot
from bot.routes import Route, click, event, otherwise, pattern, state, words
from tests.bot.bot_pushes import (
    NOW,
    Ctx,
    Phone,
    echo,
    event_xml,
    make_phone,
    opened,
    signed,
    text_xml,
    xml_of,
)


def say(what: str) -> Handler[Any]:
    def handler(ctx: Ctx) -> Answer:
        del ctx
        return Text(what)

    return handler


def robot_of(phone: Phone) -> Any:
    return phone.callback._desk.robot


TABLE: tuple[Route[Any], ...] = (
    pattern(say("充值金额"), r"(?:充值|cz) ?(\d+)元?"),
    pattern(say("任何数"), r"(?P<digits>\d+)", r"\d+元"),
    pattern(say("充值什么"), r"充值.*"),
    words(say("余额"), "余额", "YE", "查 余额"),
    click(say("点余额"), "BALANCE"),
    event(say("欢迎"), "subscribe", "SCAN"),
    otherwise(say("没听懂")),
)


@pytest.mark.parametrize(
    ("typed", "answer"),
    [
        ("余额", "余额"),
        (" ye ", "余额"),
        ("ＹＥ", "余额"),
        ("查\u3000余额", "余额"),
        ("充值5", "充值金额"),
        ("CZ５元", "充值金额"),
        ("5元", "任何数"),
        ("12", "任何数"),
        ("充值很多", "充值什么"),
        ("余额?", "没听懂"),
        ("", "没听懂"),
        ("5\n6", "没听懂"),
    ],
)
def test_words_come_before_patterns_and_patterns_in_their_order(
    redis: Redis, typed: str, answer: str
) -> None:
    assert make_phone(redis, *TABLE).say(typed) == answer


def test_taps_and_events_have_their_own_tables(redis: Redis) -> None:
    phone = make_phone(redis, *TABLE)
    assert phone.send(event_xml("CLICK", "BALANCE")) == (200, "点余额")
    assert phone.send(event_xml("CLICK", "UNKNOWN")) == (200, "没听懂")
    assert phone.send(event_xml("subscribe")) == (200, "欢迎")
    assert phone.send(event_xml("SCAN", "3")) == (200, "欢迎")
    assert phone.send(event_xml("VIEW", "https://x.test/")) == (200, "success")


def test_pictures_are_no_silence(redis: Redis) -> None:
    picture = xml_of(
        ToUserName="gh_campus",
        FromUserName="oA",
        CreateTime="1",
        MsgType="image",
        PicUrl="u",
        MediaId="m",
        MsgId="5",
    )
    assert make_phone(redis, *TABLE).send(picture) == (200, "没听懂")


@pytest.mark.parametrize(
    "routes",
    [
        (),
        (otherwise(echo), otherwise(echo)),
        (otherwise(echo), words(echo, "a"), words(echo, "Ａ")),
        (otherwise(echo), click(echo, "A", "A")),
        (otherwise(echo), state(echo, "a"), state(echo, "a")),
        (otherwise(echo), event(echo, "SCAN"), event(echo, "scan")),
    ],
    ids=[
        "none",
        "two otherwise",
        "word twice",
        "click twice",
        "state twice",
        "event twice",
    ],
)
def test_a_table_that_contradicts_itself_stops_the_start(routes: tuple[Route[Any], ...]) -> None:
    with pytest.raises(ValueError, match=r"twice|exactly one"):
        Index(routes)


@pytest.mark.parametrize("regex", [r"(a)\1", r"(?=a)a", r"(?<!a)b", "(", r"(?P<x>a)(?P=x)"])
def test_a_pattern_that_could_take_more_than_linear_time_stops_the_start(regex: str) -> None:
    with pytest.raises(ValueError, match="RE2"):
        pattern(echo, regex)


def test_decorated_handlers_answer_what_the_table_does_not(redis: Redis) -> None:
    phone = make_phone(redis, *TABLE)
    robot = robot_of(phone)

    @robot.filter(re.compile("^天气"))  # type: ignore[untyped-decorator]
    def weather(message: Any) -> str:
        return f"晴 {message.source}"

    @robot.key_click("MORE")  # type: ignore[untyped-decorator]
    def more(message: Any) -> str:
        return f"更多 {message.key}"

    @robot.text  # type: ignore[untyped-decorator]
    def shadowed(message: Any, session: Any) -> str | None:
        assert session is None
        return "文字" if message.content == "余额" else None

    assert phone.say("天气如何") == "晴 oStudent-0001"
    assert phone.say("余额") == "余额"
    assert phone.say("别的") == "没听懂"
    assert phone.say("") == "没听懂"
    assert phone.send(event_xml("CLICK", "MORE")) == (200, "更多 MORE")


def test_decorators_hear_events_werobot_does_not_know(redis: Redis) -> None:
    phone = make_phone(redis, *TABLE)
    robot = robot_of(phone)
    heard: list[str] = []
    robot.unknown_event(lambda message: heard.append(message.type))
    robot.add_handler(lambda message: heard.append(message.Status), type="masssendjobfinish_event")
    phone.send(event_xml("brand_new"))
    phone.send(event_xml("MASSSENDJOBFINISH", MsgID="1", Status="send success"))
    assert heard == ["brand_new_event", "send success"]


def test_a_picture_event_without_pictures_is_survived(redis: Redis) -> None:
    phone = make_phone(redis, *TABLE)
    heard: list[str] = []
    robot_of(phone).handler(lambda message: heard.append(message.source))
    assert phone.send(event_xml("pic_weixin", "6")) == (200, "success")
    assert heard == ["oStudent-0001"]


def test_a_raising_decorated_handler_is_confessed(redis: Redis) -> None:
    phone = make_phone(redis, *TABLE)
    robot_of(phone).text(lambda _: 1 / 0)
    assert "E-" in phone.say("别的")


def _articles(message: Any) -> ArticlesReply:
    reply = ArticlesReply(message=message)
    reply.add_article(WerobotArticle(title="题]]>", description="d", img="i", url="u"))
    return reply


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (_articles, {"MsgType": "news", "ArticleCount": "1"}),
        (lambda _: [["t", "d", "i", "u"]], {"MsgType": "news", "ArticleCount": "1"}),
        (lambda m: ImageReply(message=m, media_id="m"), {"MsgType": "image", "Image": {"MediaId": "m"}}),
        (
            lambda m: MusicReply(message=m, title="t", description="d", url="u"),
            {
                "MsgType": "music",
                "Music": {"Title": "t", "Description": "d", "MusicUrl": "u", "HQMusicUrl": "u"},
            },
        ),
        (
            lambda m: TransferCustomerServiceReply(message=m, account="kf@x"),
            {"MsgType": "transfer_customer_service", "TransInfo": {"KfAccount": "kf@x"}},
        ),
    ],
)
def test_replies_of_werobot_are_rendered_by_us(redis: Redis, reply: Any, expected: dict[str, Any]) -> None:
    phone = make_phone(redis, *TABLE)
    robot_of(phone).text(reply)
    query, body = signed(text_xml("别的"))
    fields = opened(phone.callback.handle(query, body)[1], query)
    assert {name: fields[name] for name in expected} == expected
    assert fields["ToUserName"] == "oStudent-0001"


def test_success_reply_is_success(redis: Redis) -> None:
    phone = make_phone(redis, *TABLE)
    robot_of(phone).text(lambda m: SuccessReply(message=m))
    assert phone.send(text_xml("别的")) == (200, "success")


def test_the_robot_opens_no_storage() -> None:
    robot = build_robot([otherwise(echo)], None)
    assert robot.session_storage is None
    assert NOW is not None
