"""The phone in a real browser: chat, menu, pages and paying."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.browser.looks import shots_folder
from tests.browser_rig import NEEDS_BROWSER, chromium
from tests.sandbox.phone_rig import (
    World,
    follow,
    open_pay_page,
    opened,
    running_world,
    type_digits,
)

pytestmark = NEEDS_BROWSER


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with running_world() as started:
        yield started


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture
def page(world: World, browser: Browser) -> Iterator[Page]:
    with opened(world, browser) as (_, made):
        yield made


def test_five_students_and_the_banner_are_there(page: Page) -> None:
    expect(page.get_by_role("heading", name="模拟环境 · 不是真的微信")).to_be_visible()
    for student in ("xiaoming", "xiaohong", "dawei", "meiling", "laozhou"):
        expect(page.get_by_test_id(f"student-{student}")).to_be_visible()
    expect(page.get_by_test_id("student-xiaoming")).to_have_attribute("aria-pressed", "true")


def test_following_and_talking(page: Page) -> None:
    expect(page.get_by_test_id("chat-input")).to_be_disabled()
    follow(page)
    expect(page.get_by_test_id("follow")).to_have_text("取消关注")
    page.get_by_test_id("chat-input").fill("余额 <b>1</b>")
    page.get_by_test_id("chat-send").click()
    chat = page.get_by_test_id("chat")
    expect(chat.locator('[data-from="user"]')).to_have_text("余额 <b>1</b>")
    expect(chat.locator('[data-from="oa"]').last).to_contain_text("收到：余额 <b>1</b>")
    page.get_by_test_id("follow").click()
    expect(page.get_by_test_id("follow")).to_have_text("关注")


def test_only_two_kinds_of_link_pass_and_nothing_else_of_html(page: Page, world: World) -> None:
    follow(page)
    welcome = page.get_by_test_id("chat").locator('[data-from="oa"]').first
    expect(welcome).to_contain_text("坏链接 <b>粗</b> <img src=x onerror=alert(1)>")
    expect(welcome.locator("img, b, a, script")).to_have_count(0)
    expect(welcome.locator("button.word")).to_have_count(2)
    welcome.get_by_role("button", name="查余额").click()
    expect(page.get_by_test_id("chat")).to_contain_text("收到：余额")
    assert world.site.pushed[-1]["bizmsgmenuid"] == "7"
    welcome.get_by_role("button", name="去充值").click()
    expect(page.get_by_test_id("webview")).to_be_visible()


def test_menu_entries_click_and_open_pages(page: Page, world: World) -> None:
    follow(page)
    page.get_by_test_id("menu-1").click()
    page.get_by_test_id("menu-1-1").click()
    expect(page.get_by_test_id("chat")).to_contain_text("点了 USAGE")
    page.get_by_test_id("menu-2").click()
    expect(page.get_by_test_id("chat")).to_contain_text("点了 HELP")
    frame = open_pay_page(page)
    expect(frame.get_by_role("heading", name="网费充值")).to_be_visible()
    expect(page.locator("#web-title")).to_have_text("网费充值")
    page.get_by_test_id("webview-close").click()
    expect(page.get_by_test_id("chat")).to_be_visible()
    expect(page.get_by_test_id("webview")).to_be_hidden()
    assert any(fields.get("Event") == "VIEW" for fields in world.site.pushed)


def test_nobody_follows_before_the_people_are_there(page: Page) -> None:
    page.route("**/sim/students", lambda _route: None)
    page.reload()
    expect(page.get_by_test_id("follow")).to_be_disabled()
    expect(page.locator("#network")).to_be_disabled()
    page.unroute("**/sim/students")
    page.reload()
    follow(page)


def test_the_menu_works_by_keyboard(page: Page) -> None:
    follow(page)
    page.get_by_test_id("menu-1").focus()
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("menu-1-0")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("menu-1-0")).to_be_hidden()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("chat")).to_contain_text("点了 BALANCE")


def test_six_digits_pay_and_a_receipt_arrives(page: Page, world: World) -> None:
    follow(page)
    frame = open_pay_page(page)
    expect(frame.get_by_test_id("result")).to_have_text("ready")
    frame.get_by_role("button", name="微信支付").click()
    expect(page.get_by_test_id("pay-amount")).to_have_text("¥20.00")
    type_digits(page, "123456")
    expect(frame.get_by_test_id("result")).to_have_text("get_brand_wcpay_request:ok")
    expect(page.get_by_test_id("pay-sheet")).to_be_hidden()
    page.get_by_test_id("tab-chat").click()
    receipt = page.get_by_test_id("chat").locator('[data-from="pay"]')
    expect(receipt).to_contain_text("¥20.00")
    expect(page.locator('[data-testid="wire-row"][data-kind="pay.notify"]')).to_have_count(1)
    assert world.site.notices == 1


def test_the_sheet_can_be_typed_and_cancelled_by_keyboard(page: Page) -> None:
    follow(page)
    frame = open_pay_page(page)
    frame.get_by_role("button", name="微信支付").click()
    expect(page.get_by_test_id("pay-key-1")).to_be_focused()
    page.keyboard.type("12")
    page.keyboard.press("Escape")
    expect(frame.get_by_test_id("result")).to_have_text("get_brand_wcpay_request:cancel")
    frame.get_by_role("button", name="微信支付").click()
    expect(page.get_by_test_id("pay-sheet")).to_be_visible()
    page.keyboard.type("123456")
    expect(frame.get_by_test_id("result")).to_have_text("get_brand_wcpay_request:ok")


def test_somebody_else_s_order_fails_with_the_reason(page: Page) -> None:
    page.get_by_test_id("student-xiaohong").click()
    follow(page)
    frame = open_pay_page(page)
    frame.get_by_role("button", name="微信支付").click()
    expect(frame.get_by_test_id("result")).to_have_text("get_brand_wcpay_request:fail")
    expect(page.locator("#toast")).to_contain_text("openid")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_toast_stands_out_from_the_phone_and_can_be_read(
    world: World, browser: Browser, scheme: str
) -> None:
    with opened(world, browser, color_scheme=scheme) as (_, page):
        # Paying somebody else's order is refused with a toast.
        page.get_by_test_id("student-xiaohong").click()
        follow(page)
        open_pay_page(page).get_by_role("button", name="微信支付").click()
        toast = page.locator("#toast")
        expect(toast).to_contain_text("openid")
        page.locator("#phone").screenshot(path=shots_folder() / f"toast-{scheme}.png")
        text, box = toast.evaluate(
            "node => [getComputedStyle(node).color, getComputedStyle(node).backgroundColor]"
        )
        behind = page.locator("#phone").evaluate("node => getComputedStyle(node).backgroundColor")
        assert contrast(text, box) >= 4.5
        # WCAG 1.4.11: what has to be noticed.
        assert contrast(box, behind) >= 3
        # The page in the frame may keep to light.
        assert contrast(box, "rgb(255, 255, 255)") >= 3


def contrast(one: str, other: str) -> float:
    """WCAG's ratio of two opaque colours as the browser computes them."""
    dark, light = sorted((_luminance(one), _luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: str) -> float:
    found = re.fullmatch(r"rgb\((\d+), (\d+), (\d+)\)", colour)
    assert found is not None, f"{colour} is not opaque"
    parts = [int(part) / 255 for part in found.groups()]
    red, green, blue = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_close_window_closes_the_page(page: Page) -> None:
    follow(page)
    open_pay_page(page).get_by_role("button", name="关闭").click()
    expect(page.get_by_test_id("webview")).to_be_hidden()


def test_the_site_s_front_page_opens_in_the_frame_too(page: Page) -> None:
    page.get_by_test_id("webview-url").fill("/")
    page.get_by_role("button", name="打开").click()
    frame = page.frame_locator('[data-testid="webview-frame"]')
    expect(frame.get_by_role("heading", name="首页")).to_be_visible()


def test_outside_the_frame_the_bridge_asks_by_itself(world: World, browser: Browser) -> None:
    with opened(world, browser) as (_, page):
        page.goto(f"{world.sandbox.url}/sim/webview/open?student=xiaoming&url=/h5/pay")
        page.get_by_role("button", name="微信支付").click()
        expect(page.get_by_test_id("pay-amount")).to_have_text("¥20.00")
        page.get_by_test_id("pay-cancel").click()
        expect(page.get_by_test_id("result")).to_have_text("get_brand_wcpay_request:cancel")
        page.get_by_role("button", name="微信支付").click()
        page.get_by_test_id("pay-password").fill("123456")
        page.get_by_test_id("pay-confirm").click()
        expect(page.get_by_test_id("result")).to_have_text("get_brand_wcpay_request:ok")
