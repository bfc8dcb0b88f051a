"""Host names, cookie names and keys of production."""

from __future__ import annotations

import pytest

from app.factory import WebSettings, create_app
from tests.web.conftest import MakeWorld
from tests.web.world import World

NAMES = ("net.example.edu", "pay.example.edu")


def settings(**changes: object) -> WebSettings:
    values = {"secret_key": "k" * 32, "secure_cookies": False, "trusted_proxies": 0, "trusted_hosts": NAMES}
    return WebSettings(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["/self", "/self/", "/h5/help", "/nothing", "/static/css/site.css"])
@pytest.mark.parametrize(
    "host", ["evil.example", "net.example.edu.evil.example", "", "evil.example:443", "a b"]
)
def test_no_page_answers_under_another_name(world: World, path: str, host: str) -> None:
    answer = create_app(world.services, settings()).test_client().get(path, headers={"Host": host})
    assert answer.status_code == 421
    assert "evil" not in answer.headers.get("Location", "")


@pytest.mark.parametrize("host", [*NAMES, "net.example.edu:8443", "NET.example.edu"])
def test_pages_answer_under_their_own_names(world: World, host: str) -> None:
    assert (
        create_app(world.services, settings())
        .test_client()
        .get("/h5/help", headers={"Host": host})
        .status_code
        == 200
    )


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_checks_answer_under_any_name(world: World, path: str) -> None:
    client = create_app(world.services, settings()).test_client()
    assert client.get(path, headers={"Host": "10.9.8.7:8000"}).status_code in (200, 503)


def test_the_cookie_of_production_is_for_this_host_alone(make_world: MakeWorld) -> None:
    world = make_world(base_url="https://net.example.edu")
    client = create_app(world.services, settings(secure_cookies=True)).test_client()
    answer = client.get("/h5/look", base_url="https://net.example.edu")
    cookie = next(c for c in answer.headers.getlist("Set-Cookie") if "campusnet" in c)
    assert cookie.startswith("__Host-campusnet=")
    assert all(part in cookie for part in ("Secure", "HttpOnly", "Path=/", "SameSite=Lax"))
    assert "Domain" not in cookie


def test_a_cookie_outlives_the_change_of_its_key_as_long_as_the_old_one_is_named(world: World) -> None:
    old = create_app(world.services, settings()).test_client()
    site = f"http://{NAMES[0]}"
    old.get("/h5/look", base_url=site)
    cookie = old.get_cookie("campusnet", domain=NAMES[0])
    assert cookie is not None

    def knows(app_settings: WebSettings) -> bool:
        app = create_app(world.services, app_settings)
        client = app.test_client()
        client.set_cookie("campusnet", cookie.value, domain=NAMES[0])
        with client.session_transaction(base_url=site) as session:
            return "csrf_token" in session

    assert knows(settings(secret_key="n" * 32, old_secret_keys=("k" * 32,)))
    assert not knows(settings(secret_key="n" * 32))
