"""What the account answers about accounts, traffic, notices and help: through the sandbox, in safe mode."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.phone import link_in
from billing.embedded.quota import gigabytes_to_bytes
from bot.menu import MENU, click_keys
from handlers import vocabulary
from models.money import mask_name
from models.notice import Notice
from models.package import Package
from tests.journeys.town import FAILED, NAME, Student, Town, taps, text_of, understood

OUR_CONTACTS = ("466522933", "0773-2290739")


def test_a_new_follower_gets_three_words_to_tap_and_the_way_to_bind(town: Town) -> None:
    student = town.newcomer()
    welcome = student.follow()
    assert "欢迎关注桂电校园网" in welcome
    assert taps(welcome) == ["充值", "余额", "套餐"]
    for words in taps(welcome):
        assert understood(student.tap(welcome, words))
    assert student.open(link_in(welcome, "/h5/bind")).status == 200


def test_the_qr_code_that_brought_somebody_is_remembered_until_they_leave(town: Town) -> None:
    student = town.newcomer()
    assert "欢迎关注" in student.follow("dorm-7")
    assert town.person(student).scene == "dorm-7"
    assert "欢迎来到" in text_of(student.push("scan", scene="room-110"))
    assert town.person(student).scene == "room-110"
    student.push("unfollow")
    assert town.person(student).scene is None


def test_binding_through_the_unified_identity_and_unbinding_in_two_taps(town: Town) -> None:
    student = town.newcomer()
    student.follow()
    page = student.open(link_in(student.say("绑定"), "/h5/bind"))
    assert page.status == 200
    student.bind()
    bound = student.say("绑定")
    assert student.account_no in bound
    asked = student.tap(bound, "解绑")
    assert taps(asked) == ["确认解绑", "取消"]
    assert "等您确认解绑" in student.say("什么意思")
    assert student.account_no in student.tap(asked, "确认解绑")
    assert "还没有绑定" in student.say("余额")
    assert "无需解绑" in student.say("解绑")


def test_unbinding_that_is_cancelled_keeps_the_binding(town: Town) -> None:
    student = town.newcomer().bound()
    student.tap(student.say("解绑"), "取消")
    assert "确认解绑" not in student.say("确认解绑")
    assert student.account_no in student.say("余额")


def test_whoever_had_the_account_before_is_told_of_the_next_one(town: Town) -> None:
    owner, other = town.newcomer().bound(), town.newcomer()
    other.follow()
    login = other.open("/h5/bind/login")
    done = other.submit(login, login.form(), username=owner.account_no, password=owner.password)
    assert owner.account_no in done.text
    told = owner.wait_for("另一个微信绑定")
    assert owner.account_no not in told
    assert owner.account_no[-4:] in told
    assert owner.account_no in other.say("余额")
    assert owner.account_no in owner.say("余额")


@pytest.mark.parametrize("words", ["余额", "查余额", "ye", "ＹＥ", " 余额 "])
def test_balance_tells_money_package_traffic_speed_and_when(town: Town, words: str) -> None:
    told = town.newcomer(daily_gb=(5,)).bound().say(words)
    for part in (
        "余额：12.34 元",
        mask_name(NAME),
        "当前套餐：",
        "高速流量剩余：25.0 GB",
        "网速：全速",
        "更新于 ",
    ):
        assert part in told


def test_balance_of_somebody_without_traffic_left_says_throttled(town: Town) -> None:
    told = town.newcomer(daily_gb=(31,)).bound().say("余额")
    assert "高速流量剩余：0.0 GB" in told
    assert "限速中" in told


def test_nobody_sees_a_balance_without_binding_or_of_a_typed_account(town: Town) -> None:
    owner, student = town.newcomer("钱大钱").bound(), town.newcomer()
    student.follow()
    unbound = student.say("余额")
    assert "还没有绑定" in unbound
    assert student.open(link_in(unbound, "/h5/bind")).status == 200
    student.bind()
    for words in (
        f"余额{owner.account_no}",
        f"余额 {owner.account_no}",
        f"ye {owner.account_no}",
        owner.account_no,
    ):
        told = student.say(words)
        assert told
        assert "12.34" not in told
        assert "大钱" not in told


def on_sale(town: Town) -> None:
    """A special that is sold now, and one that is not sold any more."""
    now = town.now()
    rows = (
        ("S-now", "开学季特惠包", now + timedelta(days=3)),
        ("S-old", "上月特惠包", now - timedelta(days=1)),
    )
    with town.house.database.transaction() as session:
        for code, name, until in rows:
            session.merge(
                Package(
                    code=code,
                    name=name,
                    price_fen=900,
                    quota_bytes=gigabytes_to_bytes(50),
                    validity_months=1,
                    special=True,
                    sale_from=now - timedelta(days=9),
                    sale_until=until,
                )
            )


@pytest.mark.parametrize("words", ["套餐", "换购", "内网服务"])
def test_packages_are_shown_with_the_specials_of_now_and_the_rule(town: Town, words: str) -> None:
    on_sale(town)
    student = town.newcomer()
    student.follow()
    told = student.say(words)
    for part in (
        "5元8GB",
        "10元20GB",
        "20元60GB",
        "30元120GB",
        "开学季特惠包",
        "9元",
        "50GB",
        "一次只能换购一个",
    ):
        assert part in told
    assert "上月特惠包" not in told
    assert link_in(told, "/go/packages")


def test_the_intranet_link_opens_on_campus_and_explains_itself_outside(town: Town) -> None:
    student = town.newcomer().bound()
    link = link_in(student.say("内网服务"), "/go/packages")
    student.network("mobile")
    outside = student.open(link)
    assert outside.status == 403
    assert "GUET-WiFi" in outside.text
    assert "/h5/recharge" in outside.text
    student.network("campus")
    inside = student.open(link)
    assert inside.status == 200
    assert "流量套餐" in inside.text
    assert student.account_no in inside.text


@pytest.mark.parametrize("words", ["流量", "用量"])
def test_traffic_of_this_month_with_the_chart(town: Town, words: str) -> None:
    student = town.newcomer(daily_gb=(7,)).bound()
    told = student.say(words)
    assert "本月已用：7.0 GB" in told
    assert "剩 23.0 / 30.0 GB" in told
    page = student.open(link_in(told, "/h5/usage"))
    assert page.status == 200
    assert "<svg" in page.text
    assert "7.0 GB" in page.text


def test_traffic_and_swaps_of_somebody_unbound_lead_to_binding(town: Town) -> None:
    student = town.newcomer()
    student.follow()
    for words in ("流量", "换购日志"):
        assert link_in(student.say(words), "/h5/bind")
    student.bind()
    assert "还没有换购记录" in student.say("换购日志")


def test_notices_are_shown_newest_first_with_their_page(town: Town) -> None:
    student = town.newcomer()
    student.follow()
    with town.house.database.transaction() as session:
        for hours, title in ((2, "旧公告"), (1, "周末<维护>通知"), (-1, "未来的公告")):
            at = town.now() - timedelta(hours=hours)
            session.add(Notice(title=title, body=f"{title}：周六 0 点至 2 点停网。", published_at=at))
    told = student.say("公告")
    assert told.index("维护") < told.index("旧公告")
    assert "停网" in told
    assert "未来的公告" not in told
    page = student.open(link_in(told, "/h5/notices/"))
    assert page.status == 200
    assert "周末&lt;维护&gt;通知" in page.text


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        ("资费", ("桂电网信〔2023〕2号", "30元120GB", "限速")),
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


def test_leaving_the_account_ends_the_binding(town: Town) -> None:
    student: Student = town.newcomer().bound()
    assert student.push("unfollow")["status"] == "silent"
    student.follow()
    assert "还没有绑定" in student.say("余额")
