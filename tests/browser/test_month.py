"""The month of one student, on the phone and at the desk: what tests/billing/test_month.py is to the engine.

Free traffic, slow, a package, slow again, a special, and the next month. The traffic arrives as the
network reports it, over HTTP and signed; time is moved for everybody at once.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Frame, Page, expect

from models.clock import CAMPUS_ZONE
from models.package import Package
from tests.browser.conftest import Hold
from tests.browser.desk import choose, desktop, fill_in, swap
from tests.browser.looks import broken_figures, complaints, shots_folder, too_wide
from tests.browser.nas import download
from tests.browser.screen import PATIENCE_MS, Screen
from tests.browser_rig import NEEDS_BROWSER
from tests.journeys.town import Student, Town

pytestmark = [*NEEDS_BROWSER, pytest.mark.long]

GB = 10**9
SPECIAL = "月末特惠"
RESTORED_EVERY = timedelta(minutes=3)
SCHEMES = ("light", "dark")


@dataclass
class Month:
    """The student's calendar, phone and desk, and a camera that takes each station in light and dark."""

    town: Town
    browser: Browser
    student: Student
    screen: Screen
    shots: Path
    found: list[str] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(1))

    def on(self, day: int) -> None:
        """It is noon of this day."""
        self.town.move_to_day(day)

    def use(self, size_gb: int) -> None:
        """Be on line for an hour, up to now."""
        download(self.town, self.student, size_gb * GB)

    def balance_says(self, *words: str) -> None:
        """Ask 余额 in the chat."""
        answer = self.screen.say("余额", "更新于")
        for part in words:
            expect(answer).to_contain_text(part)

    def told(self, *words: str, times: int = 1) -> None:
        """The account wrote of its own accord, this often by now."""
        expect(self.screen.messages(*words)).to_have_count(times, timeout=PATIENCE_MS)

    def wait_for_restored(self) -> None:
        """Let the time pass until somebody looks whether the line is fast again."""
        self.town.move(seconds=RESTORED_EVERY.total_seconds())

    def desk(self) -> Page:
        """A browser at a desk, logged in anew: a login lasts half an hour."""
        return desktop(self.town, self.browser, self.student)

    def tap_portal(self, answer: str, link: str, heading: str) -> None:
        """Say words, tap a link to the portal in the answer, and log in where it asks."""
        self.screen.say(answer, "需连接校园网").get_by_role("button", name=link).click()
        arrived = self.screen.heading.filter(has_text=heading)
        asked = self.screen.heading.filter(has_text="统一身份认证")
        expect(arrived.or_(asked)).to_be_visible(timeout=PATIENCE_MS)
        if asked.is_visible():
            self.screen.log_in()
        expect(self.screen.heading).to_have_text(heading)

    def shoot_chat(self, name: str) -> None:
        """The end of the conversation."""
        self.screen.chat.evaluate("chat => { chat.scrollTop = chat.scrollHeight }")
        self._shoot_phone(name)

    def shoot_phone(self, name: str) -> None:
        """The page in the phone; nothing cut off, nothing that axe complains about."""
        self._shoot_phone(name, self.screen.frame())

    def shoot_desk(self, page: Page, name: str) -> None:
        """The whole page at the desk, looked at as on the phone."""
        place = self.shots / f"month-{next(self._numbers):02d}-desk-{name}"
        for scheme in SCHEMES:
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            page.screenshot(path=f"{place}-{scheme}.png", full_page=True)
            self.found += too_wide(page.main_frame, name) + complaints(page.main_frame, f"{name} {scheme}")

    def _shoot_phone(self, name: str, frame: Frame | None = None) -> None:
        place = self.shots / f"month-{next(self._numbers):02d}-phone-{name}"
        expect(self.screen.page.locator("#toast")).to_be_empty()
        for scheme in SCHEMES:
            self.screen.page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            self.screen.page.locator("#phone").screenshot(path=f"{place}-{scheme}.png")
            if frame is not None:
                self.found += too_wide(frame, name) + broken_figures(frame, name)
                self.found += complaints(frame, f"{name} {scheme}")


