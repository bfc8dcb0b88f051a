"""WeChat's OAuth: the state belongs to the browser, works once, and leads back to the page asked for."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient

from tests.web.world import OPENID, World
from web import rates, signin


def begin(client: FlaskClient, path: str) -> str:
    """Open a page unknown; the state that goes to WeChat."""
    answer = client.get(path)
    assert answer.status_code == 302
    parts = urlsplit(answer.headers["Location"])
    assert parts.netloc == "open.weixin.test"
    query = parse_qs(parts.query)
    assert query["redirect_uri"] == ["http://site.test/h5/oauth/callback"]
    return query["state"][0]


def test_a_deep_link_survives_the_login(world: World) -> None:
    client = world.reader(None)
    state = begin(client, "/h5/recharge?account=2400101002&amount=50")
    back = client.get(f"/h5/oauth/callback?code={OPENID}&state={state}")
    assert back.headers["Location"] == "/h5/recharge?account=2400101002&amount=50"
    assert client.get(back.headers["Location"]).status_code == 200


def test_a_state_works_once(world: World) -> None:
    client = world.reader(None)
    state = begin(client, "/h5/orders")
    client.get(f"/h5/oauth/callback?code={OPENID}&state={state}")
    again = client.get(f"/h5/oauth/callback?code={OPENID}&state={state}")
    assert (again.status_code, "E-PAGE" in again.text) == (400, True)


def test_two_logins_at_once_both_come_back(world: World) -> None:
    # Two taps on one link: WeChat answers both, the older one first.
    client = world.reader(None)
    older, newer = begin(client, "/h5/orders"), begin(client, "/h5/usage")
    back = client.get(f"/h5/oauth/callback?code={OPENID}&state={older}")
    assert back.headers.get("Location") == "/h5/orders"
    back = client.get(f"/h5/oauth/callback?code={OPENID}&state={newer}")
    assert back.headers.get("Location") == "/h5/usage"


@pytest.mark.parametrize("state", ["", "0" * 32, "ä"])
def test_a_state_of_nobody_is_refused(world: World, state: str) -> None:
    client = world.reader(None)
    begin(client, "/h5/orders")
    assert client.get(f"/h5/oauth/callback?code={OPENID}&state={state}").status_code == 400
    assert client.get("/h5/orders").status_code == 302


def test_a_state_of_another_browser_is_refused(world: World) -> None:
    state = begin(world.reader(None), "/h5/orders")
    assert world.reader(None).get(f"/h5/oauth/callback?code={OPENID}&state={state}").status_code == 400


def test_a_state_is_too_old_after_ten_minutes(world: World) -> None:
    client = world.reader(None)
    state = begin(client, "/h5/orders")
    world.clock.pass_by(601)
    assert client.get(f"/h5/oauth/callback?code={OPENID}&state={state}").status_code == 400


def test_the_login_is_forgotten_after_half_a_day(world: World) -> None:
    client = world.reader()
    assert client.get("/h5/orders").status_code == 200
    world.clock.pass_by(12 * 3600 + 1)
    assert client.get("/h5/orders").status_code == 302


@pytest.mark.parametrize("path", ["/h5/recharge", "/h5/orders", "/h5/usage", "/h5/bind", "/h5/pay/r1"])
def test_outside_wechat_a_page_shows_its_code_and_never_fails(world: World, path: str) -> None:
    client = world.reader(None)
    client.environ_base["HTTP_USER_AGENT"] = "Mozilla/5.0 (X11; Linux) Firefox/140"
    answer = client.get(path)
    assert answer.status_code == 200
    assert "请用微信扫一扫打开" in answer.text
    assert "<svg" in answer.text
    assert f'data-copy="http://site.test{path}"' in answer.text


def test_scripts_are_told_to_log_in_and_not_sent_around(world: World) -> None:
    answer = world.reader(None).get("/h5/name?account=2400101002", headers={"Accept": "application/json"})
    assert answer.status_code == 401
    assert answer.json is not None
    assert answer.json["code"] == "E-LOGIN"


@pytest.mark.parametrize("size", [300, 2200, 2400, 60_000])
def test_the_code_of_a_page_holds_its_path_and_known_parameters_only(world: World, size: int) -> None:
    client = world.reader(None)
    client.environ_base["HTTP_USER_AGENT"] = "Mozilla/5.0 (X11; Linux) Firefox/140"
    answer = client.get(f"/h5/recharge?account=2400101002&ticket=ST-secret&x={'A' * size}&amount=5")
    assert answer.status_code == 200
    assert 'data-copy="http://site.test/h5/recharge?account=2400101002&amp;amount=5"' in answer.text
    assert "secret" not in answer.text
    longer = client.get(f"/h5/recharge?account={'9' * size}")
    assert longer.status_code == 200
    assert 'data-copy="http://site.test/h5/recharge"' in longer.text


def test_a_flood_of_new_browsers_does_not_stop_those_known(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "ANONYMOUS", 6)
    monkeypatch.setattr(signin, "BEGINS", 6)
    known = world.reader(None)
    begin(known, "/h5/orders")
    flood = [world.reader(None).get("/h5/orders").status_code for _ in range(8)]
    assert (flood[0], flood[-1]) == (302, 429)
    begin(known, "/h5/orders")


def test_a_known_browser_has_a_limit_of_its_own(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signin, "BEGINS_OF_BROWSER", 3)
    client = world.reader(None)
    answers = [client.get("/h5/orders").status_code for _ in range(6)]
    assert (answers[0], answers[-1]) == (302, 429)
    begin(world.reader(None), "/h5/orders")
