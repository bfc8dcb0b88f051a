"""Providers of other makers: a fault in a part that is not used costs that part only."""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from joserfc.jwk import ECKey

from identity.http import ANSWER_LIMIT_BYTES
from identity.oidc import METADATA_LIFE_S, OidcIdentity
from models.errors import Malformed, Unavailable
from sandbox.credentials import Credentials
from sandbox.engine import Site
from sandbox.server import Sandbox
from tests.identity.damage import damaged
from tests.identity.oidc_rig import CLIENT_ID, CLIENT_SECRET, NOW_S, PROOF, Liar
from tests.sandbox.oa_rig import Answer
from tests.web.world import BASE_URL, NOW, OWN

CLAIM = "student_no"
# What each answer may hold that we make no use of.
METADATA = (
    "scopes_supported", "response_types_supported", "id_token_signing_alg_values_supported",
    "claims_supported", "registration_endpoint",
    "userinfo_endpoint", "end_session_endpoint", "introspection_endpoint",
    "check_session_iframe", "code_challenge_methods_supported", "subject_types_supported",
    "token_endpoint_auth_methods_supported", "token_endpoint_auth_signing_alg_values_supported", "New",
)  # fmt: skip
KEY = ("x5c", "x5t", "x5t#S256", "x5u", "iat", "nbf", "exp", "ext", "New")
CLAIMS = ("jti", "acr", "amr", "at_hash", "name", "email", "groups", "sid", "auth_time", CLAIM, "typ", "New")
HEADER = (
    "typ",
    "cty",
    "x5t",
    "x5t#S256",
    "x5c",
    "x5u",
    "jku",
    "jwk",
    "org.apereo.cas.services.RegisteredService",
)
TOKEN = ("access_token", "token_type", "expires_in", "refresh_token", "scope", "session_state", "New")
USERINFO = ("name", "email", "picture", "groups", "updated_at", "address", "New")


@pytest.fixture(scope="module")
def sandbox(credentials: Credentials) -> Iterator[Sandbox]:
    with Sandbox(credentials, Site(BASE_URL, f"{BASE_URL}/wechat")) as started:
        yield started


@pytest.fixture
def liar(sandbox: Sandbox) -> Iterator[Liar]:
    made = Liar(sandbox.oidc)
    yield made
    made.server.stop()


@pytest.fixture
def claiming(sandbox: Sandbox) -> Iterator[Liar]:
    """A provider that keeps the account in a claim of its own, with userinfo."""
    made = Liar(sandbox.oidc, account_claim=CLAIM)
    made.metadata["userinfo_endpoint"] = f"{made.issuer}/userinfo"
    yield made
    made.server.stop()


def anew(liar: Liar) -> None:
    """Forget what the provider published."""
    liar.identity = OidcIdentity(liar.identity._config, lambda: liar.now)


def test_damaged_metadata_costs_the_damaged_field_only(liar: Liar) -> None:
    good = liar.metadata
    for name, liar.metadata in damaged(good, METADATA):
        anew(liar)
        assert liar.answer(liar.oidc.signed(liar.honest_claims())) == OWN, name


def test_a_damaged_logout_address_is_none(liar: Liar) -> None:
    good = liar.metadata
    for _, liar.metadata in damaged(good, ("end_session_endpoint",)):
        anew(liar)
        assert liar.identity.logout_url(BASE_URL) == BASE_URL


def test_a_damaged_member_of_a_key_costs_the_member_only(liar: Liar) -> None:
    good = liar.keys["keys"][0]
    token = liar.oidc.signed(liar.honest_claims())
    for name, key in damaged(good, KEY):
        liar.keys = {"keys": [key]}
        anew(liar)
        assert liar.answer(token) == OWN, name


def _entries() -> dict[str, Any]:
    point = {
        "x": "MsSuLR8ZgRlfmQRGajnJlI4jC7_yZgvhcVpFiTNMdMc",
        "y": "vDc2ov9foQIbxulAN_KidMbXNsaQITwhU0fWKQ0hOeA",
    }
    rsa = {"kty": "RSA", "use": "sig", "kid": "other"}
    return {
        "SM2": {"kty": "EC", "crv": "SM2", "alg": "SM2", "use": "sig", "kid": "other", **point},
        "brainpool": {"kty": "EC", "crv": "BP-256", "use": "sig", "kid": "other", **point},
        "secp256k1": {"kty": "EC", "crv": "secp256k1", "use": "sig", **point},
        "off the curve": {"kty": "EC", "crv": "P-256", "use": "sig", "x": "AA", "y": "AA"},
        "a certificate only": rsa | {"x5c": ["MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8A"]},
        "post-quantum": {"kty": "AKP", "alg": "ML-DSA-65", "pub": "AAEC"},
        "Ed25519": {"kty": "OKP", "crv": "Ed25519", "x": point["x"]},
        "symmetric": {"kty": "oct", "k": "AAEC"},
        "unknown kind": {"kty": "??"},
        "no kind": {"kid": "other"},
        "kind that is a list": {"kty": ["RSA"]},
        "for encryption": rsa | {"use": "enc", "n": "AQAB", "e": "AQAB"},
        "unknown algorithm": rsa | {"alg": "RSA-OAEP", "n": "AQAB", "e": "AQAB"},
        "numbers as numbers": rsa | {"n": 5, "e": 65537},
        "no base64": rsa | {"n": "汉字", "e": "!"},
        "empty numbers": rsa | {"n": "", "e": ""},
        "even exponent": rsa | {"n": "AQAB", "e": "Ag"},
        "half a private key": rsa | {"n": "AQAB", "e": "AQAB", "d": 7},
        "no object": 5,
        "nothing": None,
        "list": [],
        "text": "key",
    }


