"""The desktop's recharge page: what the phone pays appears beside the code, and nobody else's money does."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient

from payments.views import OrderView
from tests.web.portal_visitor import visitor
from tests.web.world import OTHER, OWN, STRANGER, World
from web.portal.recharge import LOOKS

JSON = {"Accept": "application/json"}
PAGE = "/self/recharge"


@pytest.fixture
def browser(world: World) -> FlaskClient:
    return visitor(world)


def state_path(html: str) -> str:
    found = re.search(r'data-state="([^"]+)"', html)
    assert found is not None
    return found[1].replace("&amp;", "&")


def ask(browser: FlaskClient, path: str) -> dict[str, Any]:
    answer = browser.get(path, headers=JSON)
    assert (answer.status_code, answer.json is not None) == (200, True), answer.text
    return dict(answer.json or {})


def paid(world: World, *, account_no: str = OWN, openid: str = STRANGER, amount_fen: int = 5000) -> OrderView:
    order = world.order(amount_fen, account_no, openid)
    world.pay_order(order, openid)
    return order


def test_the_page_follows_the_money_step_by_step(world: World, browser: FlaskClient) -> None:
    path = state_path(browser.get(f"{PAGE}?amount=5000").text)
    assert ask(browser, path)["step"] == "waiting"
    order = paid(world)
    crediting = ask(browser, path)
    assert (crediting["step"], crediting["title"], crediting["settled"]) == ("crediting", "入账中", False)
    assert "不用重复支付" in crediting["html"]
    assert '<svg class="qr"' not in crediting["html"]
    world.credit_order(order)
    done = ask(browser, path)
    assert (done["step"], done["title"], done["settled"]) == ("credited", "已到账", True)
    for words in ("已到账", "¥62.34", order.order_no, "他人代付"):
        assert words in done["html"]
    assert STRANGER not in done["html"]


def test_a_swap_that_follows_the_money_is_waited_for(world: World, browser: FlaskClient) -> None:
    html = browser.get(f"{PAGE}?package=P20").text
    path = state_path(html)
    order = world.order(2000, OWN, STRANGER, then_package="P20")
    world.pay_order(order, STRANGER)
    world.credit_order(order)
    credited = ask(browser, path)
    assert (credited["step"], credited["settled"]) == ("credited", False)
    assert "正在换购20元不限量套餐" in credited["html"]
    world.swap_order(order)
    swapped = ask(browser, path)
    assert (swapped["title"], swapped["settled"]) == ("已到账，换购成功", True)
    # Without a script the same is seen by the link, though the package cannot be had a second time.
    shown = browser.get(f"{PAGE}?{path.partition('?')[2]}")
    assert shown.status_code == 200
    assert "换购成功：20元不限量套餐" in shown.text


def test_without_a_script_a_link_shows_the_result(world: World, browser: FlaskClient) -> None:
    html = browser.get(f"{PAGE}?amount=5000").text
    (link,) = re.findall(r'<a [^>]*href="([^"]+)">刷新支付结果</a>', html)
    link = link.replace("&amp;", "&")
    assert "用微信扫一扫付款" in browser.get(link).text
    order = paid(world)
    assert "支付成功，正在到账" in browser.get(link).text
    world.credit_order(order)
    html = browser.get(link).text
    assert 'id="live-title">已到账' in html
    assert 'data-settled="true"' in html
    assert "用微信扫一扫付款" not in html


def test_whoever_opens_the_page_while_money_is_on_its_way_is_told_so(
    world: World, browser: FlaskClient
) -> None:
    order = paid(world)
    world.clock.pass_by(60)
    assert "不用重复支付" in browser.get(PAGE).text
    world.credit_order(order)
    assert "用微信扫一扫付款" in browser.get(PAGE).text


def test_earlier_payments_and_other_accounts_are_not_what_one_waits_for(
    world: World, browser: FlaskClient
) -> None:
    world.credit_order(paid(world))
    world.clock.pass_by(5)
    path = state_path(browser.get(PAGE).text)
    paid(world, account_no=OTHER)
    world.order(2000, OWN, STRANGER)
    state = ask(browser, path)
    assert (state["step"], state["settled"]) == ("waiting", False)
    world.clock.pass_by(5)
    mine = visitor(world, OTHER)
    assert "不用重复支付" in mine.get(PAGE).text
    assert OWN not in mine.get(PAGE).text


def test_an_order_made_before_the_page_was_opened_counts_when_it_is_paid(
    world: World, browser: FlaskClient
) -> None:
    order = world.order(5000, OWN, STRANGER)
    world.clock.pass_by(300)
    path = state_path(browser.get(PAGE).text)
    world.pay_order(order, STRANGER)
    assert ask(browser, path)["step"] == "crediting"


def test_the_waiting_ends_with_the_time_of_an_order(world: World, browser: FlaskClient) -> None:
    path = state_path(browser.get(PAGE).text)
    world.clock.pass_by(1799)
    assert ask(browser, path)["settled"] is False
    world.clock.pass_by(1)
    over = ask(browser, path)
    assert (over["step"], over["settled"]) == ("waiting", True)
    assert "还没有收到付款" in over["html"]
    # Opened again it waits anew.
    html = browser.get(f"{PAGE}?{path.partition('?')[2]}").text
    assert "用微信扫一扫付款" in html
    assert ask(browser, state_path(html))["settled"] is False


def test_a_payment_that_billing_does_not_take_is_not_asked_about_for_ever(
    world: World, browser: FlaskClient
) -> None:
    path = state_path(browser.get(PAGE).text)
    paid(world)
    world.clock.pass_by(1799)
    browser.get("/self/")
    assert ask(browser, path)["settled"] is False
    world.clock.pass_by(2)
    stuck = ask(browser, path)
    assert (stuck["step"], stuck["settled"]) == ("crediting", True)
    assert "刷新支付结果" in stuck["html"]


def test_asking_does_not_prolong_the_login(world: World, browser: FlaskClient) -> None:
    path = state_path(browser.get(PAGE).text)
    for _ in range(2):
        world.clock.pass_by(1000)
        answer = browser.get(path, headers=JSON)
    assert (answer.status_code, answer.json and answer.json["code"]) == (401, "E-LOGIN")
    assert browser.get("/self/").status_code == 302


def test_nobody_asks_without_a_login_or_without_measure(world: World, browser: FlaskClient) -> None:
    path = state_path(browser.get(PAGE).text)
    stranger = world.reader(None, address="10.70.1.23")
    assert stranger.get(path, headers=JSON).status_code == 401
    assert world.reader(None).get(path, headers=JSON).status_code == 403
    for _ in range(LOOKS):
        world.limiter.hit(f"web:arrival:{OWN}", limit=LOOKS, window_s=600)
    assert browser.get(path, headers=JSON).status_code == 429


@pytest.mark.parametrize("since", ["", "x", "-1", "99999999999999999999", "9999999999", "1e9", "0"])
def test_no_time_in_the_address_breaks_the_page(browser: FlaskClient, since: str) -> None:
    assert "用微信扫一扫付款" in browser.get(f"{PAGE}?since={since}").text
    assert browser.get(f"{PAGE}/state?since={since}", headers=JSON).status_code == 200
