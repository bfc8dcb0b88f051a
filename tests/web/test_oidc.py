"""OpenID Connect against the sandbox's provider, and against one that lies in every way."""

from __future__ import annotations

import hmac
import json
import socket
import threading
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from flask.testing import FlaskClient

from models.errors import Malformed, Unavailable
from payments import binding
from sandbox.credentials import Credentials
from sandbox.engine import Site
from sandbox.server import Sandbox
from tests.sandbox.oa_rig import Answer
from tests.web.conftest import MakeWorld, csrf_in
from tests.web.oidc_rig import CLIENT_ID, CLIENT_SECRET, NOW_S, SERVICE, Liar, against, code_in, log_in
from tests.web.portal_visitor import CAMPUS
from tests.web.world import BASE_URL, NOW, OPENID, OWN, PlayedIdentity, World
from web.identity import TicketRefused
from web.identity_http import ANSWER_LIMIT_BYTES, ask
from web.oidc import METADATA_LIFE_S, OidcConfig, OidcIdentity


@pytest.fixture(scope="module")
def sandbox(credentials: Credentials) -> Iterator[Sandbox]:
    with Sandbox(credentials, Site(BASE_URL, f"{BASE_URL}/wechat")) as started:
        yield started


@pytest.fixture
def site(make_world: MakeWorld, sandbox: Sandbox) -> World:
    """The pages with the sandbox as their unified identity."""
    return make_world(identity=cast("PlayedIdentity", against(sandbox)))


@pytest.fixture
def browser(site: World) -> FlaskClient:
    return site.reader(address=CAMPUS)


def test_the_portal_opens_for_whoever_logs_in(browser: FlaskClient) -> None:
    out = browser.get("/self/login").headers["Location"]
    back = log_in(out)
    assert parse_qs(urlsplit(back).query)["state"] == parse_qs(urlsplit(out).query)["state"]
    assert browser.get(back.removeprefix(BASE_URL)).headers["Location"] == "/self/"
    assert OWN in browser.get("/self/").text


@pytest.mark.parametrize("path", ["/self/recharge?package=P05&amount=5000", "/self/statement?before=7"])
def test_the_login_leads_to_the_page_that_was_asked_for(browser: FlaskClient, path: str) -> None:
    out = browser.get(browser.get(path).headers["Location"]).headers["Location"]
    assert browser.get(log_in(out).removeprefix(BASE_URL)).headers["Location"] == path


def test_a_wechat_user_binds_the_account_that_was_proved(site: World, browser: FlaskClient) -> None:
    back = log_in(browser.get("/h5/bind/login").headers["Location"])
    browser.get(back.removeprefix(BASE_URL))
    assert binding.bound_account(site.services, OPENID) == OWN


def test_whoever_gives_up_at_the_provider_is_not_logged_in(browser: FlaskClient) -> None:
    out = browser.get("/self/login").headers["Location"]
    state = parse_qs(urlsplit(out).query)["state"][0]
    answer = browser.get(f"/self/callback?error=access_denied&state={state}")
    assert (answer.status_code, "E-TICKET" in answer.text) == (403, True)
    assert browser.get("/self/").status_code == 302


def test_a_code_that_another_browser_began_opens_nothing(site: World, browser: FlaskClient) -> None:
    back = log_in(site.reader(address=CAMPUS).get("/self/login").headers["Location"])
    browser.get("/self/login")
    assert "E-PAGE" in browser.get(back.removeprefix(BASE_URL)).text
    assert browser.get("/self/").status_code == 302


def test_logging_out_leads_through_the_provider(sandbox: Sandbox, browser: FlaskClient) -> None:
    browser.get(log_in(browser.get("/self/login").headers["Location"]).removeprefix(BASE_URL))
    token = csrf_in(browser.get("/self/").text)
    out = browser.post("/self/logout", data={"csrf_token": token}).headers["Location"]
    assert out.startswith(f"{sandbox.url}/oidc/logout?")
    answer = requests.get(out, timeout=5, allow_redirects=False)
    assert answer.headers["Location"] == f"{BASE_URL}/self/"


def test_a_code_is_worth_an_account_once(sandbox: Sandbox) -> None:
    identity = against(sandbox)
    code = code_in(log_in(identity.login_url(SERVICE)))
    assert identity.account_of(SERVICE, code) == OWN
    with pytest.raises(TicketRefused):
        identity.account_of(SERVICE, code)


