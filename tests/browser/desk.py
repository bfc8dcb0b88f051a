"""A desktop browser on the campus network, logged in to the self-service system."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, FrameLocator, Page, expect

from tests.browser.screen import PASSWORD, PATIENCE_MS
from tests.journeys.town import Student, Town

DESKTOP = {"width": 1280, "height": 900}
CAMPUS_ADDRESS = "10.70.1.99"


def desktop(town: Town, browser: Browser, student: Student, **options: Any) -> Page:
    """The overview of the student's account, reached by the unified identity."""
    context = browser.new_context(
        **({"viewport": DESKTOP, "locale": "zh-CN", "reduced_motion": "reduce"} | options),
        extra_http_headers={"X-Forwarded-For": CAMPUS_ADDRESS},
    )
    page = context.new_page()
    page.set_default_timeout(PATIENCE_MS)
    page.goto(f"{town.rig.origin}/self/")
    expect(page.get_by_role("heading", level=1)).to_have_text("统一身份认证")
    page.get_by_label("学号").fill(student.account_no)
    page.get_by_label("密码").fill(PASSWORD)
    page.get_by_role("button", name="登录").click()
    expect(page.get_by_label("我的账号")).to_contain_text(student.account_no)
    return page


def read_captcha(town: Town, mark: str) -> str:
    """What a person would read in the picture."""
    held = town.house.redis.get(f"campusnet:captcha:{mark}")
    assert isinstance(held, bytes)
    return held.decode().partition("|")[2]


def choose(page: Page | FrameLocator, package: str = "5元不限量套餐", *, by_menu: bool = True) -> None:
    """From the menu to the form of a package."""
    if by_menu:
        page.get_by_role("navigation", name="自助服务").get_by_role("link", name="服务", exact=True).click()
        page.get_by_role("link", name="换购时长/流量包").click()
    offer = page.get_by_role("listitem").filter(has_text=package)
    offer.get_by_role("link", name="选择").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("确认换购")


def fill_in(town: Town, page: Page | FrameLocator) -> None:
    """Read the picture and type what it shows."""
    expect(page.get_by_alt_text("验证码图片")).to_be_visible()
    mark = page.locator('[name="captcha_mark"]').get_attribute("value")
    assert mark is not None
    page.get_by_label("验证码", exact=True).fill(read_captcha(town, mark).lower())


def swap(town: Town, page: Page | FrameLocator) -> None:
    """Fill in the form that is open and submit it; ends on the page of the result."""
    fill_in(town, page)
    page.get_by_role("button", name="提交").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("换购成功")
