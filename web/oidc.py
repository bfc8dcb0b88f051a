"""Unified identity by OpenID Connect: code flow with state, nonce and PKCE, a confidential client.

Source: OpenID Connect Core 1.0 §3.1, RFC 7636. `docs/decisions/0004-cas-validator.md` says what is
ours and what is the library's: signatures and claims are checked by joserfc.
"""

from __future__ import annotations

import hmac
import json
import re
import threading
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlencode, urlsplit

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from models.clock import Clock
from models.errors import Malformed, Unavailable
from models.values.account_no import DEFAULT_RULES, AccountRules
from web.identity import TicketRefused
from web.identity_http import ask

# Signatures with a public key only: "none" and secrets shared with the browser prove nothing.
ALGORITHMS = ("RS256", "PS256", "ES256")
CODE = re.compile(r"[\x21-\x7e]{1,2048}")
LEEWAY_S = 60
# How old the password may be where a fresh login is asked for.
FRESH_S = 300
# How long the server's addresses and keys are believed; an unknown key is looked up at once.
METADATA_LIFE_S = 3600


@dataclass(frozen=True)
class OidcConfig:
    """`issuer` without a slash at the end; `account_claim` names the claim with the network account."""

    issuer: str
    client_id: str
    client_secret: str
    account_claim: str = "sub"
    timeout_s: float = 5.0
    account_rules: AccountRules = DEFAULT_RULES


