"""The phone page in a real browser, a tiny site behind it and the merchant that places its orders."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests
from playwright.sync_api import Browser, BrowserContext, FrameLocator, Page, expect

from sandbox.engine import Site
from sandbox.server import Sandbox
from tests.browser_rig import errors_of
from tests.sandbox.pay_rig import Merchant, credentials
from tests.sandbox.phone_site import PhoneSite

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
        self.site.hurry.clear()
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


@contextmanager
def running_world() -> Iterator[World]:
    started = World()
    try:
        yield started
    finally:
        started.stop()


@contextmanager
def opened(world: World, browser: Browser, **options: Any) -> Iterator[tuple[BrowserContext, Page]]:
    """A fresh world on a fresh page; fails when the page logged an error."""
    world.fresh()
    context = browser.new_context(
        **({"viewport": {"width": 1280, "height": 900}, "locale": "zh-CN"} | options)
    )
    page = context.new_page()
    errors = errors_of(page)
    page.goto(world.sandbox.url)
    yield context, page
    context.close()
    assert errors == []


def follow(page: Page) -> None:
    """Follow, and wait for the menu too.

    It appears after the welcome; before that a key meant for it would go to the follow button,
    which has the focus.
    """
    page.get_by_test_id("follow").click()
    expect(page.get_by_test_id("chat")).to_contain_text("欢迎")
    expect(page.get_by_test_id("follow")).to_have_text("取消关注")


def open_pay_page(page: Page) -> FrameLocator:
    page.get_by_test_id("menu-0").click()
    page.get_by_test_id("menu-0-0").click()
    return page.frame_locator('[data-testid="webview-frame"]')


def type_digits(page: Page, digits: str) -> None:
    for digit in digits:
        page.get_by_test_id(f"pay-key-{digit}").click()
