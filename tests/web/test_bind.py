from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient

from payments import binding
from tests.web.conftest import csrf_in
from tests.web.world import OPENID, OTHER, OWN, STRANGER, World


def begin(client: FlaskClient, path: str = "/h5/bind/login") -> str:
    """Start a login; the service that the identity server is given."""
    location = urlsplit(client.get(path).headers["Location"])
    assert location.netloc == "ids.test"
    return parse_qs(location.query)["service"][0]


def finish(world: World, client: FlaskClient, service: str, account_no: str = OWN) -> str:
    """Come back with a ticket; the text of the page that is shown in the end."""
    world.identity.tickets[service, "ST-1"] = account_no
    path = service.removeprefix("http://site.test")
    return client.get(f"{path}&ticket=ST-1", follow_redirects=True).text


def test_a_login_binds_the_account_that_it_proves(world: World, reader: FlaskClient) -> None:
    page = finish(world, reader, begin(reader))
    assert "绑定成功" in page
    assert OWN in page
    assert binding.bound_account(world.services, OPENID) == OWN


def test_the_page_that_was_asked_for_is_one_tap_away(world: World, reader: FlaskClient) -> None:
    page = finish(world, reader, begin(reader, "/h5/bind/login?next=/h5/usage"))
    assert '<a class="button button-main" href="/h5/usage">继续</a>' in page


def test_a_foreign_target_is_dropped(world: World, reader: FlaskClient) -> None:
    page = finish(world, reader, begin(reader, "/h5/bind/login?next=//evil.test/h5/"))
    assert "evil.test" not in page


def test_a_ticket_without_our_login_binds_nothing(world: World, reader: FlaskClient) -> None:
    """An attacker's ticket sent as a link must not bind the attacker's account to the victim."""
    service = begin(world.reader(STRANGER))
    page = finish(world, reader, service, OTHER)
    assert "E-PAGE" in page
    assert binding.bound_account(world.services, OPENID) is None


def test_a_ticket_is_worth_nothing_the_second_time(world: World, reader: FlaskClient) -> None:
    service = begin(reader)
    finish(world, reader, service)
    assert "E-PAGE" in finish(world, reader, service, OTHER)
    assert binding.bound_account(world.services, OPENID) == OWN


def test_a_refused_ticket_says_to_log_in_again(reader: FlaskClient) -> None:
    path = begin(reader).removeprefix("http://site.test")
    answer = reader.get(f"{path}&ticket=ST-forged")
    assert answer.status_code == 403
    assert "重新登录" in answer.text


def test_an_identity_without_a_network_account_is_not_bound(world: World, reader: FlaskClient) -> None:
    assert "E-ACCT" in finish(world, reader, begin(reader), "1999000000")
    assert binding.bound_account(world.services, OPENID) is None


def test_unbinding_takes_two_taps(world: World, reader: FlaskClient) -> None:
    world.bind()
    html = reader.get("/h5/bind").text
    assert html.index("<summary>解除绑定</summary>") < html.index("确认解除绑定")
    answer = reader.post("/h5/bind/remove", data={"csrf_token": csrf_in(html)}, follow_redirects=True)
    assert "已解除绑定" in answer.text
    assert binding.bound_account(world.services, OPENID) is None


@pytest.mark.parametrize("path", ["/h5/usage"])
def test_pages_about_the_own_account_lead_to_binding(reader: FlaskClient, path: str) -> None:
    assert reader.get(path).headers["Location"] == f"/h5/bind?next={path}"


def test_usage_shows_what_is_left_and_a_bar_for_each_day_with_traffic(
    world: World, reader: FlaskClient
) -> None:
    world.bind()
    html = reader.get("/h5/usage").text
    assert "剩 5.0 / 30.0 GB" in html
    assert html.count("<rect ") == 14
    assert "更新于 09:05" in html
