"""充值并换购: offered where the balance is too low, paid once, and its end told on the page of the order."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import update

from billing.embedded.usage import record_usage
from models.errors import Unavailable
from models.order import orders_of
from models.package import Package
from models.swap import SwapIntent, swaps_of
from payments.views import OrderView
from tests.web.conftest import csrf_in
from tests.web.portal_visitor import CAMPUS, log_in, visitor
from tests.web.world import OPENID, OTHER, OWN, STRANGER, World

GB = 10**9
JSON = {"Accept": "application/json"}


def words(html: str) -> str:
    """What a person reads of a page."""
    return " ".join(re.sub(r"<[^>]+>", " ", html.partition("<main")[2]).split())


def submit(client: FlaskClient, **fields: str) -> Any:
    token = csrf_in(client.get("/h5/recharge").text)
    return client.post("/h5/recharge", data={"csrf_token": token, **fields})


def wishes(world: World) -> list[tuple[str, int, str | None]]:
    """Account, amount and wished package of every order of OPENID."""
    with world.services.reading() as session:
        found = orders_of(session, OPENID)
        wished: dict[int, SwapIntent] = swaps_of(session, [order.id for order in found])
        return [
            (
                order.account_no,
                order.amount_fen,
                wished[order.id].package_code if order.id in wished else None,
            )
            for order in found
        ]


def change(world: World, code: str, **values: Any) -> None:
    with world.services.transaction() as session:
        session.execute(update(Package).where(Package.code == code).values(**values))


def swapped(world: World, *, then_package: str = "P20", amount_fen: int = 800) -> OrderView:
    """An order of the owner whose money has arrived, and whose swap has ended."""
    order = world.order(amount_fen, OWN, then_package=then_package)
    world.pay_order(order)
    world.credit_order(order)
    world.swap_order(order)
    return order


def test_the_catalogue_offers_it_where_money_is_missing(world: World) -> None:
    browser = visitor(world)
    browser.environ_base["HTTP_USER_AGENT"] = "Mozilla/5.0 (X11; Linux x86_64) Chrome/156"
    html = browser.get("/self/packages").text
    assert re.findall(r'href="/self/recharge\?package=(\w+)"', html) == ["S1", "P20", "P30"]
    assert "余额不足：充值并换购" in html
    page = words(browser.get("/self/recharge?package=P20").text)
    for part in ("20元不限量套餐", "余额还差 ¥7.66", "充值金额 ¥8.00", "用微信扫一扫付款"):
        assert part in page


def test_inside_wechat_the_catalogue_leads_straight_to_paying(world: World) -> None:
    world.bind()
    client = world.reader(address=CAMPUS)
    log_in(world, client)
    html = client.get("/self/packages").text
    path = f"/h5/recharge?account={OWN}&amp;package=P20"
    assert f'href="{path}"' in html
    assert "正好换购" in client.get(path.replace("&amp;", "&")).text


@pytest.mark.parametrize("code", ["P05", "P99", "../x"])
def test_what_cannot_be_had_by_paying_is_told_by_the_package_page(world: World, code: str) -> None:
    answer = visitor(world).get("/self/recharge", query_string={"package": code})
    assert answer.status_code == 302
    assert answer.headers["Location"].startswith("/self/packages/")


def test_while_a_package_runs_nothing_more_is_offered(world: World) -> None:
    world.services.billing.exchange(OWN, "P05", key="X1", price_fen=500)
    browser = visitor(world)
    assert "充值并换购" not in browser.get("/self/packages").text
    refused = browser.get("/self/recharge?package=P20", follow_redirects=True)
    assert "当前流量包还剩 8.0 GB" in refused.text
    world.bind()
    page = words(world.reader().get("/h5/recharge?package=P20").text)
    assert "当前流量包还剩 8.0 GB" in page
    assert "现在只能充值，不能同时换购" in page
    assert "到账后自动换购" not in page


def test_the_owner_adds_what_is_missing_in_one_go(world: World, reader: FlaskClient) -> None:
    world.bind()
    html = reader.get(f"/h5/recharge?account={OWN}&package=P20").text
    assert 'name="amount" value="8" checked' in html
    assert 'name="amount" value="5"' not in html
    assert "账户余额还差 ¥7.66" in html
    # It is the own account: nothing about somebody else is open.
    assert "data-someone-else open" not in html
    paying = submit(reader, account=OWN, amount="8", package="P20")
    assert paying.status_code == 303
    assert wishes(world) == [(OWN, 800, "P20")]
    assert "到账后换购 20元不限量套餐" in words(reader.get(paying.headers["Location"]).text)


def test_less_than_is_missing_is_refused_and_another_amount_is_not(world: World, reader: FlaskClient) -> None:
    world.bind()
    refused = submit(reader, amount="other", amount_other="7", package="P20")
    assert refused.status_code == 400
    assert "换购20元不限量套餐至少要充 8 元" in refused.text
    assert 'name="package" value="P20"' in refused.text
    assert submit(reader, amount="50", package="P20").status_code == 303
    assert wishes(world) == [(OWN, 5000, "P20")]


def test_somebody_else_pays_the_whole_price_and_sees_no_balance(world: World, reader: FlaskClient) -> None:
    html = reader.get(f"/h5/recharge?account={OTHER}&package=P20").text
    assert 'name="amount" value="20" checked' in html
    assert "还差" not in html
    both = {"account": OTHER, "account_again": OTHER, "confirmed": OTHER, "package": "P20"}
    refused = submit(reader, **both, amount="other", amount_other="8")
    assert "充值金额不能低于套餐价格 20 元" in refused.text
    assert submit(reader, **both, amount="20").status_code == 303
    assert wishes(world) == [(OTHER, 2000, "P20")]


def test_a_special_tells_strangers_nothing_about_an_account(world: World, reader: FlaskClient) -> None:
    change(world, "S1", for_kinds=["undergraduate"])
    assert "到账后自动换购" not in reader.get(f"/h5/recharge?account={OWN}&package=S1").text
    world.bind()
    assert "到账后自动换购" in reader.get(f"/h5/recharge?account={OWN}&package=S1").text


@pytest.mark.parametrize(
    ("code", "told"), [("P99", "该套餐不在售"), ("P05", "账户余额已够，可以直接换购"), ("P30", "")]
)
def test_the_page_says_why_a_package_is_not_for_the_money(
    world: World, reader: FlaskClient, code: str, told: str
) -> None:
    world.bind()
    page = words(reader.get(f"/h5/recharge?package={code}").text)
    assert told in page
    assert ("到账后自动换购" in page) == (not told)


def test_a_package_that_goes_off_sale_meanwhile_comes_back_as_a_plain_recharge(
    world: World, reader: FlaskClient
) -> None:
    world.bind()
    change(world, "P20", sale_until=world.clock())
    answer = submit(reader, amount="10", package="P20")
    assert answer.status_code == 404
    assert "E-PKG-OFF" in answer.text
    assert 'name="package"' not in answer.text
    assert wishes(world) == []


def test_the_page_opens_while_billing_is_away(
    world: World, reader: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.bind()

    def away(*_: object) -> None:
        raise Unavailable("billing is away")

    for name in ("balance", "catalogue", "preview_exchange"):
        monkeypatch.setattr(world.services.billing, name, away)
    answer = reader.get("/h5/recharge?package=P20")
    assert answer.status_code == 200
    assert "计费系统正在维护" in answer.text


def test_the_order_tells_each_step_of_the_swap(world: World, reader: FlaskClient) -> None:
    world.bind()
    order = world.order(800, OWN, then_package="P20")
    path = f"/h5/orders/{order.order_no}"
    assert "到账后自动换购20元不限量套餐" in reader.get(path).text
    world.pay_order(order)
    world.credit_order(order)
    waiting = reader.get(f"{path}/state", headers=JSON).get_json()
    assert (waiting["settled"], waiting["title"]) == (False, "已到账")
    assert "正在换购20元不限量套餐" in waiting["html"]
    world.swap_order(order)
    done = reader.get(f"{path}/state", headers=JSON).get_json()
    assert (done["settled"], done["title"]) == (True, "已到账，换购成功")
    assert "换购成功：20元不限量套餐" in done["html"]
    assert world.services.billing.balance(OWN).balance_fen == 1234 + 800 - 2000


def test_a_refused_swap_says_where_the_money_is_and_the_owner_why(world: World, reader: FlaskClient) -> None:
    world.bind()
    order = world.order(800, OWN, then_package="P20")
    change(world, "P20", price_fen=2500)
    world.pay_order(order)
    world.credit_order(order)
    world.swap_order(order)
    page = words(reader.get(f"/h5/orders/{order.order_no}").text)
    assert "20元不限量套餐未能换购：套餐价格已变动。充值的 ¥8.00 已留在账户余额中" in page


def test_who_paid_for_somebody_else_is_not_told_why(world: World, reader: FlaskClient) -> None:
    order = world.order(2000, OTHER, then_package="P20")
    world.services.billing.exchange(OTHER, "P05", key="X1", price_fen=500)
    world.pay_order(order)
    world.credit_order(order)
    world.swap_order(order)
    page = words(reader.get(f"/h5/orders/{order.order_no}").text)
    assert "20元不限量套餐未能换购。充值的 ¥20.00 已留在账户余额中。" in page
    assert "没有用完" not in page


def test_another_person_may_not_see_the_order_at_all(world: World) -> None:
    world.bind()
    order = swapped(world)
    assert world.reader(STRANGER).get(f"/h5/orders/{order.order_no}").status_code == 404


def test_traffic_that_was_used_up_makes_room_for_the_next_package(world: World) -> None:
    world.bind()
    swapped(world)
    with world.services.transaction() as session:
        record_usage(session, OWN, 65 * GB, world.clock())
    page = words(visitor(world).get("/self/packages").text)
    assert "余额不足：充值并换购" in page
