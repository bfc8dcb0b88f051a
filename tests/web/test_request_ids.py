"""Which id a request has, and that its answer and its log lines name it."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from app.factory import WebSettings, create_app
from models.values.request_id import current, is_id
from tests.logged import lines_of
from tests.web.world import World
from web import errors
from web.request_ids import HEADER, RequestIds

GIVEN = "0123456789abcdef0123456789abcdef"


def client(world: World, *, trusted_proxies: int) -> FlaskClient:
    settings = WebSettings("k" * 32, secure_cookies=False, trusted_proxies=trusted_proxies)
    return create_app(world.services, settings).test_client()


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/healthz"), ("POST", "/wechat"), ("GET", "/h5/missing")]
)
def test_the_id_of_our_proxy_is_taken(world: World, method: str, path: str) -> None:
    browser = client(world, trusted_proxies=1)
    assert browser.open(path, method=method, headers={HEADER: GIVEN}).headers.getlist(HEADER) == [GIVEN]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/healthz"), ("POST", "/wechat"), ("GET", "/h5/missing")]
)
def test_without_a_proxy_nobody_chooses_an_id(world: World, method: str, path: str) -> None:
    browser = client(world, trusted_proxies=0)
    (made,) = browser.open(path, method=method, headers={HEADER: GIVEN}).headers.getlist(HEADER)
    assert is_id(made)
    assert made != GIVEN


@pytest.mark.parametrize("given", ["", "x", GIVEN[1:], GIVEN + "0", f"{GIVEN},{GIVEN}", "g" * 32, "ü" * 32])
def test_a_malformed_id_is_replaced(world: World, given: str) -> None:
    browser = client(world, trusted_proxies=1)
    (made,) = browser.get("/healthz", headers={HEADER: given}).headers.getlist(HEADER)
    assert is_id(made)
    assert made != given


def test_each_line_of_a_request_has_its_id(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = lines_of(monkeypatch, errors)

    def broken(*_arguments: object, **_named: object) -> None:
        raise RuntimeError

    browser = client(world, trusted_proxies=1)
    browser.application.before_request(broken)
    assert browser.get("/h5/help", headers={HEADER: GIVEN}).status_code == 500
    assert [(line["event"], line["request_id"]) for line in lines] == [("page_bug", GIVEN)]


def test_an_id_ends_with_its_request() -> None:
    seen: list[str | None] = []

    def behind(_environ: object, _start: object) -> list[bytes]:
        seen.append(current())
        if len(seen) > 1:
            raise RuntimeError
        return []

    entrance = RequestIds(behind, trusted=True)
    entrance({"HTTP_X_REQUEST_ID": GIVEN}, lambda *_: lambda _data: None)
    assert (seen, current()) == ([GIVEN], None)
    with pytest.raises(RuntimeError):
        entrance({}, lambda *_: lambda _data: None)
    assert current() is None