@pytest.mark.parametrize("name", _entries())
def test_a_key_that_is_not_understood_is_ignored(liar: Liar, name: str) -> None:
    good, odd = liar.keys["keys"][0], _entries()[name]
    token = liar.oidc.signed(liar.honest_claims())
    for keys in ([odd, good], [good, odd]):
        liar.keys = {"keys": keys}
        anew(liar)
        assert liar.answer(token) == OWN
    liar.keys = {"keys": [odd]}
    anew(liar)
    with pytest.raises(Malformed, match="usable keys"):
        liar.identity.login_url(BASE_URL, PROOF)


def test_a_key_beside_the_good_one_under_its_name_is_tried_too(liar: Liar) -> None:
    other = ECKey.generate_key("P-256").as_dict(private=False) | {"kid": "sandbox-1", "use": "sig"}
    token = liar.oidc.signed(liar.honest_claims())
    liar.keys = {"keys": [other, *liar.keys["keys"]]}
    assert liar.answer(token) == OWN


def test_a_key_without_a_name_is_tried(liar: Liar) -> None:
    token = liar.oidc.signed(liar.honest_claims())
    liar.keys = {"keys": [{**liar.keys["keys"][0], "kid": 7}]}
    assert liar.answer(token) == OWN


def test_a_key_for_encryption_verifies_nothing(liar: Liar) -> None:
    token = liar.oidc.signed(liar.honest_claims())
    for wrong in ({"use": "enc"}, {"key_ops": ["encrypt"]}, {"alg": "RSA-OAEP-256"}):
        liar.keys = {"keys": [{**liar.oidc.jwks()["keys"][0], **wrong}]}
        anew(liar)
        with pytest.raises(Malformed):
            liar.answer(token)


def test_a_damaged_claim_costs_the_claim_only(liar: Liar) -> None:
    for name, claims in damaged(liar.honest_claims(), CLAIMS):
        assert liar.answer(liar.oidc.signed(claims)) == OWN, name


def test_a_damaged_header_parameter_costs_itself_only(liar: Liar) -> None:
    claims = liar.honest_claims()
    for name, header in damaged({"alg": "RS256", "kid": "sandbox-1"}, HEADER):
        assert liar.answer(signed(liar, header, claims)) == OWN, name
    with pytest.raises(Malformed):
        liar.answer(signed(liar, {"alg": "RS256", "kid": "sandbox-1", "crit": ["New"], "New": 1}, claims))


def signed(liar: Liar, header: dict[str, Any], claims: dict[str, Any]) -> str:
    text = ".".join(_b64(json.dumps(part).encode()) for part in (header, claims))
    signature = liar.oidc._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
    return f"{text}.{_b64(signature)}"


def test_a_damaged_field_beside_the_token_costs_itself_only(liar: Liar) -> None:
    token = liar.oidc.signed(liar.honest_claims())
    for name, answer in damaged({}, TOKEN):
        assert liar.answer(token, **answer) == OWN, name
    broken = json.dumps({"id_token": token, "n": "x"}).encode()
    for field in (b'"\xb9\xf0\xb5\xe7"', b'"a\nb"', b"1" * 5000, b"NaN"):
        liar.token = Answer(broken.replace(b'"x"', field))
        assert liar.identity.account_of(f"{BASE_URL}/self/callback?state=a", "code-1", PROOF) == OWN


def test_an_answer_nested_without_end_is_no_answer(liar: Liar) -> None:
    liar.token = Answer(b"[" * 60_000)
    with pytest.raises(Malformed):
        liar.identity.account_of(f"{BASE_URL}/self/callback?state=a", "code-1", PROOF)


@pytest.mark.parametrize(
    ("methods", "in_form"),
    [
        (["client_secret_post"], True),
        (["private_key_jwt", "client_secret_post"], True),
        ("client_secret_post", True),
        (["client_secret_basic"], False),
        (["client_secret_post", "client_secret_basic"], False),
        (["private_key_jwt"], False),
        ([], False),
        (None, False),
        (7, False),
    ],
)
def test_the_secret_goes_where_the_provider_wants_it(liar: Liar, methods: Any, *, in_form: bool) -> None:
    liar.metadata["token_endpoint_auth_methods_supported"] = methods
    assert liar.answer(liar.oidc.signed(liar.honest_claims())) == OWN
    (asked,) = liar.asked("/oidc/token")
    form = parse_qs(asked.body.decode())
    assert (form.get("client_secret"), form.get("client_id")) == (
        ([CLIENT_SECRET], [CLIENT_ID]) if in_form else (None, None)
    )
    assert ("Authorization" in asked.headers) != in_form


