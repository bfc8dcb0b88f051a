from __future__ import annotations

import re
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient

from billing.embedded import accounts
from billing.embedded.usage import record_usage
from tests.web.conftest import csrf_in
from tests.web.portal_visitor import CAMPUS, ELSEWHERE, log_in
from tests.web.world import OWN, World


@pytest.fixture
def browser(world: World) -> FlaskClient:
    return world.reader(None, address=CAMPUS)


@pytest.mark.parametrize(
    "path", ["/self/", "/self/login", "/self/callback", "/go/self", "/go/packages", "/go/log", "/go/usage"]
)
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
    for page in ("packages", "log", "usage", "traffic", "statement", "payout"):
        assert browser.get(f"/go/{page}").headers["Location"] == f"/self/{page}"
    assert browser.get("/go/self").headers["Location"] == "/self/"
    assert browser.get("/go/elsewhere").status_code == 404


def test_the_overview_needs_the_unified_identity(browser: FlaskClient) -> None:
    assert browser.get("/self/").headers["Location"] == "/self/login?next=/self/"


def test_the_overview_shows_money_traffic_and_speed(world: World, browser: FlaskClient) -> None:
    world.notice("网络维护通知", "今晚")
    assert log_in(world, browser) == "/self/"
    html = browser.get("/self/").text
    for words in (
        OWN,
        "*小明",
        "12.34",
        "剩 5.0 / 30.0 GB",
        "全速",
        "暂无套餐",
        "更新于 09:05",
        "网络维护通知",
    ):
        assert words in html
    assert "<progress " in html
    assert "现在限速" not in html


def test_the_portal_uses_the_number_as_billing_spells_it(world: World, browser: FlaskClient) -> None:
    log_in(world, browser, account_no=f"{OWN}@cmcc")
    with browser.session_transaction() as session:
        assert session["portal"]["account_no"] == OWN


def test_a_slow_line_says_why(world: World, browser: FlaskClient) -> None:
    log_in(world, browser)
    with world.services.transaction() as session:
        record_usage(session, OWN, 5 * 10**9, world.clock())
    assert "现在限速但不断网：本月赠送的高速流量已用完。" in browser.get("/self/").text


MENU = {
    "总览": "/self/",
    "账户充值": "/self/recharge",
    "服务": "/self/services",
    "换购日志": "/self/log",
    "流量使用详情": "/self/usage",
    "流量余额": "/self/traffic",
    "账单": "/self/statement",
    "公告": "/self/notices",
}


def menu_of(html: str) -> dict[str, str]:
    nav = html.split('<nav class="menu"')[1].split("</nav>", maxsplit=1)[0]
    return {name: path for path, name in re.findall(r'<a href="([^"]+)"[^>]*>([^<]+)</a>', nav)}


def test_the_menu_leads_everywhere_and_marks_where_one_is(world: World, browser: FlaskClient) -> None:
    log_in(world, browser)
    for name, path in MENU.items():
        answer = browser.get(path)
        assert answer.status_code == 200, path
        assert menu_of(answer.text) == MENU
        assert re.findall(r'aria-current="page">([^<]+)<', answer.text) == [name]


def test_what_the_back_end_cannot_do_is_not_offered(world: World, browser: FlaskClient) -> None:
    log_in(world, browser)
    able = world.services.billing.capabilities()
    unable = replace(able, exchange=False, usage=False, sessions=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(world.services.billing, "capabilities", lambda: unable)
        for path in ("/self/", "/self/services", "/self/traffic"):
            html = browser.get(path).text
            assert menu_of(html).keys() == MENU.keys() - {"换购日志", "流量使用详情"}
            assert not re.search(r'href="/self/(packages|log|usage)', html)
        for path in ("/self/packages", "/self/packages/P05", "/self/log", "/self/usage"):
            assert browser.get(path).status_code == 404


def test_recharge_shows_the_account_and_a_code_for_the_phone(world: World, browser: FlaskClient) -> None:
    log_in(world, browser)
    html = browser.get("/self/recharge?amount=5000").text
    assert f"{OWN}（*小明）" in html
    assert "¥50.00" in html
    assert "充错无法退回" in html
    assert '<svg role="img"' in html


def test_recharge_in_wechat_goes_straight_to_the_form(world: World, browser: FlaskClient) -> None:
    log_in(world, browser)
    assert (
        f'href="/h5/recharge?account={OWN}&amp;amount=50"' in browser.get("/self/recharge?amount=5000").text
    )
    # A sum that is not among the presets is chosen on the phone.
    assert f'href="/h5/recharge?account={OWN}"' in browser.get("/self/recharge?amount=77").text


def test_notices_are_read_in_the_portal_from_their_time_on(world: World, browser: FlaskClient) -> None:
    log_in(world, browser)
    shown, later = world.notice("网络维护通知", "今晚停一小时"), world.notice("以后", "还早", hours_ago=-1)
    assert "网络维护通知" in browser.get("/self/notices").text
    assert "今晚停一小时" in browser.get(f"/self/notices/{shown}").text
    assert browser.get(f"/self/notices/{later}").status_code == 404


def test_the_wechat_login_does_not_open_the_portal(world: World) -> None:
    world.bind()
    assert world.reader(address=CAMPUS).get("/self/").status_code == 302


@pytest.mark.parametrize(
    "path",
    [
        "/self/recharge?package=P05",
        "/self/recharge?package=P05&amount=5000",
        "/self/statement?before=7",
        "/self/packages/S%3F1?x=%E4%B8%AD&y=a%2Fb+c%26d%3D//e",
    ],
)
def test_the_login_leads_to_the_page_that_was_asked_for(
    world: World, browser: FlaskClient, path: str
) -> None:
    assert log_in(world, browser, path) == path


@pytest.mark.parametrize(
    "target", ["//evil.test", "/%5Cevil.test", "/self/%255c%255cevil.test", "https%3A%2F%2Fevil.test/self/"]
)
def test_a_foreign_target_is_dropped(world: World, browser: FlaskClient, target: str) -> None:
    service = parse_qs(urlsplit(browser.get(f"/self/login?next={target}").headers["Location"]).query)[
        "service"
    ][0]
    world.identity.tickets[service, "ST-1"] = OWN
    answer = browser.get(service.removeprefix("http://site.test") + "&ticket=ST-1")
    assert answer.headers["Location"] == "/self/"


def test_a_page_with_a_query_is_kept_by_the_links_that_lead_back_to_it(
    world: World, browser: FlaskClient
) -> None:
    log_in(world, browser)
    look = browser.get("/self/recharge?package=P20&amount=1").text
    assert 'href="/h5/look?next=/self/recharge%3Fpackage%3DP20%26amount%3D1"' in look
    outside = world.reader(None, address=ELSEWHERE).get("/self/recharge?package=P20&amount=1").text
    assert 'href="/self/recharge?package=P20&amp;amount=1"' in outside


def test_an_identity_without_a_network_account_is_told_so(world: World, browser: FlaskClient) -> None:
    assert "E-ACCT" in log_in(world, browser, account_no="1999000000")
    assert browser.get("/self/").status_code == 302


def test_the_owner_of_a_closed_account_still_sees_what_is_there(world: World, browser: FlaskClient) -> None:
    # docs/policy.md: a closed account takes no money; what was paid stays visible.
    with world.services.transaction() as session:
        accounts.close_account(session, OWN)
    assert log_in(world, browser) == "/self/"
    assert "12.34" in browser.get("/self/").text
    for path in ("/self/packages", "/self/log", "/self/usage", "/self/traffic", "/self/statement"):
        assert browser.get(path).status_code == 200, path


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
