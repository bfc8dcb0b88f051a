"""What stands beside the phone: log, faults, clock, network; and how all of it looks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from sandbox.fault_catalogue import KINDS
from tests.browser_rig import NEEDS_BROWSER, chromium
from tests.sandbox.pay_rig import wait_until
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


def test_a_service_message_appears_by_itself(page: Page, world: World) -> None:
    follow(page)
    world.tell("充值已到账 20.00 元")
    expect(page.get_by_test_id("chat")).to_contain_text("充值已到账 20.00 元")


def test_a_site_that_is_silent_shows_the_platform_s_words(page: Page) -> None:
    follow(page)
    select = page.get_by_test_id("fault-select")
    everything = sum(len(kind.places) for kind in KINDS if kind.name != "none")
    expect(select.locator("option")).to_have_count(everything + 1)
    for _ in range(3):
        select.select_option("push lost")
    expect(page.locator("#fault-list")).to_contain_text("消息推送：丢失")
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


def test_an_exchange_that_ends_late_still_shows_in_the_log(page: Page, world: World) -> None:
    follow(page)
    page.get_by_test_id("chat-input").fill("慢")
    page.keyboard.press("Enter")
    wait_until(lambda: world.site.pushed[-1].get("Content") == "慢")
    world.tell("先到的消息")
    expect(page.locator('[data-testid="wire-row"][data-kind="api.custom_send"]')).to_be_visible()
    slow = page.locator('[data-testid="wire-row"][data-kind="push.text"]')
    expect(slow).to_have_count(0)
    world.site.hurry.set()
    expect(slow).to_be_visible()


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
