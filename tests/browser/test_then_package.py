"""充值并换购: from a balance that is too low to a running package, at the desk and on the phone."""

from __future__ import annotations

from playwright.sync_api import Browser, expect
from sqlalchemy import update

from models.package import Package
from tests.browser.conftest import Hold
from tests.browser.desk import desktop
from tests.browser.looks import broken_figures, complaints, shots_folder, too_wide
from tests.browser.screen import PATIENCE_MS, Screen
from tests.browser_rig import NEEDS_BROWSER
from tests.journeys.town import Town

pytestmark = NEEDS_BROWSER

PACKAGE = "20元不限量套餐"


def look_at(screen: Screen, name: str) -> list[str]:
    """A picture of the phone, and what is wrong with the page on it."""
    expect(screen.page.locator("#toast")).to_be_empty()
    found, frame = [], screen.frame()
    for scheme in ("light", "dark"):
        screen.page.emulate_media(color_scheme=scheme)
        screen.page.locator("#phone").screenshot(path=shots_folder() / f"then-{name}-{scheme}.png")
        found += too_wide(frame, name) + broken_figures(frame, name) + complaints(frame, f"{name} {scheme}")
    return found


def wish(screen: Screen) -> None:
    """From the catalogue inside WeChat to the page that pays."""
    screen.say("换购", "需连接校园网").get_by_role("button", name="去换购").click()
    screen.log_in()
    offer = screen.web.get_by_role("listitem").filter(has_text=PACKAGE)
    offer.get_by_role("link", name="余额不足：充值并换购").click()
    expect(screen.heading).to_have_text("网费充值")
    expect(screen.web.get_by_text("账户余额还差 ¥7.66")).to_be_visible()
    expect(screen.web.get_by_role("radio", name="8 元")).to_be_checked()


def test_what_is_missing_is_paid_and_the_package_follows(town: Town, hold: Hold) -> None:
    student = town.newcomer().bound()
    screen = hold(student, reduced_motion="reduce")
    wish(screen)
    found = look_at(screen, "recharge")
    screen.web.get_by_role("button", name="下一步，核对 ¥8.00").click()
    expect(screen.heading).to_have_text("请核对")
    expect(screen.web.get_by_role("main")).to_contain_text(f"到账后换购{PACKAGE}")
    found += look_at(screen, "pay")
    screen.pay("8.00")
    screen.expect_success()
    # The page follows the swap by itself, after the money.
    expect(screen.web.get_by_text(f"换购成功：{PACKAGE}")).to_be_visible(timeout=PATIENCE_MS)
    expect(screen.web.locator("[data-status]")).to_have_text("已到账，换购成功")
    found += look_at(screen, "done")
    screen.back_to_chat()
    screen.wait_for("换购成功", PACKAGE, "余额：0.34 元")
    assert screen.ask_balance_fen() == 34
    assert found == []


def test_a_swap_that_is_refused_leaves_the_money_and_says_why(town: Town, hold: Hold) -> None:
    student = town.newcomer().bound()
    screen = hold(student, reduced_motion="reduce")
    wish(screen)
    screen.web.get_by_role("button", name="下一步，核对 ¥8.00").click()
    expect(screen.heading).to_have_text("请核对")
    price(town, 2500)
    try:
        screen.pay("8.00")
        screen.expect_success()
        told = f"{PACKAGE}未能换购：套餐价格已变动。充值的 ¥8.00 已留在账户余额中，可以重新换购。"
        expect(screen.web.get_by_text(told)).to_be_visible(timeout=PATIENCE_MS)
    finally:
        price(town, 2000)
    assert look_at(screen, "refused") == []
    screen.back_to_chat()
    screen.wait_for("套餐未能换购", "原因：套餐价格已变为 25.00 元")
    assert screen.ask_balance_fen() == 2034


def test_the_desk_shows_a_code_that_leads_there(town: Town, browser: Browser, hold: Hold) -> None:
    student = town.newcomer().bound()
    page = desktop(town, browser, student)
    page.goto(f"{town.rig.origin}/self/packages")
    offer = page.get_by_role("listitem").filter(has_text=PACKAGE)
    offer.get_by_role("link", name="余额不足：充值并换购").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("充值并换购")
    expect(page.get_by_role("main")).to_contain_text("充值金额¥8.00")
    expect(page.get_by_role("img", name="手机充值二维码")).to_be_visible()
    found = []
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        page.screenshot(path=shots_folder() / f"then-desk-{scheme}.png", full_page=True)
        found += too_wide(page.main_frame, "desk") + complaints(page.main_frame, f"desk {scheme}")
    page.context.close()
    assert found == []

    # Somebody else scans it: the whole price, and not a word about the balance.
    friend = hold(town.newcomer().bound(), reduced_motion="reduce")
    friend.open(f"/h5/recharge?account={student.account_no}&package=P20")
    expect(friend.web.get_by_role("radio", name="20 元")).to_be_checked()
    expect(friend.web.get_by_text("到账后自动换购")).to_be_visible()
    expect(friend.web.get_by_text("还差")).to_have_count(0)
    assert look_at(friend, "for-a-friend") == []


def price(town: Town, price_fen: int) -> None:
    with town.house.database.transaction() as session:
        session.execute(update(Package).where(Package.code == "P20").values(price_fen=price_fen))
