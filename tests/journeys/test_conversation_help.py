"""Help, the menu, and what is said when nothing else fits: through the sandbox, in safe mode."""

from __future__ import annotations

import pytest

from bot.menu import MENU, click_keys
from handlers import vocabulary
from tests.journeys.town import FAILED, Town, taps, text_of, understood

OUR_CONTACTS = ("466522933", "0773-2290739")


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("资费", ("桂电网信〔2023〕2号", "30元不限量套餐（120GB）", "限速")),
        ("流程", ("填写 → 支付 → 支付完成 → 后台充值处理 → 充值成功",)),
        ("线下", ("110室", "学号和姓名", "倍数", "原路退回")),
        ("帮助", ("充值", "余额", "公告")),
        ("常见问题", ("没到账", "限速")),
        ("联系我们", OUR_CONTACTS),
    ],
)
def test_questions_are_answered_from_the_leaflet(town: Town, words: str, parts: tuple[str, ...]) -> None:
    student = town.newcomer()
    student.follow()
    told = student.say(words)
    for part in parts:
        assert part in told


def test_a_human_takes_over_in_working_hours(town: Town) -> None:
    student = town.newcomer()
    student.follow()
    town.move_to(weekday=0, hour=10)
    assert student.push("text", text="客服")["reply"]["kind"] == "transfer"
    assert all(part in student.wait_for("人工客服") for part in OUR_CONTACTS)


@pytest.mark.parametrize(("weekday", "hour"), [(0, 22), (5, 10)], ids=["at night", "on Saturday"])
def test_nobody_is_there_outside_working_hours(town: Town, weekday: int, hour: int) -> None:
    student = town.newcomer()
    student.follow()
    town.move_to(weekday=weekday, hour=hour)
    told = student.say("客服")
    assert "不在服务时间" in told
    assert all(part in told for part in OUR_CONTACTS)


STRANGE = [
    "今天食堂吃什么",
    "看看充值记录吧",
    "😀😀",
    "。",
    "]]>",
    "<xml><a>1</a></xml>",
    "&lt;&#0;",
    "SELECT 1",
    "啊" * 600,
    "weixin://bizmsgmenu?msgmenucontent=x",
    "\u202e反过来",
    "https://example.com/?a=1&b=2",
]


@pytest.mark.parametrize("words", STRANGE, ids=range(len(STRANGE)))
def test_anything_else_gets_three_guesses_to_tap(town: Town, words: str) -> None:
    student = town.newcomer()
    student.follow()
    delivery = student.push("text", text=words)
    assert delivery["status"] == "replied"
    told = text_of(delivery)
    assert "没有听懂" in told
    guesses = taps(told)[:-1]
    assert len(guesses) == 3
    assert taps(told)[-1] == "帮助"
    assert understood(student.tap(told, guesses[0]))


def test_every_word_of_the_vocabulary_is_answered(town: Town) -> None:
    student = town.newcomer().bound()
    for topic in (*vocabulary.TOPICS, vocabulary.OTHER_AMOUNT, vocabulary.CANCEL):
        for words in topic:
            delivery = student.push("text", text=words)
            assert delivery["status"] == "replied", words
            assert delivery["reply"]["kind"] in {"text", "transfer"}
            assert not any(failed in text_of(delivery) for failed in FAILED), words


SAYS = {
    "RECHARGE_OTHER": "请输入要充值的校园网账号",
    "COUNTER": "110室",
    "BALANCE": "余额：12.34 元",
    "USAGE": "本月已用",
    "PACKAGES": "一次只能换购一个",
    "PACKAGE_LOG": "还没有换购记录",
    "BIND": "您已绑定",
    "FEES": "桂电网信〔2023〕2号",
    "STEPS": "充值流程",
    "FAQ": "问：",
    "NOTICES": "公告",
    "CONTACT": "0773-2290739",
}


def test_every_entry_of_the_pushed_menu_leads_somewhere(town: Town) -> None:
    student = town.newcomer().bound()
    town.house.push_menu()
    shown = [entry for button in student.api("GET", "/sim/menu")["button"] for entry in button["sub_button"]]
    assert len(shown) == sum(len(button.entries) for button in MENU)
    assert click_keys() == SAYS.keys()
    for entry in shown:
        if entry["type"] == "click":
            assert SAYS[entry["key"]] in student.click(entry["key"]), entry["name"]
        else:
            assert student.push("view", url=entry["url"])["status"] == "silent"
            assert student.open(entry["url"]).status == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"MsgType": "image", "PicUrl": "http://mmbiz.example/p.jpg", "MediaId": "m1"},
        {"MsgType": "voice", "MediaId": "m2", "Format": "amr"},
        {"MsgType": "location", "Location_X": 25.3, "Location_Y": 110.4, "Scale": 16, "Label": "花江校区"},
        {"MsgType": "link", "Title": "t", "Description": "d", "Url": "http://example.com/"},
        {"MsgType": "sticker", "Pack": "new in a later year"},
    ],
    ids=lambda fields: fields["MsgType"],
)
def test_what_is_no_text_gets_a_gentle_word(town: Town, fields: dict[str, object]) -> None:
    student = town.newcomer()
    student.follow()
    told = text_of(student.push("raw", fields=fields))
    assert "请打字" in told
    assert taps(told) == ["充值", "余额", "套餐", "客服"]


def test_a_position_reported_by_the_phone_itself_is_not_answered(town: Town) -> None:
    student = town.newcomer()
    student.follow()
    assert student.push("location")["status"] == "silent"
