"""A provider of OpenID Connect for tests: the sandbox's, and one that lies in every way."""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests

from identity.login_states import LoginProof
from identity.oidc import OidcConfig, OidcIdentity
from sandbox.oidc import Oidc
from sandbox.server import Sandbox
from tests.sandbox.oa_rig import Answer, Received, RecordingSite
from tests.web.world import BASE_URL, NOW, OWN

PROOF = LoginProof("nonce-of-the-tests", "verifier-" + "v" * 40)
SERVICE = f"{BASE_URL}/self/callback?state=abc123"
CAMPUS = "10.70.1.23"
CLIENT_ID, CLIENT_SECRET = "campusnet", "s3cret+/ of the client"
NOW_S = int(NOW.timestamp())


def against(sandbox: Sandbox, client_secret: str = "") -> OidcIdentity:
    keys = sandbox.engine.credentials
    config = OidcConfig(f"{sandbox.url}/oidc", keys.app_id, client_secret or keys.app_secret)
    return OidcIdentity(config, sandbox.engine.clock.now)


def log_in(login_url: str) -> str:
    """The person types the password; where the browser is sent back to."""
    form = requests.get(login_url, timeout=5)
    assert form.status_code == 200, form.text
    fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form.text))
    fields |= {"username": OWN, "password": "demo"}
    answer = requests.post(login_url.split("?", maxsplit=1)[0], data=fields, timeout=5, allow_redirects=False)
    return answer.headers["Location"]


def code_in(url: str) -> str:
    return parse_qs(urlsplit(url).query)["code"][0]


class Liar:
    """A provider that says what the test wants."""

    def __init__(self, oidc: Oidc, *, account_claim: str = "sub") -> None:
        self.oidc = oidc
        self.server = RecordingSite()
        self.server.respond = self._respond
        self.server.start()
        self.issuer = f"{self.server.origin}/oidc"
        self.metadata = oidc.metadata(self.issuer)
        self.keys = oidc.jwks()
        self.token: Answer = Answer(b"")
        self.userinfo: Answer = Answer(b"", 404)
        self.now = NOW
        config = OidcConfig(self.issuer, CLIENT_ID, CLIENT_SECRET, account_claim, timeout_s=2.0)
        self.identity = OidcIdentity(config, lambda: self.now)

    def asked(self, path: str) -> list[Received]:
        return [received for received in self.server.received if received.path == path]

    def honest_claims(self) -> dict[str, Any]:
        nonce = parse_qs(urlsplit(self.identity.login_url(SERVICE, PROOF)).query)["nonce"][0]
        return {
            "iss": self.issuer, "aud": CLIENT_ID, "sub": OWN, "nonce": nonce,
            "iat": NOW_S, "exp": NOW_S + 300,
        }  # fmt: skip

    def answer(self, id_token: str, *, fresh: bool = False, **beside: Any) -> str:
        """What our side makes of a token, and of what the token answer holds beside it."""
        self.token = Answer(json.dumps({**beside, "id_token": id_token}).encode())
        return self.identity.account_of(SERVICE, "code-1", PROOF, fresh=fresh)

    def _respond(self, got: Received) -> Answer:
        if got.path.endswith("/openid-configuration"):
            return Answer(json.dumps(self.metadata).encode())
        if got.path == "/oidc/jwks":
            return Answer(json.dumps(self.keys).encode())
        if got.path == "/oidc/userinfo":
            return self.userinfo
        return self.token
