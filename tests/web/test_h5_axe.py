"""Everybody can read every page: axe finds nothing, and nothing is cut off, in all colours and sizes."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from app.redis_server import RedisServer
from models.db.engine import Database
from tests.browser_rig import NEEDS_BROWSER, chromium
from tests.conftest import fresh_redis_url
from tests.web.browser_site import UNBOUND, BrowserSite, every_page
from tests.web.world import World

pytestmark = NEEDS_BROWSER

RULES = {
    "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"],
    "resultTypes": ["violations"],
}
SIZES = (100, 140, 200)
LOOKS = {
    "light": ("auto", "light"),
    "dark": ("auto", "dark"),
    "care": ("care", "light"),
    "care-dark": ("care", "dark"),
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture(scope="module")
def site(
    seeded: Path, tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer
) -> Iterator[BrowserSite]:
    path = shutil.copy(seeded, tmp_path_factory.mktemp("axe") / "site.db")
    world = World(Database(f"sqlite:///{path}"), redis_url=fresh_redis_url(redis_server))
    made = BrowserSite(world)
    yield made
    made.close()
    world.database.dispose()


@pytest.fixture(scope="module")
def pages(site: BrowserSite) -> dict[str, str]:
    return every_page(site.world)


def faults(page: Page, name: str) -> list[str]:
    """What axe or the eye would complain about at each text size."""
    found = []
    page.evaluate(Axe().axe_script)
    for size in SIZES:
        page.evaluate("size => { document.body.style.webkitTextSizeAdjust = `${size}%` }", size)
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > page.viewport_size["width"]:  # type: ignore[index]
            found.append(f"{name} at {size} %: {width} px wide")
        for violation in page.evaluate("rules => axe.run(rules)", RULES)["violations"]:
            nodes = [node["html"][:120] for node in violation["nodes"][:3]]
            found.append(f"{name} at {size} %: {violation['id']} {nodes}")
    return found


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_is_readable(
    site: BrowserSite, browser: Browser, pages: dict[str, str], look: str
) -> None:
    chosen, scheme = LOOKS[look]
    found = []
    with site.phone(browser, look=chosen, color_scheme=scheme, reduced_motion="reduce") as (_, page):
        for name, path in pages.items():
            site.on_campus = path.startswith("/self/")
            page.goto(site.origin + path)
            found += faults(page, name)
    assert found == []


@pytest.mark.parametrize("path", ["/h5/recharge", "/h5/bind", "/h5/orders"])
def test_pages_of_a_new_reader_are_readable(site: BrowserSite, browser: Browser, path: str) -> None:
    with site.phone(browser, openid=UNBOUND, reduced_motion="reduce") as (_, page):
        page.goto(site.origin + path)
        assert faults(page, path) == []


def test_the_page_outside_wechat_is_readable(site: BrowserSite, browser: Browser) -> None:
    with site.phone(browser, openid=None, user_agent="Mozilla/5.0 Firefox/140") as (_, page):
        page.goto(f"{site.origin}/h5/recharge")
        assert faults(page, "outside") == []


def test_the_pay_button_is_on_the_first_screen(
    site: BrowserSite, browser: Browser, pages: dict[str, str]
) -> None:
    for name in ("recharge", "pay"):
        with site.phone(browser, viewport={"width": 375, "height": 667}) as (_, page):
            page.goto(site.origin + pages[name])
            box = page.locator("main .button-main").first.bounding_box()
            assert box is not None
            assert box["y"] + box["height"] <= 667, name


def test_fingers_find_everything_that_can_be_tapped(
    site: BrowserSite, browser: Browser, pages: dict[str, str]
) -> None:
    """Buttons, rows and choices are at least 44 px high."""
    small = []
    with site.phone(browser) as (_, page):
        for name, path in pages.items():
            site.on_campus = path.startswith("/self/")
            page.goto(site.origin + path)
            for target in page.locator("button, .button, .row, .chip, summary, .tick, .amount").all():
                box = target.bounding_box()
                if box is not None and 0 < box["height"] < 44:
                    small.append(f"{name}: {target.inner_text()[:20]} {box['height']}")
    assert small == []


def test_nobody_pays_before_the_page_can(site: BrowserSite, browser: Browser, pages: dict[str, str]) -> None:
    with site.phone(browser) as (_, page):
        page.route("**/js/pay.js*", lambda _route: None)
        page.goto(site.origin + pages["pay"], wait_until="commit")
        expect(page.locator("[data-pay]")).to_be_disabled()
        page.unroute("**/js/pay.js*")
        page.reload()
        expect(page.locator("[data-pay]")).to_be_enabled()
