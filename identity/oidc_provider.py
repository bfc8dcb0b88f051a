"""What an OpenID provider publishes about itself: addresses, client authentication, signing keys.

A field that we do not use, and a key that we do not understand, cost nothing but themselves
(RFC 7517 §5); a field that we need has to be right.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from joserfc.jwk import ECKey, RSAKey

from models.errors import Malformed

# Signatures with a public key only: "none" and secrets shared with the browser prove nothing.
ALGORITHMS = ("RS256", "PS256", "ES256")
# The members that make a public key, by its kind; everything else about a key is read by ourselves.
_RSA_MEMBERS = ("n", "e")
_EC_MEMBERS = ("crv", "x", "y")
_CURVE = "P-256"
# A longer number in an answer is damage: Python refuses to read it at all.
_DIGITS_MAX = 100

SigningKey = RSAKey | ECKey


@dataclass(frozen=True)
class Provider:
    """What the provider says about itself; an optional address is empty where it has none that is usable.

    `issuer` is its name letter for letter: the slash at the end that the configuration does not keep
    belongs to it. `secret_in_form`: the client secret is a form field (`client_secret_post`).
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    end_session_endpoint: str
    userinfo_endpoint: str
    secret_in_form: bool
    keys: tuple[SigningKey, ...]
    read_at_s: float


def read_provider(issuer: str, published: Callable[[str], dict[str, Any]], now_s: float) -> Provider:
    """Read metadata and keys; `published` fetches a document.

    Raises: Unavailable; Malformed - another issuer, a missing address, or no usable key.
    """
    said = published(f"{issuer}/.well-known/openid-configuration")
    named = said.get("issuer")
    if named not in (issuer, f"{issuer}/"):
        raise Malformed("the identity server has another issuer")
    origin = origin_of(issuer)
    keys = signing_keys(published(_required(said, "jwks_uri", origin)))
    if not keys:
        raise Malformed("the identity server publishes no usable keys")
    return Provider(
        issuer=named,
        authorization_endpoint=_required(said, "authorization_endpoint", origin),
        token_endpoint=_required(said, "token_endpoint", origin),
        end_session_endpoint=_address(said, "end_session_endpoint", origin),
        userinfo_endpoint=_address(said, "userinfo_endpoint", origin),
        secret_in_form=_secret_in_form(said.get("token_endpoint_auth_methods_supported")),
        keys=keys,
        read_at_s=now_s,
    )


def signing_keys(published: dict[str, Any]) -> tuple[SigningKey, ...]:
    """Return the keys of a JWK set that can have signed a token of ours; the others are ignored."""
    entries = published.get("keys")
    made = [_signing_key(entry) for entry in entries] if isinstance(entries, list) else []
    return tuple(key for key in made if key is not None)


def origin_of(url: str) -> str:
    """Return scheme and host of an address."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def json_object(body: bytes) -> dict[str, Any]:
    """Return the object in an answer; a character that cannot be read costs its text only.

    Raises: Malformed.
    """
    try:
        text = body.decode(json.detect_encoding(body), "replace")
        found = json.loads(text, strict=False, parse_int=_whole_number)
    except (ValueError, RecursionError) as error:
        raise Malformed("identity answer is no JSON") from error
    if not isinstance(found, dict):
        raise Malformed("identity answer is no object")
    return found


def _whole_number(digits: str) -> int | None:
    return int(digits) if len(digits) <= _DIGITS_MAX else None


def _signing_key(entry: object) -> SigningKey | None:
    if not isinstance(entry, dict) or not _is_for_signatures(entry):
        return None
    kind = entry.get("kty")
    members: tuple[str, ...]
    if kind == "RSA":
        members = _RSA_MEMBERS
    elif kind == "EC" and entry.get("crv") == _CURVE:
        members = _EC_MEMBERS
    else:
        return None
    # Only what is needed is handed on: a damaged certificate beside a good key is none of our business.
    wanted = {"kty": kind, **{name: entry.get(name) for name in members}}
    wanted |= {name: entry[name] for name in ("kid", "alg") if isinstance(entry.get(name), str)}
    try:
        return RSAKey.import_key(wanted) if kind == "RSA" else ECKey.import_key(wanted)
    except Exception:  # noqa: BLE001 - whatever is wrong with one key, the others still verify
        return None


def _is_for_signatures(entry: dict[str, Any]) -> bool:
    """Return False for a key that says it is for something else; a damaged member says nothing."""
    use, alg, operations = entry.get("use"), entry.get("alg"), entry.get("key_ops")
    if isinstance(use, str) and use != "sig":
        return False
    if isinstance(alg, str) and alg not in ALGORITHMS:
        return False
    return not isinstance(operations, list) or not operations or "verify" in operations


def _secret_in_form(methods: object) -> bool:
    """Return True if the provider takes the secret in the form only; without a word it is Basic (§3)."""
    named = [methods] if isinstance(methods, str) else methods if isinstance(methods, list) else []
    return "client_secret_post" in named and "client_secret_basic" not in named


def _address(said: dict[str, Any], name: str, origin: str) -> str:
    """Return an address, empty when it cannot be used or is in the clear while the issuer is not."""
    url = said.get(name)
    if not isinstance(url, str):
        return ""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    return url if parts.scheme == urlsplit(origin).scheme and parts.netloc else ""


def _required(said: dict[str, Any], name: str, origin: str) -> str:
    """Raises: Malformed."""
    url = _address(said, name, origin)
    if not url:
        raise Malformed(f"the identity server has no usable {name}")
    return url
