"""What happened to an account: swaps, traffic, money and who paid it."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from flask.testing import FlaskClient

from billing.embedded.accounting import Accounting
from billing.embedded.usage import record_usage
from payments import payers
from tests.billing.network import Nas
from tests.web.conftest import csrf_in
from tests.web.portal_visitor import visitor
from tests.web.world import OTHER, OWN, STRANGER, World

GB = 10**9


@pytest.fixture
def browser(world: World) -> FlaskClient:
    return visitor(world)


def paid(world: World, *, amount_fen: int, openid: str, account_no: str = OWN) -> str:
    """Money on an account, paid by WeChat. Returns: the order's number."""
    order = world.order(amount_fen=amount_fen, account_no=account_no, openid=openid)
    world.pay_order(order, openid)
    world.credit_order(order)
    return order.order_no


def rows_of(html: str) -> list[str]:
    """The rows of a list as plain text."""
    found = re.findall(r'<li class="row">(.*?)</li>', html, re.DOTALL)
    return [" ".join(re.sub(r"<[^>]+>", " ", row).split()) for row in found]


def test_the_log_shows_each_swap_newest_first(world: World, browser: FlaskClient) -> None:
    assert "还没有换购记录" in browser.get("/self/log").text
    world.services.billing.exchange(OWN, "P05", key="k1", price_fen=500)
    (row,) = rows_of(browser.get("/self/log").text)
    for words in ("5元", "2026-11-23 09:05 换购", "¥5.00", "8.0 GB"):
        assert words in row


def test_traffic_shows_every_lot_with_its_end(world: World, browser: FlaskClient) -> None:
    world.services.billing.exchange(OWN, "P05", key="k1", price_fen=500)
    html = browser.get("/self/traffic").text
    for words in (
        "剩 5.0 / 30.0 GB",
        "剩 8.0 / 8.0 GB",
        "13.0<small> GB 高速流量",
        "有效期至 2026-12-01 00:00",
    ):
        assert words in html


def test_the_statement_shows_each_movement_and_who_paid_it(world: World, browser: FlaskClient) -> None:
    world.bind(OWN, "oMyself0000000000000000000003")
    world.bind(OTHER, "oFriend0000000000000000000004")
    mine = paid(world, amount_fen=2000, openid="oMyself0000000000000000000003")
    friends = paid(world, amount_fen=1000, openid="oFriend0000000000000000000004")
    strangers = paid(world, amount_fen=500, openid=STRANGER)
    world.services.billing.exchange(OWN, "P05", key="k1", price_fen=500)
    html = browser.get("/self/statement").text
    swap, third, second, first, opening = rows_of(html)
    assert "换购套餐" in swap
    assert "-5.00 余额 42.34" in swap
    assert (payers.SOMEBODY in third, strangers in third) == (True, True)
    assert ("*小红 代付（微信支付）" in second, friends in second, "+10.00" in second) == (True, True, True)
    assert (payers.SELF in first, mine in first) == (True, True)
    assert "+12.34 余额 12.34" in opening
    for secret in (OTHER, "欧阳", STRANGER, "oFriend"):
        assert secret not in html


def test_an_order_for_somebody_else_names_no_payer(world: World) -> None:
    world.bind(OTHER, STRANGER)
    order_no = paid(world, amount_fen=500, openid=STRANGER, account_no=OTHER)
    assert payers.payers_of(world.services, OTHER, [order_no]) == {order_no: payers.SELF}
    assert payers.payers_of(world.services, OWN, [order_no]) == {}


def test_a_long_statement_goes_on_page_by_page_without_a_gap(world: World, browser: FlaskClient) -> None:
    for number in range(45):
        world.services.billing.credit(OWN, 100 + number, key=f"k{number}")
    seen: list[str] = []
    path: str | None = "/self/statement"
    while path:
        html = browser.get(path).text
        seen += re.findall(r">\+(\d\.\d\d)<", html)
        older = re.search(r'href="(/self/statement\?before=\d+)"', html)
        path = older[1] if older else None
    assert seen == [f"{(144 - number) / 100:.2f}" for number in range(45)]


