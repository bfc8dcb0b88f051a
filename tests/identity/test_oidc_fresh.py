"""A fresh login by OpenID Connect: the provider says when the password was typed, and is held to it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient

from identity.base import TicketRefused
from models.errors import Malformed
from sandbox.credentials import Credentials
from sandbox.engine import Site
from sandbox.server import Sandbox
from tests.identity.oidc_rig import NOW_S, PROOF, SERVICE, Liar, against, code_in, log_in
from tests.web.conftest import MakeWorld
from tests.web.portal_visitor import CAMPUS
from tests.web.world import BASE_URL, OWN, PlayedIdentity


@pytest.fixture(scope="module")
def sandbox(credentials: Credentials) -> Iterator[Sandbox]:
    with Sandbox(credentials, Site(BASE_URL, f"{BASE_URL}/wechat")) as started:
        yield started


@pytest.fixture
def browser(make_world: MakeWorld, sandbox: Sandbox) -> FlaskClient:
    return make_world(identity=cast("PlayedIdentity", against(sandbox))).reader(address=CAMPUS)


@pytest.fixture
def liar(sandbox: Sandbox) -> Iterator[Liar]:
    made = Liar(sandbox.oidc)
    yield made
    made.server.stop()


def test_a_fresh_login_asks_for_the_password_and_proves_when_it_was_typed(sandbox: Sandbox) -> None:
    identity = against(sandbox)
    asked = parse_qs(urlsplit(identity.login_url(SERVICE, PROOF, fresh=True)).query)
    assert (asked["prompt"], asked["max_age"]) == (["login"], ["300"])
    assert not {"prompt", "max_age"} & parse_qs(urlsplit(identity.login_url(SERVICE, PROOF)).query).keys()
    code = code_in(log_in(identity.login_url(SERVICE, PROOF, fresh=True)))
    assert identity.account_of(SERVICE, code, PROOF, fresh=True) == OWN


def test_a_login_whose_address_was_changed_on_the_way_is_not_fresh(sandbox: Sandbox) -> None:
    identity = against(sandbox)
    code = code_in(log_in(identity.login_url(SERVICE, PROOF)))
    with pytest.raises(Malformed, match="auth_time"):
        identity.account_of(SERVICE, code, PROOF, fresh=True)


def test_the_payout_form_opens_after_a_fresh_login(browser: FlaskClient) -> None:
    browser.get(log_in(browser.get("/self/login").headers["Location"]).removeprefix(BASE_URL))
    assert "重新登录并填写申请" in browser.get("/self/payout").text
    out = browser.get("/self/login?fresh=1&next=/self/payout").headers["Location"]
    assert browser.get(log_in(out).removeprefix(BASE_URL)).headers["Location"] == "/self/payout"
    assert "申请退回 ¥12.34" in browser.get("/self/payout").text


@pytest.mark.parametrize("age_s", [0, 0.5, 300, 360, -60])
def test_a_password_of_the_last_five_minutes_is_fresh(liar: Liar, age_s: float) -> None:
    claims = liar.honest_claims() | {"auth_time": NOW_S - age_s}
    assert liar.answer(liar.oidc.signed(claims), fresh=True) == OWN


@pytest.mark.parametrize(
    ("told", "error"),
    [
        (NOW_S - 361, TicketRefused),
        (NOW_S + 61, TicketRefused),
        (0, TicketRefused),
        (None, Malformed),
        (str(NOW_S), Malformed),
        (True, Malformed),
        (float("nan"), TicketRefused),
    ],
)
def test_an_older_password_or_none_that_is_told_is_not_fresh(
    liar: Liar, told: object, error: type[Exception]
) -> None:
    claims = liar.honest_claims() | ({} if told is None else {"auth_time": told})
    token = liar.oidc.signed(claims)
    with pytest.raises(error):
        liar.answer(token, fresh=True)
    # Where no fresh login was asked for it does not matter.
    assert liar.answer(token) == OWN