def test_a_stolen_code_is_worth_nothing_in_another_login(sandbox: Sandbox) -> None:
    identity = against(sandbox)
    code = code_in(log_in(identity.login_url(SERVICE)))
    with pytest.raises(TicketRefused):
        identity.account_of(SERVICE.replace("abc123", "other"), code)


def test_a_wrong_client_secret_is_the_operators_trouble(sandbox: Sandbox) -> None:
    identity = against(sandbox, "wrong")
    code = code_in(log_in(identity.login_url(SERVICE)))
    with pytest.raises(Unavailable, match="invalid_client"):
        identity.account_of(SERVICE, code)


@pytest.mark.parametrize(
    "changed",
    [
        "prompt=select_account",
        "max_age=soon",
        "client_id=x",
        "redirect_uri=http://evil.test/",
        "response_type=token",
        "code_challenge=",
    ],
)
def test_the_provider_of_the_sandbox_is_strict(sandbox: Sandbox, changed: str) -> None:
    name, _, value = changed.partition("=")
    url = urlsplit(against(sandbox).login_url(SERVICE))
    query = {key: values[0] for key, values in parse_qs(url.query).items()} | {name: value}
    answer = requests.get(url._replace(query="").geturl(), params=query, timeout=5)
    assert answer.status_code == 400


@pytest.fixture
def liar(sandbox: Sandbox) -> Iterator[Liar]:
    made = Liar(sandbox.oidc)
    yield made
    made.server.stop()


def test_an_honest_token_names_the_account(liar: Liar) -> None:
    assert liar.answer(liar.oidc.signed(liar.honest_claims())) == OWN
    (asked,) = liar.asked("/oidc/token")
    form = parse_qs(asked.body.decode())
    assert form["redirect_uri"] == [f"{BASE_URL}/self/callback"]
    assert form["grant_type"] == ["authorization_code"]
    assert CLIENT_SECRET not in asked.body.decode()


def test_a_realm_around_the_account_is_no_part_of_it(liar: Liar) -> None:
    assert liar.answer(liar.oidc.signed(liar.honest_claims() | {"sub": f"{OWN}@telecom"})) == OWN


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "http://evil.test/oidc"},
        {"iss": None},
        {"aud": "another-site"},
        {"aud": None},
        {"aud": [CLIENT_ID, "another-site"]},
        {"aud": [CLIENT_ID, "another-site"], "azp": "another-site"},
        {"azp": "another-site"},
        {"exp": NOW_S - 61},
        {"exp": None},
        {"iat": NOW_S + 3600},
        {"iat": None},
        {"nonce": "of another login"},
        {"nonce": None},
        {"sub": None},
        {"sub": 2400101001},
        {"sub": "../2400101001"},
        {"sub": ""},
    ],
)
def test_a_signed_token_that_is_not_for_this_login_proves_nothing(
    liar: Liar, changes: dict[str, Any]
) -> None:
    claims = liar.honest_claims() | changes
    token = liar.oidc.signed({name: value for name, value in claims.items() if value is not None})
    with pytest.raises(Malformed):
        liar.answer(token)


def test_a_provider_whose_name_ends_with_a_slash_is_known_by_it(liar: Liar) -> None:
    # The configuration keeps no slash at the end; this server's own word for itself has one.
    liar.metadata["issuer"] = f"{liar.issuer}/"
    claims = liar.honest_claims()
    assert liar.answer(liar.oidc.signed(claims | {"iss": f"{liar.issuer}/"})) == OWN
    with pytest.raises(Malformed):
        liar.answer(liar.oidc.signed(claims))


def test_a_token_for_several_sites_counts_when_it_was_made_for_this_one(liar: Liar) -> None:
    claims = liar.honest_claims() | {"aud": [CLIENT_ID, "another-site"], "azp": CLIENT_ID}
    assert liar.answer(liar.oidc.signed(claims)) == OWN


def without_signature(token: str) -> str:
    claims = token.split(".")[1]
    return f"{_part({'alg': 'none'})}.{claims}."


def signed_with_what_everybody_knows(token: str) -> str:
    claims = token.split(".")[1]
    text = f"{_part({'alg': 'HS256', 'kid': 'sandbox-1'})}.{claims}"
    return f"{text}.{_b64(hmac.digest(CLIENT_ID.encode(), text.encode(), 'sha256'))}"