@pytest.fixture
def month(town: Town, browser: Browser, hold: Hold) -> Month:
    """The first of a month, noon; a special is going to be on sale from the 20th to the 26th."""
    town.move_to_day(1)
    midnight = town.now().astimezone(CAMPUS_ZONE).replace(hour=0, minute=0, second=0)
    with town.house.database.transaction() as session:
        session.add(
            Package(
                code="S1", name=SPECIAL, price_fen=900, quota_bytes=40 * GB, validity_months=1, special=True,
                sale_from=midnight.replace(day=20), sale_until=midnight.replace(day=27),
                stock_left=10, limit_each=1,
            )
        )  # fmt: skip
    student = town.newcomer().bound()
    screen = hold(student, reduced_motion="reduce")
    return Month(town, browser, student, screen, shots_folder())


def test_a_month_from_the_free_traffic_to_the_next_one(month: Month) -> None:
    free_traffic_until_it_is_used_up(month)
    a_package_makes_it_fast_again(month)
    one_package_at_a_time(month)
    more_money_and_a_special(month)
    the_next_month(month)
    assert month.found == []


def free_traffic_until_it_is_used_up(month: Month) -> None:
    screen = month.screen
    month.balance_says("余额：12.34 元", "高速流量剩余：30.0 GB", "网速：全速")
    month.shoot_chat("granted")

    month.on(8)
    month.balance_says("网速：全速")
    month.use(25)
    month.told("流量提醒", "已用 80%，还剩 5.0 GB")
    month.use(6)
    month.told("流量提醒", "高速流量没有了：网速已放慢，不会断网")
    month.balance_says("高速流量剩余：0.0 GB", "网速：限速中（本月赠送的高速流量已用完，不断网）")
    month.shoot_chat("throttled")
    screen.say("流量", "本月已用：31.0 GB").get_by_role("button", name="查看每日用量").click()
    expect(screen.web.get_by_role("main")).to_contain_text("本月赠送的高速流量已用完")
    month.shoot_phone("usage-throttled")
    screen.back_to_chat()
    page = month.desk()
    expect(page.get_by_role("main")).to_contain_text("现在限速但不断网：本月赠送的高速流量已用完")
    month.shoot_desk(page, "overview-throttled")
    page.context.close()


def a_package_makes_it_fast_again(month: Month) -> None:
    month.on(9)
    page = month.desk()
    choose(page)
    expect(page.get_by_role("main")).to_contain_text("¥12.34 → ¥7.34")
    expect(page.get_by_role("main")).to_contain_text("0.0 GB → 8.0 GB")
    month.shoot_desk(page, "swap-form")
    swap(month.town, page)
    expect(page.get_by_role("main")).to_contain_text("全速")
    month.shoot_desk(page, "swapped")
    page.context.close()
    month.wait_for_restored()
    month.told("网速恢复", "高速流量还有 8.0 GB")
    month.balance_says("余额：7.34 元", "5元不限量套餐：剩 8.0 / 8.0 GB", "网速：全速")
    month.shoot_chat("restored")


