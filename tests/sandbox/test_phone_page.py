"""The phone page in a real browser: chat, menu, pages, paying, log, looks."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from sandbox.engine import Site
from sandbox.server import Sandbox
from tests.sandbox.pay_rig import Merchant, credentials, wait_until
from tests.sandbox.phone_site import PhoneSite

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium on PATH"),
]

MENU: list[dict[str, Any]] = [
    {"name": "网费充值", "sub_button": [{"type": "view", "name": "立即充值", "url": "URL"}]},
    {
        "name": "内网服务",
        "sub_button": [
            {"type": "click", "name": "查余额", "key": "BALANCE"},
            {"type": "click", "name": "流量用量", "key": "USAGE"},
        ],
    },
    {"name": "服务帮助", "type": "click", "key": "HELP"},
]


class World:
    """Sandbox, tiny site and the merchant that places orders for it."""

    def __init__(self) -> None:
        self.site = PhoneSite()
        target = Site(self.site.origin, f"{self.site.origin}/wechat", message_mode="plain")
        self.sandbox = Sandbox(credentials(), target).start()
        self.merchant = Merchant(
            self.sandbox.url, f"{self.site.origin}/wechatpay/notify", self.sandbox.engine.stamp
        )
        self.xiaoming = self.sandbox.students.get("xiaoming")
        self.site.params = self.params

    def params(self) -> dict[str, str]:
        assert self.xiaoming is not None
        answer = self.merchant.prepay(
            f"P{secrets.token_hex(8)}",
            amount={"total": 2000},
            payer={"openid": self.xiaoming.openid},
        )
        return self.merchant.pay_params(answer.json()["prepay_id"])

    def fresh(self) -> None:
        requests.post(f"{self.sandbox.url}/sim/reset", timeout=5).raise_for_status()
        self.xiaoming = self.sandbox.students.get("xiaoming")
        self.site.pushed.clear()
        self.site.addresses.clear()
        self.site.notices = 0
        menu: list[dict[str, Any]] = [dict(entry) for entry in MENU]
        menu[0]["sub_button"] = [dict(MENU[0]["sub_button"][0], url=f"{self.site.origin}/h5/pay")]
        self.sandbox.oa.menu.buttons = menu

    def tell(self, text: str) -> None:
        """A customer-service message, over the API as a site sends it."""
        assert self.xiaoming is not None
        base = f"{self.sandbox.url}/cgi-bin"
        keys = credentials()
        token = requests.post(
            f"{base}/stable_token",
            json={"grant_type": "client_credential", "appid": keys.app_id, "secret": keys.app_secret},
            timeout=5,
        ).json()["access_token"]
        answer = requests.post(
            f"{base}/message/custom/send",
            params={"access_token": token},
            json={"touser": self.xiaoming.openid, "msgtype": "text", "text": {"content": text}},
            timeout=5,
        )
        assert answer.json()["errcode"] == 0

    def stop(self) -> None:
        self.merchant.http.close()
        self.sandbox.stop()
        self.site.stop()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    started = World()
    yield started
    started.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                "--disable-background-networking",
            ],
        )
        yield launched
        launched.close()


@contextmanager
def opened(world: World, browser: Browser, **options: Any) -> Iterator[tuple[BrowserContext, Page]]:
    """A fresh world on a fresh page; fails when the page logged an error."""
    world.fresh()
    context = browser.new_context(
        **({"viewport": {"width": 1280, "height": 900}, "locale": "zh-CN"} | options)
    )
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda line: errors.append(line.text) if line.type == "error" else None)
    page.goto(world.sandbox.url)
    yield context, page
    context.close()
    assert errors == []


@pytest.fixture
def page(world: World, browser: Browser) -> Iterator[Page]:
    with opened(world, browser) as (_, made):
        yield made


def follow(page: Page) -> None:
    page.get_by_test_id("follow").click()
    expect(page.get_by_test_id("chat")).to_contain_text("欢迎")


def open_pay_page(page: Page) -> Any:
    page.get_by_test_id("menu-0").click()
    page.get_by_test_id("menu-0-0").click()
    return page.frame_locator('[data-testid="webview-frame"]')


def type_digits(page: Page, digits: str) -> None:
    for digit in digits:
        page.get_by_test_id(f"pay-key-{digit}").click()


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


def test_a_service_message_appears_by_itself(page: Page, world: World) -> None:
    follow(page)
    world.tell("充值已到账 20.00 元")
    expect(page.get_by_test_id("chat")).to_contain_text("充值已到账 20.00 元")


def test_a_site_that_is_silent_shows_the_platform_s_words(page: Page) -> None:
    follow(page)
    for _ in range(3):
        page.get_by_test_id("fault-select").select_option("push-lost")
    expect(page.locator("#fault-list")).to_contain_text("推送丢失")
    page.get_by_test_id("chat-input").fill("余额")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("chat")).to_contain_text("该公众号提供的服务出现故障，请稍后再试")


def test_a_lost_notice_is_one_click(page: Page, world: World) -> None:
    follow(page)
    page.get_by_test_id("fault-notify-lost").click()
    expect(page.locator("#fault-list")).to_contain_text("支付通知丢失")
    frame = open_pay_page(page)
    frame.get_by_role("button", name="微信支付").click()
    type_digits(page, "000000")
    expect(frame.get_by_test_id("result")).to_have_text("get_brand_wcpay_request:ok")
    assert world.site.notices == 0
    page.get_by_test_id("fault-clear").click()
    expect(page.locator("#fault-list")).to_have_text("没有故障")


def test_the_network_button_changes_the_address_the_site_sees(page: Page, world: World) -> None:
    toggle = page.get_by_test_id("network-toggle")
    expect(toggle).to_contain_text("校园网")
    toggle.click()
    expect(toggle).to_contain_text("移动网络")
    page.get_by_test_id("webview-url").fill("/h5/pay")
    page.get_by_role("button", name="打开").click()
    frame = page.frame_locator('[data-testid="webview-frame"]')
    expect(frame.get_by_role("heading", name="网费充值")).to_be_visible()
    assert world.site.addresses[-1].startswith("203.0.113.")


def test_the_log_opens_filters_and_replays(page: Page, world: World) -> None:
    follow(page)
    row = page.locator('[data-testid="wire-row"][data-kind="push.subscribe"]')
    row.locator("summary").click()
    expect(row).to_contain_text("签名串")
    expect(row).to_contain_text("<Event>")
    row.get_by_test_id("wire-replay").click()
    expect(page.locator('[data-testid="wire-row"][data-kind="replay.push.subscribe"]')).to_be_visible()
    assert len(world.site.pushed) == 2
    page.get_by_test_id("wire-filter").fill("replay")
    expect(row).to_be_hidden()
    page.get_by_test_id("wire-filter").fill("")
    expect(row).to_be_visible()


def test_an_exchange_can_be_copied_as_curl(world: World, browser: Browser) -> None:
    with opened(world, browser, permissions=["clipboard-read", "clipboard-write"]) as (_, page):
        follow(page)
        row = page.get_by_test_id("wire-row").first
        row.locator("summary").click()
        row.get_by_test_id("wire-curl").click()
        expect(page.locator("#toast")).to_have_text("已复制")
        copied = page.evaluate("() => navigator.clipboard.readText()")
        assert copied.startswith("curl -i -X POST 'http://127.0.0.1:")
        assert "--data-binary '<xml>" in copied


def test_a_bubble_leads_to_its_exchange(page: Page) -> None:
    follow(page)
    page.get_by_test_id("chat").locator(".trace").first.click()
    expect(page.locator('[data-kind="push.subscribe"] details')).to_have_attribute("open", "")


def test_the_clock_moves_forward(page: Page, world: World) -> None:
    before = world.sandbox.engine.clock.timestamp()
    page.get_by_role("button", name="+1 天").click()
    page.get_by_role("button", name="+2 小时").click()
    expect(page.get_by_test_id("clock")).not_to_be_empty()
    wait_until(lambda: world.sandbox.engine.clock.timestamp() >= before + 86_400 + 7200)


@pytest.mark.parametrize("percent", ["140", "200"])
def test_large_type_grows_chat_and_page(page: Page, percent: str) -> None:
    follow(page)
    bubble = page.get_by_test_id("chat").locator(".bubble").first
    before = bubble.evaluate("node => parseFloat(getComputedStyle(node).fontSize)")
    frame = open_pay_page(page)
    heading = frame.get_by_role("heading", name="网费充值")
    small = heading.bounding_box()
    page.get_by_test_id("type-size").select_option(percent)
    large = heading.bounding_box()
    assert small is not None
    assert large is not None
    assert large["height"] > small["height"]
    after = bubble.evaluate("node => parseFloat(getComputedStyle(node).fontSize)")
    assert after == pytest.approx(before * int(percent) / 100)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_no_sideways_scroll_and_nothing_axe_complains_about(
    world: World, browser: Browser, tmp_path: Path, scheme: str, width: int
) -> None:
    with opened(world, browser, viewport={"width": width, "height": 800}, color_scheme=scheme) as (_, page):
        follow(page)
        frame = open_pay_page(page)
        frame.get_by_role("button", name="微信支付").click()
        expect(page.get_by_test_id("pay-amount")).to_be_visible()
        check_looks(page, tmp_path / "sheet.png", width)
        type_digits(page, "123456")
        page.get_by_test_id("tab-chat").click()
        expect(page.get_by_test_id("chat").locator('[data-from="pay"]')).to_be_visible()
        page.get_by_test_id("menu-1").click()
        page.get_by_test_id("wire-row").first.locator("summary").click()
        expect(page.locator(".detail").first).to_be_visible()
        check_looks(page, tmp_path / "chat.png", width)


def check_looks(page: Page, shot: Path, width: int) -> None:
    page.screenshot(path=shot, full_page=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    options = {"runOnly": ["wcag2a", "wcag2aa", "wcag21aa", "wcag22aa"], "iframes": False}
    found = Axe().run(page, options=options)
    assert found.violations_count == 0, found.generate_report()


def test_the_page_allows_no_inline_code_and_nothing_foreign(world: World) -> None:
    answer = requests.get(world.sandbox.url, timeout=5)
    policy = answer.headers["Content-Security-Policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "http" not in policy
    for name in ("main.js", "phone.css", "bridge.js"):
        assert requests.get(f"{world.sandbox.url}/sim/static/{name}", timeout=5).status_code == 200
    assert requests.get(f"{world.sandbox.url}/sim/static/../views.py", timeout=5).status_code == 404