@dataclass(frozen=True)
class Provider:
    """What the server says about itself; `end_session_endpoint` is empty where it has none.

    `issuer` is its name letter for letter: the slash at the end that the configuration does not keep
    belongs to it.
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    end_session_endpoint: str
    keys: KeySet
    read_at_s: float


class OidcIdentity:
    """One OpenID provider. All threads may share it: it only keeps what the provider publishes."""

    ticket_field = "code"

    def __init__(self, config: OidcConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._lock = threading.Lock()
        self._known: Provider | None = None

    @property
    def origin(self) -> str:
        """Scheme and host of the issuer: forms may lead there (content security policy)."""
        return _origin(self._config.issuer)

    def login_url(self, service: str, *, fresh: bool = False) -> str:
        """Where the browser logs in; it comes back to `service` with a `code`.

        Raises: Unavailable - the server does not tell where; Malformed - this is no OpenID provider.
        """
        redirect_uri, state = _parted(service)
        challenge = sha256(self._derived("pkce", state).encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self._config.client_id,
            "redirect_uri": redirect_uri,
            "scope": "openid profile",
            "state": state,
            "nonce": self._derived("nonce", state),
            "code_challenge": _base64url(challenge),
            "code_challenge_method": "S256",
        }
        if fresh:
            # `prompt` asks for the password; `max_age` makes the server tell when it was typed (§3.1.2.1).
            query |= {"prompt": "login", "max_age": str(FRESH_S)}
        return _with_query(self._provider().authorization_endpoint, query)

    def logout_url(self, service: str) -> str:
        """Where the browser ends the single sign-on; `service` itself when the server has no such page.

        Raises: Unavailable, Malformed.
        """
        endpoint = self._provider().end_session_endpoint
        query = {"client_id": self._config.client_id, "post_logout_redirect_uri": service}
        return _with_query(endpoint, query) if endpoint else service

    def account_of(self, service: str, ticket: str, *, fresh: bool = False) -> str:
        """The network account that a code proves, once; `fresh`: by a password of the last five minutes.

        Raises: TicketRefused; Unavailable - no usable answer; Malformed - unsigned, not for us, no account.
        """
        if not CODE.fullmatch(ticket):
            raise TicketRefused
        redirect_uri, state = _parted(service)
        token = self._id_token(redirect_uri, state, ticket)
        claims = self._claims(token, self._derived("nonce", state))
        if fresh:
            self._check_fresh(claims)
        account = claims.get(self._config.account_claim)
        account_no = self._config.account_rules.parse(account) if isinstance(account, str) else None
        if account_no is None:
            raise Malformed("identity answer names no account")
        return account_no

    def _id_token(self, redirect_uri: str, state: str, code: str) -> str:
        status, body = ask(
            self._provider().token_endpoint,
            form={
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": redirect_uri,
                "code_verifier": self._derived("pkce", state),
            },
            # RFC 6749 §2.3.1: both are form-encoded before they are joined.
            login=(quote_plus(self._config.client_id), quote_plus(self._config.client_secret)),
            timeout_s=self._config.timeout_s,
        )
        if status not in {HTTPStatus.OK, HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED}:
            raise Unavailable(f"identity server answered {status}")
        answer = _object(body)
        if status != HTTPStatus.OK:
            if answer.get("error") == "invalid_grant":
                raise TicketRefused
            raise Unavailable(f"identity server refused: {str(answer.get('error'))[:40]}")
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise Malformed("identity answer has no id_token")
        return token

    def _claims(self, id_token: str, nonce: str) -> dict[str, Any]:
        """Raises: Malformed - signature, issuer, audience, age or nonce is wrong."""
        registry = jwt.JWTClaimsRegistry(
            now=int(self._clock().timestamp()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self._provider().issuer},
            aud={"essential": True, "value": self._config.client_id},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            claims = self._decoded(id_token).claims
            registry.validate(claims)
        except (JoseError, ValueError) as error:
            raise Malformed(f"id_token refused: {type(error).__name__}") from error
        audience = claims["aud"]
        single = isinstance(audience, str) or len(audience) == 1
        # A token for several sites must say that it was made for this one.
        if claims.get("azp", self._config.client_id if single else None) != self._config.client_id:
            raise Malformed("id_token refused: made for another site")
        return claims

    def _check_fresh(self, claims: dict[str, Any]) -> None:
        """Raises: TicketRefused - the password is older; Malformed - the server does not say how old."""
        typed_s = claims.get("auth_time")
        if not isinstance(typed_s, int | float) or isinstance(typed_s, bool):
            raise Malformed("id_token refused: no auth_time though max_age was asked for")
        age_s = self._clock().timestamp() - typed_s
        if not -LEEWAY_S <= age_s <= FRESH_S + LEEWAY_S:
            raise TicketRefused

    def _decoded(self, id_token: str) -> jwt.Token:
        try:
            return jwt.decode(id_token, self._provider().keys, algorithms=ALGORITHMS)
        except InvalidKeyIdError:
            # The server has changed its keys since we asked.
            return jwt.decode(id_token, self._provider(fresh=True).keys, algorithms=ALGORITHMS)

    def _provider(self, *, fresh: bool = False) -> Provider:
        now_s = self._clock().timestamp()
        with self._lock:
            known = self._known
        if known is None or fresh or now_s - known.read_at_s > METADATA_LIFE_S:
            # Without the lock: two threads may both ask, and both hear the same.
            known = self._read_provider(now_s)
            with self._lock:
                self._known = known
        return known

    def _read_provider(self, now_s: float) -> Provider:
        said = self._published(f"{self._config.issuer}/.well-known/openid-configuration")
        issuer = said.get("issuer")
        if issuer not in (self._config.issuer, f"{self._config.issuer}/"):
            raise Malformed("the identity server has another issuer")
        try:
            keys = KeySet.import_key_set(self._published(_address(said, "jwks_uri", self.origin)))  # type: ignore[arg-type]
        except (JoseError, ValueError, KeyError, TypeError) as error:
            raise Malformed("the identity server publishes no usable keys") from error
        return Provider(
            issuer=issuer,
            authorization_endpoint=_address(said, "authorization_endpoint", self.origin),
            token_endpoint=_address(said, "token_endpoint", self.origin),
            end_session_endpoint=_address(said, "end_session_endpoint", self.origin)
            if "end_session_endpoint" in said
            else "",
            keys=keys,
            read_at_s=now_s,
        )

    def _published(self, url: str) -> dict[str, Any]:
        status, body = ask(url, timeout_s=self._config.timeout_s)
        if status != HTTPStatus.OK:
            raise Unavailable(f"identity server answered {status}")
        return _object(body)

    def _derived(self, purpose: str, state: str) -> str:
        """A secret that belongs to one login: only who has the client secret and the state can make it.

        So nothing has to be kept between the way out and the way back but the state, in the session.
        """
        secret = self._config.client_secret.encode()
        return _base64url(hmac.digest(secret, f"{purpose}:{state}".encode(), "sha256"))


def _parted(service: str) -> tuple[str, str]:
    """The registered address and the state: OpenID sends them apart, CAS as one."""
    parts = urlsplit(service)
    return parts._replace(query="").geturl(), parse_qs(parts.query).get("state", [""])[0]


def _address(said: dict[str, Any], name: str, origin: str) -> str:
    """Raises: Malformed - no address, or one in the clear while the issuer is not."""
    url = said.get(name)
    if not isinstance(url, str) or urlsplit(url).scheme != urlsplit(origin).scheme:
        raise Malformed(f"the identity server has no usable {name}")
    return url


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def _with_query(url: str, query: dict[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError as error:
        raise Malformed("identity answer is no JSON") from error
    if not isinstance(found, dict):
        raise Malformed("identity answer is no object")
    return found