@pytest.mark.parametrize("value", [OWN, [OWN], [OWN, OWN], [f"{OWN}@telecom"], [f" {OWN} "]])
def test_a_claim_with_one_value_names_the_account(claiming: Liar, value: Any) -> None:
    assert claiming.answer(claiming.oidc.signed(claiming.honest_claims() | {CLAIM: value})) == OWN
    assert not claiming.asked("/oidc/userinfo")


@pytest.mark.parametrize(
    "value",
    [[OWN, "2400101009"], [OWN, ""], [OWN, None], [OWN, 7], [[OWN]], {"0": OWN}, 7, "", "x" * 200, True],
)
def test_a_claim_with_two_values_or_none_names_no_account(claiming: Liar, value: Any) -> None:
    claiming.userinfo = Answer(json.dumps({"sub": OWN, CLAIM: OWN}).encode())
    with pytest.raises(Malformed, match="names no account"):
        claiming.answer(claiming.oidc.signed(claiming.honest_claims() | {CLAIM: value}), access_token="at")
    assert not claiming.asked("/oidc/userinfo")


def told(claiming: Liar, userinfo: dict[str, Any], sub: str = "u-77") -> str:
    claiming.userinfo = Answer(json.dumps(userinfo).encode())
    return claiming.answer(claiming.oidc.signed(claiming.honest_claims() | {"sub": sub}), access_token="at-1")


def test_userinfo_names_the_account_that_the_token_does_not(claiming: Liar) -> None:
    assert told(claiming, {"sub": "u-77", CLAIM: [OWN]}) == OWN
    (asked,) = claiming.asked("/oidc/userinfo")
    assert asked.headers["Authorization"] == "Bearer at-1"
    for name, userinfo in damaged({"sub": "u-77", CLAIM: OWN}, USERINFO):
        assert told(claiming, userinfo) == OWN, name


@pytest.mark.parametrize(
    "userinfo",
    [
        {"sub": "u-78", CLAIM: OWN},
        {CLAIM: OWN},
        {"sub": ["u-77"], CLAIM: OWN},
        {"sub": "u-77"},
        {"sub": "u-77", CLAIM: [OWN, "2400101009"]},
    ],
)
def test_userinfo_about_another_person_or_without_an_account_proves_nothing(
    claiming: Liar, userinfo: dict[str, Any]
) -> None:
    with pytest.raises(Malformed):
        told(claiming, userinfo)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (Answer(b"{}", 401), Unavailable),
        (Answer(b"", 302, (("Location", "http://127.0.0.1:9/"),)), Unavailable),
        (Answer(b"<html>"), Malformed),
        (Answer(b"[]"), Malformed),
        (Answer(b" " * (ANSWER_LIMIT_BYTES + 1)), Malformed),
    ],
)
def test_userinfo_has_the_limits_of_every_answer(
    claiming: Liar, answer: Answer, error: type[Exception]
) -> None:
    claiming.userinfo = answer
    with pytest.raises(error):
        claiming.answer(claiming.oidc.signed(claiming.honest_claims()), access_token="at-1")


@pytest.mark.parametrize("change", ["no address", "address in the clear", "no token", "odd token"])
def test_without_userinfo_there_is_no_account(claiming: Liar, change: str) -> None:
    claiming.userinfo = Answer(json.dumps({"sub": OWN, CLAIM: OWN}).encode())
    if change.endswith("address"):
        del claiming.metadata["userinfo_endpoint"]
    if change == "address in the clear":
        claiming.metadata["userinfo_endpoint"] = "ftp://else.test/userinfo"
    beside: dict[str, Any] = {"access_token": "a\r\nb" if change == "odd token" else "at-1"}
    if change == "no token":
        beside = {}
    token = claiming.oidc.signed(claiming.honest_claims())
    with pytest.raises(Malformed, match="names no account"):
        claiming.answer(token, **beside)
    assert not claiming.asked("/oidc/userinfo")


def test_keys_are_read_anew_when_the_signing_key_was_one_that_was_ignored(liar: Liar) -> None:
    token = liar.oidc.signed(liar.honest_claims())
    liar.keys = {"keys": [_entries()["SM2"], {**liar.keys["keys"][0], "kid": "of-last-year"}]}
    liar.now = liar.now.fromtimestamp(NOW_S + METADATA_LIFE_S + 1, tz=NOW.tzinfo)
    liar.identity.login_url(BASE_URL, PROOF)
    liar.now = NOW
    liar.keys = liar.oidc.jwks()
    assert liar.answer(token) == OWN


def _b64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