@pytest.mark.parametrize("before", ["x", "-1", "0", "9" * 30, "1.5", ""])
@pytest.mark.parametrize("path", ["/self/statement", "/self/log"])
def test_a_place_that_does_not_exist_begins_at_the_top(
    world: World, browser: FlaskClient, path: str, before: str
) -> None:
    world.services.billing.exchange(OWN, "P05", key="k1", price_fen=500)
    assert rows_of(browser.get(f"{path}?before={before}").text) == rows_of(browser.get(path).text) != []


def test_the_usage_page_draws_the_days(browser: FlaskClient) -> None:
    html = browser.get("/self/usage").text
    assert "每天用量柱状图" in html
    assert html.count("<rect ") == 14
    assert "共 25.0 GB" in html
    assert "2026-11-23" in rows_of(html)[0]
    assert "下行 2.0 GB" in rows_of(html)[0]


def test_what_ran_slow_is_told_apart(world: World, browser: FlaskClient) -> None:
    with world.services.transaction() as session:
        record_usage(session, OWN, 7 * GB, world.clock())
    html = browser.get("/self/usage").text
    assert html.count('<rect class="slow"') == 1
    assert "高速 7.0 GB · 限速 2.0 GB" in rows_of(html)[0]


def test_every_time_on_line_is_listed_page_by_page(world: World, browser: FlaskClient) -> None:
    assert "还没有上网记录" in browser.get("/self/sessions").text
    began = world.clock() - timedelta(days=2)
    for number in range(25):
        _online(world, began + timedelta(hours=number), f"s-{number}", stopped=number < 24)
    first = browser.get("/self/sessions").text
    assert first.count('<li class="row">') == 20
    newest = rows_of(first)[0]
    for words in ("2026-11-22 09:05", "在线", "BRAS-01", "上行 0.1 GB · 下行 1.0 GB"):
        assert words in newest
    older = re.search(r'href="(/self/sessions\?before=[^"]+)"', first)
    assert older is not None
    assert len(rows_of(browser.get(older[1]).text)) == 5
    assert rows_of(browser.get("/self/sessions?before=nonsense").text)[0] == newest
    assert "还没有上网记录" in visitor(world, OTHER).get("/self/sessions").text


def _online(world: World, began_at: datetime, number: str, *, stopped: bool) -> None:
    """One time on line of the owner, told by a network access server."""
    nas = Nas(began_at, account=OWN, session=number)
    end = (nas.stop if stopped else nas.interim)(600, GB // 10, GB)
    outcomes = {
        answer.outcome.value for answer in Accounting(world.database, world.clock).take([nas.start(), end])
    }
    assert outcomes == {"counted"}, outcomes


def test_the_devices_on_line_are_listed_and_nobody_can_end_them_here(
    world: World, browser: FlaskClient
) -> None:
    assert "现在没有在线的设备" in browser.get("/self/devices").text
    began = world.clock() - timedelta(hours=2)
    _online(world, began, "s-over", stopped=True)
    _online(world, began + timedelta(hours=1), "s-runs", stopped=False)
    html = browser.get("/self/devices").text
    (row,) = rows_of(html)
    for words in ("2026-11-23 08:05", "BRAS-01", "上行 0.1 GB · 下行 1.0 GB"):
        assert words in row
    assert "下线" not in html
    token = csrf_in(html)
    assert browser.post("/self/devices/kick", data={"csrf_token": token, "mark": "m"}).status_code == 404
    assert "现在没有在线的设备" in visitor(world, OTHER).get("/self/devices").text


def test_where_the_network_takes_orders_a_device_is_sent_off(
    world: World, browser: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    billing = world.services.billing
    kicked: list[tuple[str, str]] = []
    able = replace(billing.capabilities(), kick=True)
    monkeypatch.setattr(type(billing), "capabilities", lambda _self: able)
    monkeypatch.setattr(
        type(billing), "kick", lambda _self, account_no, mark: kicked.append((account_no, mark))
    )
    _online(world, world.clock() - timedelta(hours=1), "s-runs", stopped=False)
    html = browser.get("/self/devices").text
    mark = re.search(r'name="mark" value="([^"]+)"', html)
    assert mark is not None
    sent = browser.post("/self/devices/kick", data={"csrf_token": csrf_in(html), "mark": mark[1]})
    assert kicked == [(OWN, mark[1])]
    assert "已要求下线" in browser.get(sent.headers["Location"]).text
