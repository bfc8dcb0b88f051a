"""Every page as the phone shows it, with a student's real data: nothing cut off, no complaint from axe."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from app.phone import link_in
from tests.browser.conftest import Hold
from tests.browser.desk import desktop
from tests.browser.looks import broken_figures, complaints, shots_folder, too_wide
from tests.browser_rig import NEEDS_BROWSER
from tests.journeys.town import Student, Town

pytestmark = NEEDS_BROWSER

OTHER = "欧阳小小红"


@pytest.fixture(scope="module")
def shots() -> Path:
    return shots_folder()


def pages_of(town: Town, student: Student) -> dict[str, str]:
    """The addresses of a student who has done a bit of everything."""
    paid = _order(student, "充值10")
    student.pay(paid)
    student.wait_for("充值到账")
    other = town.newcomer(OTHER)
    for words in ("给他人充值", other.account_no, other.account_no, "确认"):
        student.say(words)
    unpaid, closed = _order(student, "200"), _order(student, "充值50")
    student.submit(student.open(closed), student.open(closed).form("/cancel"))
    return {
        "recharge": "/h5/recharge",
        "recharge-then-package": "/h5/recharge?package=P30",
        "recharge-other": f"/h5/recharge?account={other.account_no}&amount=other",
        "pay": unpaid,
        "order-unpaid": unpaid.replace("/pay/", "/orders/"),
        "order-credited": paid.replace("/pay/", "/orders/"),
        "order-closed": closed.replace("/pay/", "/orders/"),
        "orders": "/h5/orders",
        "bind": "/h5/bind",
        "usage": "/h5/usage",
        "notices": "/h5/notices",
        "help": "/h5/help",
        "look": "/h5/look",
    }


PORTAL = {
    "overview": "/self/",
    "recharge": "/self/recharge?amount=5000",
    "then-package": "/self/recharge?package=P30",
    "services": "/self/services",
    "packages": "/self/packages",
    "swap": "/self/packages/P05",
    "refused": "/self/packages/P30",
    "log": "/self/log",
    "usage": "/self/usage",
    "sessions": "/self/sessions",
    "traffic": "/self/traffic",
    "statement": "/self/statement",
    "notices": "/self/notices",
}


def _order(student: Student, words: str) -> str:
    student.say(words)
    return link_in(student.say("确认"), "/h5/pay/")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_fits_the_phone_and_can_be_read(town: Town, hold: Hold, scheme: str, shots: Path) -> None:
    student = town.newcomer(daily_gb=(2, 1, 0, 3, 2, 1, 4, 2)).bound()
    pages = pages_of(town, student)
    screen = hold(student, color_scheme=scheme, reduced_motion="reduce")
    screen.open("/self/")
    screen.log_in()
    expect(screen.web.get_by_label("我的账号")).to_be_visible()
    found = []
    for name, path in (pages | {f"portal-{name}": path for name, path in PORTAL.items()}).items():
        frame = screen.open(path)
        for size in ("100", "200"):
            screen.page.get_by_test_id("type-size").select_option(size)
            found += too_wide(frame, f"{name} at {size} %") + broken_figures(frame, f"{name} at {size} %")
            screen.page.locator("#phone").screenshot(path=shots / f"{name}-{scheme}-{size}.png")
        screen.page.get_by_test_id("type-size").select_option("100")
        found += complaints(frame, name)
    assert found == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_of_the_portal_fits_the_desktop(
    town: Town, browser: Browser, scheme: str, shots: Path
) -> None:
    student = town.newcomer(daily_gb=(2, 1, 0, 3, 2, 1, 4, 2)).bound()
    student.pay(_order(student, "充值10"))
    student.wait_for("充值到账")
    page = desktop(town, browser, student, color_scheme=scheme)
    for name, path in PORTAL.items():
        page.goto(town.rig.origin + path)
        assert too_wide(page.main_frame, name) + complaints(page.main_frame, name) == []
        page.screenshot(path=shots / f"desktop-{name}-{scheme}.png", full_page=True)
    page.context.close()
