"""Signatures and encryption of WeChat Pay API v3; pure functions.

Source: pay.weixin.qq.com, "签名生成", "签名验证", "证书和回调报文解密".
"""

from __future__ import annotations

import base64
import binascii
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256

SCHEME = "WECHATPAY2-SHA256-RSA2048"
AUTHORIZATION_FIELDS = frozenset({"mchid", "nonce_str", "signature", "timestamp", "serial_no"})
_PAIR = re.compile(r'([a-z_]+)="([^"]*)"')


def request_message(method: str, target: str, timestamp: str, nonce: str, body: bytes) -> bytes:
    """The string a merchant signs; `target` is path and query exactly as sent."""
    head = f"{method}\n{target}\n{timestamp}\n{nonce}\n".encode()
    return head + body + b"\n"


def answer_message(timestamp: str, nonce: str, body: bytes) -> bytes:
    """The string the platform signs, for answers and notifications alike."""
    return f"{timestamp}\n{nonce}\n".encode() + body + b"\n"


def pay_message(app_id: str, timestamp: str, nonce: str, package: str) -> bytes:
    """The string whose signature `getBrandWCPayRequest` carries as `paySign`."""
    return f"{app_id}\n{timestamp}\n{nonce}\n{package}\n".encode()


def sign(key: RSAPrivateKey, message: bytes) -> str:
    """SHA256 with RSA (PKCS#1 v1.5), base64."""
    return base64.b64encode(key.sign(message, PKCS1v15(), SHA256())).decode()


def verify(key: RSAPublicKey, message: bytes, signature: str) -> bool:
    """Whether `signature` (base64) belongs to `message`; anything malformed does not."""
    try:
        key.verify(base64.b64decode(signature, validate=True), message, PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def seal(api_v3_key: str, plaintext: bytes, *, nonce: str, associated_data: str) -> str:
    """AES-GCM with the tag appended, base64; the key is the merchant's APIv3 key."""
    box = AESGCM(api_v3_key.encode()).encrypt(nonce.encode(), plaintext, associated_data.encode())
    return base64.b64encode(box).decode()


def unseal(api_v3_key: str, ciphertext: str, *, nonce: str, associated_data: str) -> bytes:
    """Undo `seal`.

    Raises: cryptography.exceptions.InvalidTag or ValueError - altered, cut or of another key.
    """
    box = base64.b64decode(ciphertext, validate=True)
    return AESGCM(api_v3_key.encode()).decrypt(nonce.encode(), box, associated_data.encode())


def parse_authorization(header: str) -> dict[str, str] | None:
    """The five named values in whatever order they came; None when the header has another shape."""
    scheme, _, rest = header.partition(" ")
    if scheme != SCHEME:
        return None
    pairs = []
    for part in rest.strip().split(","):
        match = _PAIR.fullmatch(part.strip())
        if match is None:
            return None
        pairs.append((match[1], match[2]))
    values = dict(pairs)
    return values if len(pairs) == len(values) and values.keys() == AUTHORIZATION_FIELDS else None
