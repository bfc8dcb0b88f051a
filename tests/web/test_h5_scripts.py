"""What the pages' scripts do, in a real browser with WeChat's bridge played."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from models.db.engine import Database
from models.order import orders_of
from tests.browser_rig import NEEDS_BROWSER, chromium
from tests.web.browser_site import BrowserSite
from tests.web.world import OPENID, OTHER, OWN, World

pytestmark = NEEDS_BROWSER

BRIDGE = """
window.invoked = [];
const answer = %s;
setTimeout(() => {
  window.WeixinJSBridge = {
    invoke: (name, params, done) => { window.invoked.push([name, params]); done({ err_msg: answer }); },
  };
  document.dispatchEvent(new Event("WeixinJSBridgeReady"));
}, 50);
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture
def site(seeded: Path, tmp_path: Path) -> Iterator[BrowserSite]:
    world = World(Database(f"sqlite:///{shutil.copy(seeded, tmp_path / 'site.db')}"))
    made = BrowserSite(world)
    yield made
    made.close()
    world.database.dispose()


def bridge(page: Page, answer: str) -> None:
    """WeChat puts its bridge in a little after the page has loaded."""
    page.add_init_script(BRIDGE % json.dumps(f"get_brand_wcpay_request:{answer}"))


def test_paying_leads_to_a_page_that_follows_the_order_to_its_end(
    site: BrowserSite, browser: Browser
) -> None:
    order = site.world.order()
    with site.phone(browser) as (_, page):
        bridge(page, "ok")
        page.goto(f"{site.origin}/h5/pay/{order.order_no}")
        page.get_by_role("button", name="微信支付").click()
        page.wait_for_url(f"**/h5/orders/{order.order_no}?paid=1")
        expect(page.get_by_role("heading", level=1)).to_have_text("正在确认支付结果")
        site.world.pay_order(order)
        expect(page.get_by_role("heading", level=1)).to_have_text("支付成功，正在到账", timeout=15_000)
        site.world.credit_order(order)
        expect(page.get_by_role("heading", level=1)).to_have_text("充值成功", timeout=15_000)
        expect(page.get_by_role("status").first).to_have_text("已到账")


def test_the_page_follows_a_swap_after_the_money(site: BrowserSite, browser: Browser) -> None:
    order = site.world.order(2000, then_package="P20")
    site.world.pay_order(order)
    site.world.credit_order(order)
    with site.phone(browser) as (_, page):
        page.goto(f"{site.origin}/h5/orders/{order.order_no}")
        expect(page.get_by_text("正在换购20元不限量套餐")).to_be_visible()
        site.world.swap_order(order)
        expect(page.get_by_text("换购成功：20元不限量套餐")).to_be_visible(timeout=15_000)
        expect(page.get_by_role("status").first).to_have_text("已到账，换购成功")


def test_a_lost_notice_is_found_while_the_page_waits(site: BrowserSite, browser: Browser) -> None:
    order = site.world.order()
    site.world.trade(order)
    with site.phone(browser) as (_, page):
        page.goto(f"{site.origin}/h5/orders/{order.order_no}?paid=1")
        expect(page.get_by_role("heading", level=1)).to_have_text("支付成功，正在到账", timeout=15_000)
    assert len(site.world.pay.asked) == 1


@pytest.mark.parametrize(("answer", "words"), [("cancel", "未支付，可继续支付"), ("fail", "可以再试一次")])
def test_a_payment_that_was_not_made_can_be_made_again(
    site: BrowserSite, browser: Browser, answer: str, words: str
) -> None:
    order = site.world.order()
    with site.phone(browser) as (_, page):
        bridge(page, answer)
        page.goto(f"{site.origin}/h5/pay/{order.order_no}")
        button = page.get_by_role("button", name="微信支付")
        button.click()
        expect(page.locator("[data-message]")).to_contain_text(words)
        expect(button).to_be_enabled()
        button.click()
        expect(button).to_be_enabled()
        assert page.evaluate("window.invoked.length") == 2
        assert page.evaluate("window.invoked[0][0]") == "getBrandWCPayRequest"


def test_a_refusal_is_said_on_the_page(site: BrowserSite, browser: Browser) -> None:
    order = site.world.order()
    with site.phone(browser) as (_, page):
        bridge(page, "ok")
        page.goto(f"{site.origin}/h5/pay/{order.order_no}")
        site.world.pay_order(order)
        page.get_by_role("button", name="微信支付").click()
        expect(page.locator("[data-message]")).to_contain_text("请勿重复支付")


def test_the_sum_stands_on_the_button(site: BrowserSite, browser: Browser) -> None:
    site.world.bind()
    with site.phone(browser) as (_, page):
        page.goto(f"{site.origin}/h5/recharge")
        button = page.locator("main button.button-main")
        expect(button).to_contain_text("¥20.00")
        page.get_by_role("radio", name="50 元").check(force=True)
        expect(button).to_contain_text("¥50.00")
        expect(page.locator("#amount-other")).to_be_hidden()
        page.get_by_role("radio", name="其他").check(force=True)
        page.locator("#amount-other").fill("37")
        expect(button).to_contain_text("¥37.00")
        button.click()
        page.wait_for_url("**/h5/pay/*")
        expect(page.get_by_role("button", name="微信支付")).to_contain_text("¥37.00")


