"""A student at a desk and with the phone: swap a package, see it everywhere, wait for the next one."""

from __future__ import annotations

from playwright.sync_api import Browser, expect

from billing.embedded.usage import record_usage
from tests.browser.conftest import Hold
from tests.browser.desk import choose, desktop, fill_in
from tests.browser_rig import NEEDS_BROWSER, errors_of
from tests.journeys.town import Student, Town

pytestmark = NEEDS_BROWSER

GB = 10**9


def use_up(town: Town, student: Student, used_bytes: int) -> None:
    with town.house.database.transaction() as session:
        record_usage(session, student.account_no, used_bytes, town.now())


def test_a_swap_at_the_desk_from_login_to_the_next_package(town: Town, browser: Browser) -> None:
    student = town.newcomer()
    page = desktop(town, browser, student)
    errors = errors_of(page)
    choose(page)
    main = page.get_by_role("main")
    expect(main).to_contain_text("¥12.34 → ¥7.34")
    expect(main).to_contain_text("30.0 GB → 38.0 GB")
    fill_in(town, page)
    page.get_by_role("button", name="提交，换购 ¥5.00").dblclick()
    expect(page.get_by_role("heading", level=1)).to_have_text("换购成功")
    expect(main).to_contain_text("剩 8.0 / 8.0 GB")
    page.reload()
    expect(page.get_by_role("heading", level=1)).to_have_text("换购成功")

    menu = page.get_by_role("navigation", name="自助服务")
    menu.get_by_role("link", name="换购日志").click()
    expect(main.get_by_role("listitem")).to_have_count(1)
    expect(main.get_by_role("listitem")).to_contain_text("5元不限量套餐")
    menu.get_by_role("link", name="总览").click()
    expect(page.get_by_label("我的账号")).to_contain_text("7.34")
    menu.get_by_role("link", name="账单").click()
    expect(main.get_by_role("listitem").first).to_contain_text("-5.00")

    # Used up: the free grant first, then the package; only then another one may be bought.
    page.goto(f"{town.rig.origin}/self/packages/P05")
    expect(page.get_by_role("heading", level=1)).to_contain_text("当前流量包还剩 8.0 GB")
    use_up(town, student, 38 * GB)
    page.goto(f"{town.rig.origin}/self/")
    expect(main).to_contain_text("现在限速但不断网：本月赠送的高速流量已用完，流量包已用完")
    choose(page)
    fill_in(town, page)
    page.get_by_role("button", name="提交，换购 ¥5.00").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("换购成功")
    expect(main).to_contain_text("全速")
    assert len(town.house.web.billing.exchange_log(student.account_no)) == 2
    # A refused page is answered with an error status, which Chromium logs.
    assert [error for error in errors if "Failed to load resource" not in error] == []
    page.context.close()


def test_a_wrong_captcha_is_mended_and_can_be_heard(town: Town, browser: Browser) -> None:
    student = town.newcomer()
    page = desktop(town, browser, student)
    choose(page)
    page.get_by_label("验证码", exact=True).fill("0000")
    page.get_by_role("button", name="提交").click()
    expect(page.get_by_role("alert")).to_contain_text("验证码不对或已过期")
    expect(page.get_by_role("alert")).to_be_focused()
    loaded = page.get_by_label("听验证码").evaluate(
        """audio => new Promise((done) => {
          audio.onloadedmetadata = () => done(audio.duration);
          audio.onerror = () => done(0);
          audio.load();
          audio.preload = "metadata";
        })"""
    )
    assert loaded > 4
    fill_in(town, page)
    page.get_by_role("button", name="提交").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("换购成功")
    page.context.close()


def test_back_to_the_form_does_not_swap_again(town: Town, browser: Browser) -> None:
    student = town.newcomer()
    page = desktop(town, browser, student)
    choose(page)
    fill_in(town, page)
    page.get_by_role("button", name="提交").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("换购成功")
    page.go_back()
    expect(page.get_by_role("heading", level=1)).to_contain_text("当前流量包还剩 8.0 GB")
    assert len(town.house.web.billing.exchange_log(student.account_no)) == 1
    page.context.close()


def test_from_the_chat_to_a_swap_on_the_phone(town: Town, hold: Hold) -> None:
    student = town.newcomer().bound()
    screen = hold(student)
    screen.say("内网服务", "一次只能换购一个流量包").get_by_role("button", name="去换购").click()
    screen.log_in()
    expect(screen.heading).to_have_text("换购时长/流量包")
    choose(screen.web, by_menu=False)
    fill_in(town, screen.web)
    screen.web.get_by_role("button", name="提交").click()
    expect(screen.heading).to_have_text("换购成功")
    screen.back_to_chat()
    screen.menu("内网服务", "换购日志")
    screen.wait_for("最近的换购", "5元不限量套餐").get_by_role("button", name="全部换购日志").click()
    expect(screen.web.get_by_role("main")).to_contain_text("5元不限量套餐")
    screen.back_to_chat()
    screen.say("流量", "本月已用").get_by_role("button", name="流量使用详情").click()
    expect(screen.heading).to_have_text("流量使用详情")
    screen.back_to_chat()
    assert screen.ask_balance_fen() == 734


def test_the_portal_works_without_scripts(town: Town, browser: Browser) -> None:
    student = town.newcomer()
    page = desktop(town, browser, student, java_script_enabled=False)
    choose(page)
    fill_in(town, page)
    page.get_by_role("button", name="提交").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("换购成功")
    page.context.close()
