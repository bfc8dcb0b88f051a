"""Which of the platform's two keys signs what, and the headers that say so."""

from __future__ import annotations

import secrets
from typing import cast

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from sandbox.credentials import Credentials
from sandbox.pay import crypto

PUBLIC_KEY = "public_key"
CERTIFICATE = "certificate"
MIXED = "mixed"
MODES = (PUBLIC_KEY, CERTIFICATE, MIXED)

UNSIGNED = "unsigned"
WRONG_KEY = "wrong_key"
STALE = "stale_timestamp"
SIGNTEST = "signtest"
SPOILED = frozenset({UNSIGNED, WRONG_KEY, STALE, SIGNTEST})
STALE_S = 86_400


class PlatformKeys:
    """Signs as the platform. `mode` is where the roll-out of the public key stands for notifications."""

    def __init__(self, credentials: Credentials, *, seed: int = 0) -> None:
        self.mode = PUBLIC_KEY
        self.public_key_id = credentials.public_key_id
        self.platform_serial = credentials.platform_serial
        self._private = {
            self.public_key_id: _private(credentials.platform_public_key_private_pem),
            self.platform_serial: _private(credentials.platform_cert_key_pem),
        }
        certificate = x509.load_pem_x509_certificate(credentials.merchant_cert_pem.encode())
        self.merchant = cast("RSAPublicKey", certificate.public_key())
        self._turn = seed

    def knows(self, serial: str) -> bool:
        """Whether a request may ask for answers signed with this key."""
        return serial in self._private

    def for_answer(self, asked: str | None) -> str:
        """The key the request names; without a name the platform certificate, as ever."""
        return asked or self.platform_serial

    def for_notification(self) -> str:
        """The key of the next notification; `mixed` takes turns."""
        if self.mode == MIXED:
            self._turn += 1
            return (self.public_key_id, self.platform_serial)[self._turn % 2]
        return self.public_key_id if self.mode == PUBLIC_KEY else self.platform_serial

    def headers(self, serial: str, body: bytes, now_s: float, *, spoil: str = "") -> dict[str, str]:
        """The five signature headers over `body`; `spoil` names what is wrong with them on purpose."""
        if spoil == UNSIGNED:
            return {}
        timestamp = str(int(now_s) - (STALE_S if spoil == STALE else 0))
        nonce = secrets.token_hex(16)
        key = self._other(serial) if spoil == WRONG_KEY else self._private[serial]
        signature = crypto.sign(key, crypto.answer_message(timestamp, nonce, body))
        if spoil == SIGNTEST:
            signature = f"WECHATPAY/SIGNTEST/{signature}"
        return {
            "Wechatpay-Serial": serial,
            "Wechatpay-Signature": signature,
            "Wechatpay-Timestamp": timestamp,
            "Wechatpay-Nonce": nonce,
            "Wechatpay-Signature-Type": crypto.SCHEME,
        }

    def _other(self, serial: str) -> RSAPrivateKey:
        return next(key for name, key in self._private.items() if name != serial)


def signed_text(headers: dict[str, str], body: bytes) -> str:
    """The string behind these headers, for the log."""
    if not headers:
        return "(没有签名)"
    message = crypto.answer_message(headers["Wechatpay-Timestamp"], headers["Wechatpay-Nonce"], body)
    return message.decode("utf-8", "replace")


def _private(pem: str) -> RSAPrivateKey:
    # Our own keys, made by `credentials.issue`: checking their primes again takes 80 ms each.
    key = load_pem_private_key(pem.encode(), None, unsafe_skip_rsa_key_validation=True)
    return cast("RSAPrivateKey", key)
