"""The campus's unified identity as an OpenID provider: code flow, PKCE required, RS256.

One client is registered: the official account's app_id and app_secret. No session is kept: every
login asks for the password, so `prompt=login` changes nothing; who sends `max_age` is told `auth_time`.
"""

from __future__ import annotations

import hmac
import json
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from sandbox.cas import Cas
from sandbox.engine import Engine
from sandbox.students import Identity
from sandbox.urls import with_parameters

CODE_LIFE_S = 60
TOKEN_LIFE_S = 300
KEY_ID = "sandbox-1"


class OidcRefused(Exception):
    """`code` is one of the protocol's words (RFC 6749 §4.1.2.1, §5.2)."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


@dataclass
class Grant:
    """What a code stands for; good once, for a minute."""

    identity: Identity
    redirect_uri: str
    nonce: str
    challenge: str
    at: float
    tell_when: bool
    used: bool = False


class Oidc:
    """Codes and tokens; the pages are in `oidc_views`."""

    def __init__(self, engine: Engine, cas: Cas) -> None:
        self._engine = engine
        self._cas = cas
        self._grants: dict[str, Grant] = {}

    @cached_property
    def _key(self) -> rsa.RSAPrivateKey:
        # Made when first needed: most users of the sandbox never are.
        return rsa.generate_private_key(public_exponent=65537, key_size=2048)

    def reset(self) -> None:
        """Forget every code."""
        with self._engine.lock:
            self._grants.clear()

    def metadata(self, issuer: str) -> dict[str, Any]:
        """The discovery document."""
        return {
            "issuer": issuer,
            "authorization_endpoint": f"{issuer}/authorize",
            "token_endpoint": f"{issuer}/token",
            "jwks_uri": f"{issuer}/jwks",
            "end_session_endpoint": f"{issuer}/logout",
            "response_types_supported": ["code"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "code_challenge_methods_supported": ["S256"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
        }

    def jwks(self) -> dict[str, Any]:
        """The public key that tokens are signed with."""
        with self._engine.lock:
            numbers = self._key.public_key().public_numbers()
        return {
            "keys": [
                {
                    "kty": "RSA", "use": "sig", "alg": "RS256", "kid": KEY_ID,
                    "n": _number(numbers.n), "e": _number(numbers.e),
                }
            ]
        }  # fmt: skip

    def check_request(self, asked: dict[str, str]) -> None:
        """Raises: OidcRefused - this request for a login is not one of our client's."""
        if asked.get("client_id") != self._engine.credentials.app_id:
            raise OidcRefused("unauthorized_client", "no such client")
        redirect_uri = asked.get("redirect_uri", "")
        if not self._cas.allows(redirect_uri) or "?" in redirect_uri:
            raise OidcRefused("invalid_request", "redirect_uri is not registered")
        if asked.get("response_type") != "code" or "openid" not in asked.get("scope", "").split():
            raise OidcRefused("invalid_request", "only response_type=code with scope openid")
        if asked.get("code_challenge_method") != "S256" or not asked.get("code_challenge"):
            raise OidcRefused("invalid_request", "PKCE with S256 is required")
        if asked.get("prompt", "") not in ("", "login") or not (asked.get("max_age") or "0").isdecimal():
            raise OidcRefused("invalid_request", "unknown prompt, or max_age is no number")

    def code_url(self, identity: Identity, asked: dict[str, str]) -> str:
        """The registered address with a fresh code and the state."""
        code = secrets.token_urlsafe(32)
        with self._engine.lock:
            self._grants[code] = Grant(
                identity,
                asked["redirect_uri"],
                asked.get("nonce", ""),
                asked["code_challenge"],
                self._engine.clock.timestamp(),
                tell_when=bool(asked.get("max_age")),
            )
        return with_parameters(asked["redirect_uri"], {"code": code, "state": asked.get("state", "")})

    def id_token(self, issuer: str, client: tuple[str, str], form: dict[str, str]) -> str:
        """The signed token for a code, once. Raises: OidcRefused."""
        keys = self._engine.credentials
        if not hmac.compare_digest("\0".join(client).encode(), f"{keys.app_id}\0{keys.app_secret}".encode()):
            raise OidcRefused("invalid_client", "wrong client credentials")
        challenge = _base64url(sha256(form.get("code_verifier", "").encode()).digest())
        now = self._engine.clock.timestamp()
        with self._engine.lock:
            grant = self._grants.get(form.get("code", ""))
            if grant is None or grant.used or now - grant.at > CODE_LIFE_S:
                raise OidcRefused("invalid_grant", "code is unknown, used or too old")
            grant.used = True
        if grant.redirect_uri != form.get("redirect_uri") or grant.challenge != challenge:
            raise OidcRefused("invalid_grant", "redirect_uri or code_verifier does not fit")
        told = {"auth_time": int(grant.at)} if grant.tell_when else {}
        return self.signed(
            {
                **told,
                "iss": issuer,
                "aud": keys.app_id,
                "sub": grant.identity.account_no,
                "name": grant.identity.name,
                "nonce": grant.nonce,
                "iat": int(now),
                "exp": int(now) + TOKEN_LIFE_S,
            }
        )

    def signed(self, claims: dict[str, Any]) -> str:
        """A JWT with these claims."""
        header = {"alg": "RS256", "kid": KEY_ID, "typ": "JWT"}
        text = ".".join(_base64url(json.dumps(part).encode()) for part in (header, claims))
        signature = self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{text}.{_base64url(signature)}"


def _number(value: int) -> str:
    return _base64url(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
