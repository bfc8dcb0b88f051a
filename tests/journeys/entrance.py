"""Somebody who talks to our machine entrances over bare HTTP, with and without the platform's keys."""

from __future__ import annotations

import http.client
from contextlib import suppress

from models.clock import Clock
from sandbox.credentials import Credentials
from sandbox.oa import crypto
from sandbox.pay.keys import PlatformKeys

NONCE = "1372623149"


class Entrance:
    """One house's `/wechat` and `/wechatpay/notify`; methods return the HTTP status."""

    def __init__(self, port: int, credentials: Credentials, clock: Clock) -> None:
        self._port = port
        self._clock = clock
        self._credentials = credentials
        self._cipher = crypto.MessageCipher(credentials.encoding_aes_key, credentials.app_id)
        self._keys = PlatformKeys(credentials)

    def push(self, inner: bytes) -> int:
        """A push in safe mode, truly signed and encrypted, whatever is inside."""
        sealed = self._cipher.encrypt(inner)
        outer = (
            f"<xml><ToUserName>{self._credentials.original_id}</ToUserName><Encrypt>{sealed}</Encrypt></xml>"
        )
        return self.push_outer(outer.encode(), sealed)

    def push_outer(self, outer: bytes, sealed: str = "") -> int:
        """A push with a true signature over `sealed` around any body at all."""
        timestamp = str(int(self._clock().timestamp()))
        token = self._credentials.token
        plain = crypto.signature(token, timestamp, NONCE)
        safe = crypto.signature(token, timestamp, NONCE, sealed)
        query = f"signature={plain}&timestamp={timestamp}&nonce={NONCE}&encrypt_type=aes&msg_signature={safe}"
        return self.post(f"/wechat?{query}", outer)

    def notify(self, body: bytes) -> int:
        """A payment notice, truly signed by the platform's key, whatever it says."""
        signed = self._keys.headers(self._credentials.public_key_id, body, self._clock().timestamp())
        return self.post("/wechatpay/notify", body, signed)

    def post(self, target: str, body: bytes, headers: dict[str, str] | None = None) -> int:
        """Any body, unsigned."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        try:
            # A server that refuses a long body does not read it to its end: the answer is there all the same.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.request("POST", target, body, {"Content-Type": "text/xml", **(headers or {})})
            return connection.getresponse().status
        finally:
            connection.close()