def test_somebody_elses_name_appears_and_is_ticked_before_the_order(
    site: BrowserSite, browser: Browser
) -> None:
    site.world.bind()
    with site.phone(browser) as (_, page):
        page.goto(f"{site.origin}/h5/recharge")
        page.get_by_text("给别人充").click()
        page.locator("#account").fill(OTHER)
        expect(page.locator("[data-tick]")).to_be_hidden()
        page.locator("#account-again").fill(OTHER)
        expect(page.locator("[data-tick]")).to_contain_text("*小红")
        page.locator("#confirmed").check()
        page.locator("main button.button-main").click()
        page.wait_for_url("**/h5/pay/*")
        expect(page.locator("main")).to_contain_text(OTHER)


def test_folding_the_other_account_away_forgets_it(site: BrowserSite, browser: Browser) -> None:
    site.world.bind()
    with site.phone(browser) as (_, page):
        page.goto(f"{site.origin}/h5/recharge?account={OTHER}")
        expect(page.locator("#account")).to_have_value(OTHER)
        page.get_by_text("给别人充").click()
        expect(page.locator("#account")).to_have_value("")


def test_a_double_tap_makes_one_order(site: BrowserSite, browser: Browser) -> None:
    site.world.bind()
    with site.phone(browser) as (_, page):
        page.goto(f"{site.origin}/h5/recharge")
        page.locator("main button.button-main").dblclick()
        page.wait_for_url(re.compile(r"/h5/pay/r"))
    with site.world.services.reading() as session:
        assert len(orders_of(session, OPENID)) == 1


def test_a_mistake_gets_the_focus(site: BrowserSite, browser: Browser) -> None:
    with site.phone(browser) as (_, page):
        page.goto(f"{site.origin}/h5/recharge")
        page.locator("main button.button-main").click()
        expect(page.locator("[data-error-summary]")).to_be_focused()
        page.locator("[data-error-summary] a").click()
        expect(page.locator("#account")).to_be_focused()


def test_the_form_works_without_any_script(site: BrowserSite, browser: Browser) -> None:
    with site.phone(browser, java_script_enabled=False) as (_, page):
        page.goto(f"{site.origin}/h5/recharge")
        page.locator("#account").fill(OTHER)
        page.locator("#account-again").fill(OTHER)
        page.locator("main button.button-main").click()
        page.locator("#confirmed").check()
        page.locator("main button.button-main").click()
        expect(page.locator("main")).to_contain_text("*小红")
        assert "/h5/pay/" in page.url


def at_the_desk(site: BrowserSite, page: Page) -> list[str]:
    """The recharge page, with the time of its script in our hands. Returns: a list of what it asks for."""
    site.on_campus = True
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url) if "/state" in request.url else None)
    page.clock.install()
    page.goto(f"{site.origin}/self/recharge?amount=5000")
    expect(page.get_by_role("img", name="手机充值二维码")).to_be_visible()
    return asked


def next_answer(page: Page, seconds: int) -> None:
    """Let so much time pass that the page asks, and wait for what it hears."""
    with page.expect_response("**/self/recharge/state?*") as heard:
        page.clock.run_for(seconds * 1000)
    heard.value.finished()


def test_the_desk_shows_what_the_phone_pays(site: BrowserSite, browser: Browser) -> None:
    with site.phone(browser, viewport={"width": 1280, "height": 900}, is_mobile=False) as (_, page):
        asked = at_the_desk(site, page)
        title = page.locator("#live-title")
        order = site.world.order(5000, OWN)
        site.world.pay_order(order)
        next_answer(page, 3)
        expect(title).to_have_text("支付成功，正在到账")
        expect(page.get_by_role("status")).to_have_text("入账中")
        expect(page.get_by_role("img", name="手机充值二维码")).to_have_count(0)
        site.world.credit_order(order)
        # Once the money moves the page asks as often as the phone does.
        next_answer(page, 1)
        expect(title).to_have_text("已到账")
        expect(page.get_by_role("status")).to_have_text("已到账")
        # It has ended: nothing is asked any more, and the page loaded again shows the same.
        heard = len(asked)
        page.clock.run_for(600_000)
        page.reload()
        expect(title).to_have_text("已到账")
        page.clock.run_for(600_000)
        assert len(asked) == heard


def test_the_desk_stops_waiting_after_the_time_of_an_order(site: BrowserSite, browser: Browser) -> None:
    with site.phone(browser) as (_, page):
        asked = at_the_desk(site, page)
        site.world.clock.pass_by(1801)
        # Half an hour at the desk is also the end of the login: ours is fresh again.
        page.context.add_cookies(site.cookies(OPENID, "auto"))  # type: ignore[arg-type]
        next_answer(page, 3)
        expect(page.get_by_role("heading", level=2, name="还没有收到付款")).to_be_visible()
        heard = len(asked)
        page.clock.run_for(600_000)
        assert len(asked) == heard
        page.get_by_role("link", name="重新显示二维码").click()
        expect(page.get_by_role("img", name="手机充值二维码")).to_be_visible()


def test_a_login_that_has_ended_ends_the_waiting(site: BrowserSite, browser: Browser) -> None:
    with site.phone(browser) as (_, page):
        asked = at_the_desk(site, page)
        page.context.clear_cookies()
        next_answer(page, 3)
        expect(page.get_by_role("main")).to_contain_text("登录已过期，请重新登录（E-LOGIN）")
        heard = len(asked)
        page.clock.run_for(600_000)
        assert len(asked) == heard
