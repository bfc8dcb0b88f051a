from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient

from tests.web.conftest import csrf_in
from tests.web.world import OWN, World

CAMPUS, ELSEWHERE = "10.70.1.23", "203.0.113.7"


@pytest.fixture
def browser(world: World) -> FlaskClient:
    return world.reader(None, address=CAMPUS)


def log_in(world: World, client: FlaskClient, path: str = "/self/", account_no: str = OWN) -> str:
    """The address that a login ends at."""
    location = client.get(path).headers["Location"]
    service = parse_qs(urlsplit(client.get(location).headers["Location"]).query)["service"][0]
    world.identity.tickets[service, "ST-1"] = account_no
    answer = client.get(service.removeprefix("http://site.test") + "&ticket=ST-1")
    return answer.headers.get("Location", answer.text)


@pytest.mark.parametrize("path", ["/self/", "/self/login", "/self/callback", "/go/self", "/go/packages"])
@pytest.mark.parametrize("address", [ELSEWHERE, "11.0.0.1", "::1", "garbage"])
def test_outside_the_campus_every_way_in_explains_how_to_connect(
    world: World, path: str, address: str
) -> None:
    answer = world.reader(None, address=address).get(path)
    assert answer.status_code == 403
    assert "请先连接 GUET-WiFi" in answer.text


def test_a_claimed_address_counts_for_nothing_without_a_trusted_proxy(world: World) -> None:
    client = world.reader(None, address=ELSEWHERE)
    assert client.get("/go/self", headers={"X-Forwarded-For": CAMPUS}).status_code == 403


def test_on_the_campus_the_links_lead_into_the_portal(browser: FlaskClient) -> None:
    assert browser.get("/go/self").headers["Location"] == "/self/"
    assert browser.get("/go/packages").headers["Location"] == "/self/#packages"


def test_the_overview_needs_the_unified_identity(browser: FlaskClient) -> None:
    assert browser.get("/self/").headers["Location"] == "/self/login?next=/self/"


def test_the_overview_shows_money_traffic_and_offers(world: World, browser: FlaskClient) -> None:
    assert log_in(world, browser) == "/self/"
    html = browser.get("/self/").text
    for words in (
        OWN,
        "12.34",
        "剩 5.0 / 30.0 GB",
        "全速",
        "11月特惠",
        "特惠",
        "一次只能换购一个",
        "更新于 09:05",
    ):
        assert words in html
    assert "<progress " in html


def test_the_wechat_login_does_not_open_the_portal(world: World) -> None:
    world.bind()
    assert world.reader(address=CAMPUS).get("/self/").status_code == 302


def test_a_foreign_target_is_dropped(world: World, browser: FlaskClient) -> None:
    service = parse_qs(urlsplit(browser.get("/self/login?next=//evil.test").headers["Location"]).query)[
        "service"
    ][0]
    world.identity.tickets[service, "ST-1"] = OWN
    answer = browser.get(service.removeprefix("http://site.test") + "&ticket=ST-1")
    assert answer.headers["Location"] == "/self/"


def test_an_identity_without_a_network_account_is_told_so(world: World, browser: FlaskClient) -> None:
    assert "E-ACCT" in log_in(world, browser, account_no="1999000000")
    assert browser.get("/self/").status_code == 302


def test_the_login_ends_after_half_an_hour_without_use(world: World, browser: FlaskClient) -> None:
    log_in(world, browser)
    world.clock.pass_by(29 * 60)
    assert browser.get("/self/").status_code == 200
    world.clock.pass_by(29 * 60)
    assert browser.get("/self/").status_code == 200
    world.clock.pass_by(31 * 60)
    assert browser.get("/self/").status_code == 302


def test_logging_out_ends_both_logins(world: World, browser: FlaskClient) -> None:
    log_in(world, browser)
    token = csrf_in(browser.get("/self/").text)
    answer = browser.post("/self/logout", data={"csrf_token": token})
    assert answer.headers["Location"].startswith("https://ids.test/authserver/logout?")
    assert browser.get("/self/").status_code == 302