def changed_afterwards(token: str) -> str:
    head, claims, signature = token.split(".")
    return f"{head}.{claims[:-4]}AAAA.{signature}"


def of_another_key(token: str) -> str:
    head, claims, signature = token.split(".")
    return f"{head}.{claims}.{signature[:8]}{signature[8:][::-1]}"


@pytest.mark.parametrize(
    "forge",
    [without_signature, signed_with_what_everybody_knows, changed_afterwards, of_another_key, str.upper],
)
def test_a_token_that_the_provider_did_not_sign_proves_nothing(
    liar: Liar, forge: Callable[[str], str]
) -> None:
    with pytest.raises(Malformed):
        liar.answer(forge(liar.oidc.signed(liar.honest_claims())))


def test_changed_keys_are_looked_up_once(liar: Liar) -> None:
    token = liar.oidc.signed(liar.honest_claims())
    liar.keys = {"keys": [liar.keys["keys"][0] | {"kid": "of-last-year"}]}
    liar.now = liar.now.fromtimestamp(NOW_S + METADATA_LIFE_S + 1, tz=NOW.tzinfo)
    liar.identity.login_url(SERVICE)
    liar.now = NOW
    with pytest.raises(Malformed):
        liar.answer(token)
    assert len(liar.asked("/oidc/jwks")) == 3
    liar.keys = liar.oidc.jwks()
    assert liar.answer(token) == OWN
    assert len(liar.asked("/oidc/jwks")) == 4


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (400, b'{"error": "invalid_grant"}', TicketRefused),
        (400, b'{"error": "invalid_request"}', Unavailable),
        (401, b'{"error": "invalid_client"}', Unavailable),
        (302, b"", Unavailable),
        (500, b"<html>", Unavailable),
        (200, b"<html>", Malformed),
        (200, b"[]", Malformed),
        (200, b'{"access_token": "x"}', Malformed),
        (200, b'{"id_token": 1}', Malformed),
        (200, b" " * (ANSWER_LIMIT_BYTES + 1), Malformed),
    ],
)
def test_every_answer_has_one_of_three_outcomes(
    liar: Liar, status: int, body: bytes, error: type[Exception]
) -> None:
    liar.token = Answer(body, status)
    with pytest.raises(error):
        liar.identity.account_of(SERVICE, "code-1")


@pytest.mark.parametrize("code", ["", "with space", "x" * 2049, "ö"])
def test_what_cannot_be_a_code_is_not_asked_about(liar: Liar, code: str) -> None:
    with pytest.raises(TicketRefused):
        liar.identity.account_of(SERVICE, code)
    assert liar.server.received == []


@pytest.mark.parametrize(
    "changes",
    [
        {"issuer": "http://evil.test/oidc"},
        {"token_endpoint": "ftp://ids.test/token"},
        {"authorization_endpoint": None},
        {"jwks_uri": 7},
    ],
)
def test_a_provider_that_describes_itself_badly_is_not_used(liar: Liar, changes: dict[str, Any]) -> None:
    liar.metadata |= changes
    with pytest.raises(Malformed):
        liar.identity.login_url(SERVICE)


@pytest.mark.parametrize("keys", [{}, {"keys": [{"kty": "??"}]}, {"keys": 5}])
def test_unusable_keys_are_told(liar: Liar, keys: dict[str, Any]) -> None:
    liar.keys = keys
    with pytest.raises(Malformed):
        liar.identity.login_url(SERVICE)


def test_a_provider_that_is_away_is_unavailable() -> None:
    identity = OidcIdentity(OidcConfig("http://127.0.0.1:9/oidc", CLIENT_ID, CLIENT_SECRET), lambda: NOW)
    with pytest.raises(Unavailable):
        identity.login_url(SERVICE)


def test_an_answer_that_breaks_off_is_no_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def half() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")

        thread = threading.Thread(target=half, daemon=True)
        thread.start()
        with pytest.raises(Unavailable):
            ask(f"http://127.0.0.1:{server.getsockname()[1]}/", timeout_s=2.0)
        thread.join()


def _part(value: dict[str, Any]) -> str:
    return _b64(json.dumps(value).encode())


def _b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
