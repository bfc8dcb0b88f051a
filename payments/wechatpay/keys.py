"""Which keys WeChat Pay may sign with, and whether it did: for answers and notifications alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from models.errors import Forged
from payments.wechatpay import crypto

MAX_SKEW_S = 300
PROBE_PREFIX = "WECHATPAY/SIGNTEST/"
PUBLIC_KEY_PREFIX = "PUB_KEY_ID_"
_LONGEST_HEADER = 1024
_LONGEST_TIMESTAMP = 12


@dataclass(frozen=True)
class Signature:
    """The signature headers of one message, present but not yet believed."""

    serial: str
    timestamp: str
    nonce: str
    value: str


class KeyRing:
    """The configured public keys and pinned certificates; nothing is ever fetched.

    Args:
        public_keys: public key id (PUB_KEY_ID_...) to PEM; the first is asked for in requests.
        platform_certs: PEM certificates, found by their serial.
    Raises: crypto.BadKey; ValueError - not one key.
    """

    def __init__(self, public_keys: Mapping[str, str], platform_certs: Sequence[str]) -> None:
        self._keys: dict[str, RSAPublicKey] = {}
        for key_id, pem in public_keys.items():
            if not key_id.startswith(PUBLIC_KEY_PREFIX):
                raise ValueError(f"a public key id starts with {PUBLIC_KEY_PREFIX}")
            self._keys[key_id] = crypto.load_public_key(pem)
        for pem in platform_certs:
            serial, key, _ = crypto.load_certificate(pem)
            self._keys[_canonical(serial)] = key
        if not self._keys:
            raise ValueError("WeChat Pay needs a public key or a platform certificate to be verified with")
        self.preferred = next(iter(public_keys), None)

    def check(self, headers: Mapping[str, str], body: bytes, now: datetime) -> str:
        """Believe that WeChat Pay signed exactly these bytes within five minutes of `now`.

        Returns: the serial or key id it signed with.
        Raises: Forged - a header is missing or odd, the age, the key or the signature is wrong.
        """
        signature = read_signature(headers)
        if abs(now.timestamp() - int(signature.timestamp)) > MAX_SKEW_S:
            raise Forged("timestamp outside five minutes")
        key = self._keys.get(_canonical(signature.serial))
        if key is None:
            raise Forged("signed with a key that is not configured")
        message = crypto.answer_message(signature.timestamp, signature.nonce, body)
        if not crypto.verify(key, message, signature.value):
            raise Forged("wrong signature")
        return signature.serial


def read_signature(headers: Mapping[str, str]) -> Signature:
    """The signature headers, whatever case their names have.

    Raises: Forged - one is missing, too long or not plain, of another scheme, or this is a probe.
    """
    lower = {name.lower(): value for name, value in headers.items()}
    kind = lower.get("wechatpay-signature-type", crypto.SCHEME)
    if kind != crypto.SCHEME:
        raise Forged("unknown signature type")
    serial = _plain(lower, "wechatpay-serial")
    value = _plain(lower, "wechatpay-signature")
    timestamp = _plain(lower, "wechatpay-timestamp")
    nonce = _plain(lower, "wechatpay-nonce")
    if value.startswith(PROBE_PREFIX):
        # WeChat sends wrong signatures on purpose to see that they are refused.
        raise Forged("signature probe")
    if not timestamp.isdecimal() or len(timestamp) > _LONGEST_TIMESTAMP:
        raise Forged("odd timestamp")
    return Signature(serial=serial, timestamp=timestamp, nonce=nonce, value=value)


def _plain(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    if not value or len(value) > _LONGEST_HEADER or not value.isascii() or not value.isprintable():
        raise Forged(f"missing or odd header {name}")
    return value


def _canonical(serial: str) -> str:
    """Serials are numbers written in hex: case and leading zeros differ between tools."""
    return serial if serial.startswith(PUBLIC_KEY_PREFIX) else serial.upper().lstrip("0")