def one_package_at_a_time(month: Month) -> None:
    screen = month.screen
    month.on(12)
    month.use(5)
    month.balance_says("高速流量剩余：3.0 GB", "网速：全速")
    month.tap_portal("换购", "去换购", "换购时长/流量包")
    expect(screen.web.get_by_role("link", name="选择")).to_have_count(0)
    expect(screen.web.get_by_text("用完当前流量包后可换购")).to_have_count(4)
    month.shoot_phone("packages-while-one-runs")
    screen.open("/self/packages/P05")
    expect(screen.heading).to_contain_text("当前流量包还剩 3.0 GB")
    month.shoot_phone("refused")
    screen.back_to_chat()

    month.on(15)
    month.balance_says("网速：全速")
    month.use(10)
    month.told("流量提醒", "5元不限量套餐已用完，高速流量没有了")
    month.balance_says("网速：限速中（本月赠送的高速流量已用完，流量包已用完，不断网）")
    page = month.desk()
    why = "现在限速但不断网：本月赠送的高速流量已用完，流量包已用完"
    expect(page.get_by_role("main")).to_contain_text(why)
    page.goto(f"{month.town.rig.origin}/self/packages")
    # Used up: the next one may be had, the special is not on sale yet.
    expect(page.get_by_role("link", name="选择")).to_have_count(1)
    expect(page.get_by_role("main")).to_contain_text("5元不限量套餐，已用完，")
    expect(page.get_by_role("main")).not_to_contain_text(SPECIAL)
    month.shoot_desk(page, "packages-when-used-up")
    page.context.close()


def more_money_and_a_special(month: Month) -> None:
    screen = month.screen
    month.on(21)
    screen.tap(screen.say("充值5", "请核对充值信息"), "确认", "点此支付").get_by_role(
        "button", name="点此支付 5.00 元"
    ).click()
    screen.pay("5.00")
    screen.expect_success()
    month.shoot_phone("recharged")
    screen.back_to_chat()
    month.told("充值到账", "余额：12.34 元")
    screen.say("套餐", f"【特惠】{SPECIAL}")
    month.tap_portal("换购", "去换购", "换购时长/流量包")
    expect(screen.web.get_by_role("list").get_by_role("heading").first).to_contain_text(SPECIAL)
    screen.web.locator("#packages").scroll_into_view_if_needed()
    month.shoot_phone("special")
    choose(screen.web, SPECIAL, by_menu=False)
    fill_in(month.town, screen.web)
    month.shoot_phone("special-form")
    screen.web.get_by_role("button", name="提交，换购 ¥9.00").click()
    expect(screen.heading).to_have_text("换购成功")
    month.shoot_phone("special-swapped")
    screen.back_to_chat()
    month.wait_for_restored()
    month.told("网速恢复", "高速流量还有 40.0 GB")
    month.balance_says("余额：3.34 元", f"{SPECIAL}：剩 40.0 / 40.0 GB", "网速：全速")


def the_next_month(month: Month) -> None:
    screen = month.screen
    month.on(28)
    month.use(10)
    month.on(1)
    month.balance_says("余额：3.34 元", "高速流量剩余：60.0 GB", "网速：全速")
    month.use(25)
    month.told("流量提醒", "已用 80%，还剩 5.0 GB", times=2)
    month.use(6)
    month.told("流量提醒", "已用完，接下来使用其余的高速流量")
    month.shoot_chat("next-month")
    screen.say("流量", "本月已用：31.0 GB").get_by_role("button", name="查看每日用量").click()
    expect(screen.web.get_by_role("img", name="每天用量柱状图")).to_be_visible()
    month.shoot_phone("usage-next-month")
    screen.back_to_chat()
    month.tap_portal("流量", "流量使用详情", "流量使用详情")
    month.shoot_phone("days")
    screen.back_to_chat()
    page = month.desk()
    for name, there in (("traffic", "剩 29.0 / 40.0 GB"), ("usage", "限速"), ("statement", "换购套餐")):
        page.goto(f"{month.town.rig.origin}/self/{name}")
        expect(page.get_by_role("main")).to_contain_text(there)
        month.shoot_desk(page, name)
    page.goto(f"{month.town.rig.origin}/self/log")
    expect(page.get_by_role("main").get_by_role("listitem")).to_contain_text([SPECIAL, "5元不限量套餐"])
    month.shoot_desk(page, "log")
    page.context.close()

    # The special ended on the 21st; what was left of it is gone, and so is this month's grant.
    month.on(22)
    month.balance_says("当前套餐：无", "高速流量剩余：0.0 GB", "网速：限速中")
