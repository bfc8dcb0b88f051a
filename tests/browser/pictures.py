"""Takes the pictures of the README anew: `python -m tests.browser.pictures`."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from playwright.sync_api import Browser, expect

from app.redis_server import RedisServer
from sandbox.credentials import issue
from tests.browser.screen import Screen
from tests.browser_rig import chromium
from tests.rig import Rig

IMAGES = Path(__file__).parent.parent.parent / "docs" / "images"
STUDENT = "xiaoming"
PHONE_WIDTH, PHONE_HEIGHT = 375, 720


def main() -> None:
    """Start everything, recharge 5 yuan, and keep what is on the screen."""
    IMAGES.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        redis = RedisServer(folder / "redis")
        stack.callback(redis.stop)
        rig = Rig(folder, issue(), database_url=f"sqlite:///{folder}/campusnet.db", redis_url=redis.url)
        stack.callback(rig.close)
        rig.house.push_menu()
        rig.phone(STUDENT).bind()
        take(stack.enter_context(chromium()), rig.sandbox.url)


def take(browser: Browser, wechat: str) -> None:
    """The pay page alone, then the phone beside the log."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 860}, locale="zh-CN", color_scheme="light"
    )
    page = context.new_page()
    screen = Screen(page, wechat, STUDENT)
    screen.follow()
    shown = screen.say("充值5", "请核对充值信息")
    offered = screen.tap(shown, "确认", "点此支付")
    offered.get_by_role("button", name="点此支付").click()
    expect(screen.heading).to_have_text("请核对")
    pay_page(screen)
    screen.pay("5.00")
    screen.expect_success()
    screen.back_to_chat()
    screen.wait_for("充值到账")
    notice = page.locator('[data-testid="wire-row"][data-kind="pay.notify"]')
    notice.locator("summary").click()
    expect(notice.get_by_role("region", name="请求明文")).to_be_visible()
    notice.evaluate(
        "row => { row.parentElement.scrollTop = row.offsetTop - row.parentElement.offsetTop - 108 }"
    )
    expect(page.locator("#toast")).to_be_empty()
    page.mouse.move(0, 0)
    page.evaluate("document.activeElement.blur()")
    page.screenshot(path=IMAGES / "demo.png")


def pay_page(screen: Screen) -> None:
    """The page in the frame, in the size of a phone."""
    address = screen.frame().url
    alone = screen.page.context.new_page()
    alone.set_viewport_size({"width": PHONE_WIDTH, "height": PHONE_HEIGHT})
    alone.goto(address)
    expect(alone.get_by_role("heading", level=1)).to_have_text("请核对")
    alone.screenshot(path=IMAGES / "h5.png")
    alone.close()


if __name__ == "__main__":
    main()
