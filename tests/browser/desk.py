"""A desktop browser on the campus network, logged in to the self-service system."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Browser, Page, expect

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
