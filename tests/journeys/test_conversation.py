"""What the account answers about accounts, traffic and notices: through the sandbox, in safe mode."""

from __future__ import annotations

from datetime import timedelta

import pytest

from app.phone import link_in
from billing.embedded.quota import gigabytes_to_bytes
from models.money import mask_name
from models.notice import Notice
from models.package import Package
from tests.journeys.town import NAME, Student, Town, taps, text_of, understood


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
        "5元不限量套餐（8GB）",
        "10元不限量套餐（20GB）",
        "20元不限量套餐（60GB）",
        "30元不限量套餐（120GB）",
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
    assert "在售流量包" in inside.text
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


def test_leaving_the_account_ends_the_binding(town: Town) -> None:
    student: Student = town.newcomer().bound()
    assert student.push("unfollow")["status"] == "silent"
    student.follow()
    assert "还没有绑定" in student.say("余额")
