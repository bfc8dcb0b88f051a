from __future__ import annotations

import re

import pytest
from flask.testing import FlaskClient

from tests.web.conftest import MakeWorld
from tests.web.world import World


def directives(policy: str) -> dict[str, str]:
    return dict(part.split(" ", 1) for part in policy.split("; "))


@pytest.mark.parametrize(
    "path", ["/h5/recharge", "/h5/help", "/status", "/healthz", "/h5/missing", "/go/self"]
)
def test_every_answer_forbids_inline_code_frames_and_strangers(reader: FlaskClient, path: str) -> None:
    headers = reader.get(path).headers
    policy = directives(headers["Content-Security-Policy"])
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["media-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert policy["form-action"] == "'self' https://ids.test"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"


def test_pages_are_never_kept(reader: FlaskClient) -> None:
    assert reader.get("/h5/recharge").headers["Cache-Control"] == "no-store"
    assert reader.get("/h5/missing").headers["Cache-Control"] == "no-store"


def test_files_with_a_hash_are_kept_and_others_are_asked_about(reader: FlaskClient) -> None:
    html = reader.get("/h5/help").text
    styles = re.findall(r'href="(/static/[^"]+\.css\?v=[0-9a-f]{12})"', html)
    assert len(styles) == 2
    for address in styles:
        with reader.get(address) as answer:
            assert "immutable" in answer.headers["Cache-Control"]
    with reader.get("/static/js/ui.js") as answer:
        assert answer.headers["Cache-Control"] == "no-cache"
    assert "immutable" not in reader.get("/static/nothing.css?v=1").headers["Cache-Control"]


def test_strict_transport_only_where_the_site_is_https(reader: FlaskClient, make_world: MakeWorld) -> None:
    assert "Strict-Transport-Security" not in reader.get("/healthz").headers
    secure = make_world(base_url="https://site.test")
    assert "Strict-Transport-Security" in secure.reader().get("/healthz").headers


def test_the_session_cookie_is_out_of_reach_for_scripts(world: World) -> None:
    cookie = world.reader(None).get("/h5/recharge").headers["Set-Cookie"]
    assert cookie.startswith("campusnet=")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
