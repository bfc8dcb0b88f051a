"""账户充值 at the desk: the code stays open, the phone pays, and the page says so by itself."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.conftest import Hold
from tests.browser.desk import desktop
from tests.browser.looks import broken_figures, complaints, shots_folder, too_wide
from tests.browser.screen import PATIENCE_MS, Screen
from tests.browser_rig import NEEDS_BROWSER, errors_of
from tests.journeys.town import Student, Town

pytestmark = NEEDS_BROWSER

PHONE, DESK = {"width": 390, "height": 844}, {"width": 1280, "height": 900}


def look_at(page: Page, name: str) -> list[str]:
    """Pictures of the page in every width and colour, and what is wrong with them."""
    found = []
    for width in (PHONE, DESK):
        page.set_viewport_size(width)  # type: ignore[arg-type]
        for scheme in ("light", "dark"):
            page.emulate_media(color_scheme=scheme)
            label = f"{name}-{width['width']}-{scheme}"
            page.screenshot(path=shots_folder() / f"recharge-{label}.png", full_page=True)
            frame = page.main_frame
            found += too_wide(frame, label) + broken_figures(frame, label) + complaints(frame, label)
    return found


def scan_and_pay(hold: Hold, student: Student, path: str, sum_yuan: str) -> Screen:
    """What the phone does with the code."""
    screen = hold(student, reduced_motion="reduce")
    screen.open(path)
    screen.web.get_by_role("button", name=f"下一步，核对 ¥{sum_yuan}").click()
    expect(screen.heading).to_have_text("请核对")
    screen.pay(sum_yuan)
    return screen


def test_the_page_with_the_code_says_that_the_money_has_arrived(
    town: Town, browser: Browser, hold: Hold
) -> None:
    student = town.newcomer().bound()
    page = desktop(town, browser, student)
    errors = errors_of(page)
    page.goto(f"{town.rig.origin}/self/recharge?amount=2000")
    expect(page.get_by_role("img", name="手机充值二维码")).to_be_visible()
    found = look_at(page, "waiting")
    scan_and_pay(hold, student, f"/h5/recharge?account={student.account_no}&amount=20", "20.00")
    title = page.get_by_role("heading", level=2, name="已到账")
    expect(title).to_be_visible(timeout=PATIENCE_MS)
    expect(page.get_by_role("status")).to_have_text("已到账")
    expect(page.get_by_role("main")).to_contain_text("充值后余额¥32.34")
    expect(page.get_by_role("list", name="充值进度").locator("li.done")).to_have_count(4)
    expect(page.get_by_role("img", name="手机充值二维码")).to_have_count(0)
    found += look_at(page, "arrived")
    page.reload()
    expect(title).to_be_visible()
    assert (errors, found) == ([], [])
    page.context.close()


# What a page says without a script is proved in tests/web as well; this is the whole way.
@pytest.mark.long
def test_a_friend_pays_for_a_package_and_the_desk_sees_the_swap(
    town: Town, browser: Browser, hold: Hold
) -> None:
    student, friend = town.newcomer(), town.newcomer("欧阳小小红").bound()
    page = desktop(town, browser, student, java_script_enabled=False)
    page.goto(f"{town.rig.origin}/self/recharge?package=P20")
    page.get_by_role("link", name="刷新支付结果").click()
    expect(page.get_by_role("img", name="手机充值二维码")).to_be_visible()
    screen = hold(friend, reduced_motion="reduce")
    screen.open(f"/h5/recharge?account={student.account_no}&package=P20")
    screen.web.get_by_label("再输入一次").fill(student.account_no)
    screen.web.get_by_text("我已核对").click()
    screen.web.get_by_role("button", name="下一步，核对 ¥20.00").click()
    screen.pay("20.00")
    screen.expect_success()
    expect(screen.web.get_by_text("换购成功：20元不限量套餐")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("link", name="刷新支付结果").click()
    main = page.get_by_role("main")
    for words in ("已到账", "换购成功：20元不限量套餐", "付款人*小红 代付"):
        expect(main).to_contain_text(words)
    page.context.close()
