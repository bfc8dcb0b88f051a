"""Unified identity by OpenID Connect: code flow with state, nonce and PKCE, a confidential client.

Source: OpenID Connect Core 1.0 §3.1, RFC 7636. `docs/decisions/0004-cas-validator.md` says what is
ours and what is the library's: signatures and claims are checked by joserfc.
"""

from __future__ import annotations

import re
import threading
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, quote_plus, urlencode, urlsplit

from joserfc.errors import InvalidKeyIdError, JoseError

from identity.base import TicketRefused, named_account
from identity.http import ask
from identity.login_states import LoginProof
from identity.oidc_provider import Provider, json_object, origin_of, read_provider
from identity.oidc_token import ClaimsRegistry, verified_claims
from models.clock import Clock
from models.errors import Malformed, Unavailable
from models.values.account_no import DEFAULT_RULES, AccountRules

CODE = re.compile(r"[\x21-\x7e]{1,2048}")
ACCESS_TOKEN = re.compile(r"[\x21-\x7e]{1,8192}")
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
class _Tokens:
    """What a code was exchanged for; `access_token` is whatever the provider wrote there."""

    id_token: str
    access_token: object


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
        return origin_of(self._config.issuer)

    def login_url(self, service: str, proof: LoginProof, *, fresh: bool = False) -> str:
        """Where the browser logs in; it comes back to `service` with a `code`.

        Raises: Unavailable - the server does not tell where; Malformed - this is no OpenID provider.
        """
        redirect_uri, state = _parted(service)
        challenge = sha256(proof.code_verifier.encode()).digest()
        query = {
            "response_type": "code",
            "client_id": self._config.client_id,
            "redirect_uri": redirect_uri,
            "scope": "openid profile",
            "state": state,
            "nonce": proof.nonce,
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

    def account_of(self, service: str, ticket: str, proof: LoginProof, *, fresh: bool = False) -> str:
        """The network account that a code proves, once; `fresh`: by a password of the last five minutes.

        Raises: TicketRefused; Unavailable - no usable answer; Malformed - unsigned, not for us, no account.
        """
        if not CODE.fullmatch(ticket):
            raise TicketRefused
        redirect_uri, _ = _parted(service)
        tokens = self._tokens(redirect_uri, ticket, proof)
        claims = self._claims(tokens.id_token, proof.nonce)
        if fresh:
            self._check_fresh(claims)
        value = claims.get(self._config.account_claim)
        if value in (None, []):
            value = self._userinfo(tokens.access_token, claims.get("sub")).get(self._config.account_claim)
        return named_account(value if isinstance(value, list) else [value], self._config.account_rules)

    def _tokens(self, redirect_uri: str, code: str, proof: LoginProof) -> _Tokens:
        provider = self._provider()
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": proof.code_verifier,
        }
        client = (self._config.client_id, self._config.client_secret)
        if provider.secret_in_form:
            form |= {"client_id": client[0], "client_secret": client[1]}
        status, body = ask(
            provider.token_endpoint,
            form=form,
            # RFC 6749 §2.3.1: both are form-encoded before they are joined.
            login=None if provider.secret_in_form else (quote_plus(client[0]), quote_plus(client[1])),
            timeout_s=self._config.timeout_s,
        )
        if status not in {HTTPStatus.OK, HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED}:
            raise Unavailable(f"identity server answered {status}")
        answer = json_object(body)
        if status != HTTPStatus.OK:
            if answer.get("error") == "invalid_grant":
                raise TicketRefused
            raise Unavailable(f"identity server refused: {str(answer.get('error'))[:40]}")
        token = answer.get("id_token")
        if not isinstance(token, str):
            raise Malformed("identity answer has no id_token")
        return _Tokens(token, answer.get("access_token"))

    def _userinfo(self, access_token: object, subject: object) -> dict[str, Any]:
        """What the provider tells beside the id token (OpenID Connect Core §5.3); empty where it cannot.

        The answer is not signed: `sub` ties it to the id token (§5.3.2).
        Raises: Unavailable; Malformed - about another person.
        """
        endpoint = self._provider().userinfo_endpoint
        if not endpoint or not isinstance(access_token, str) or not ACCESS_TOKEN.fullmatch(access_token):
            return {}
        status, body = ask(endpoint, bearer=access_token, timeout_s=self._config.timeout_s)
        if status != HTTPStatus.OK:
            raise Unavailable(f"identity server answered {status}")
        told = json_object(body)
        if not isinstance(subject, str) or told.get("sub") != subject:
            raise Malformed("userinfo is about another person")
        return told

    def _claims(self, id_token: str, nonce: str) -> dict[str, Any]:
        """Raises: Malformed - signature, issuer, audience, age or nonce is wrong."""
        registry = ClaimsRegistry(
            now=int(self._clock().timestamp()),
            leeway=LEEWAY_S,
            iss={"essential": True, "value": self._provider().issuer},
            aud={"essential": True, "value": self._config.client_id},
            exp={"essential": True},
            iat={"essential": True},
            nonce={"essential": True, "value": nonce},
        )
        try:
            claims = self._decoded(id_token)
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

    def _decoded(self, id_token: str) -> dict[str, Any]:
        try:
            return verified_claims(id_token, self._provider().keys)
        except InvalidKeyIdError:
            # The server has changed its keys since we asked.
            return verified_claims(id_token, self._provider(fresh=True).keys)

    def _provider(self, *, fresh: bool = False) -> Provider:
        now_s = self._clock().timestamp()
        with self._lock:
            known = self._known
        if known is None or fresh or now_s - known.read_at_s > METADATA_LIFE_S:
            # Without the lock: two threads may both ask, and both hear the same.
            known = read_provider(self._config.issuer, self._published, now_s)
            with self._lock:
                self._known = known
        return known

    def _published(self, url: str) -> dict[str, Any]:
        status, body = ask(url, timeout_s=self._config.timeout_s)
        if status != HTTPStatus.OK:
            raise Unavailable(f"identity server answered {status}")
        return json_object(body)


def _parted(service: str) -> tuple[str, str]:
    """The registered address and the state: OpenID sends them apart, CAS as one."""
    parts = urlsplit(service)
    return parts._replace(query="").geturl(), parse_qs(parts.query).get("state", [""])[0]


def _with_query(url: str, query: dict[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()
