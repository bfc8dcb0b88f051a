"""The cryptography of WeChat Pay API v3, as pure functions: no clock, no network, no state.

Source: pay.weixin.qq.com/doc/v3/merchant, 4012365336 (request signature), 4013053420 (answers and
notifications), 4012791897 (JSAPI); official vectors in tests/data/pay.json.
"""

from __future__ import annotations

import base64
import binascii
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import InvalidSignature, InvalidTag, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

SCHEME = "WECHATPAY2-SHA256-RSA2048"
MIN_KEY_BITS = 2048


class BadKey(ValueError):
    """A PEM text is no usable RSA key or certificate; the message never holds the key."""


class Undecipherable(ValueError):
    """The sealed text was altered, or sealed with another key."""


def request_message(method: str, target: str, timestamp: str, nonce: str, body: bytes) -> bytes:
    """The string a merchant signs; `target` is path and query exactly as sent."""
    return f"{method}\n{target}\n{timestamp}\n{nonce}\n".encode() + body + b"\n"


def answer_message(timestamp: str, nonce: str, body: bytes) -> bytes:
    """The string WeChat Pay signs, for answers and notifications alike; an empty body keeps its line."""
    return f"{timestamp}\n{nonce}\n".encode() + body + b"\n"


def jsapi_message(app_id: str, timestamp: str, nonce: str, package: str) -> bytes:
    """The string behind `paySign`; `package` is `prepay_id=...` in full."""
    return f"{app_id}\n{timestamp}\n{nonce}\n{package}\n".encode()


def authorization(*, mch_id: str, serial: str, timestamp: str, nonce: str, signature: str) -> str:
    """The value of the `Authorization` header of a request."""
    return (
        f'{SCHEME} mchid="{mch_id}",nonce_str="{nonce}",signature="{signature}",'
        f'timestamp="{timestamp}",serial_no="{serial}"'
    )


def derive_key(secret: str, purpose: str) -> bytes:
    """Return the 32-byte key of one purpose, derived from a secret of the configuration (HKDF-SHA256)."""
    return HKDF(SHA256(), 32, None, f"campusnet {purpose}".encode()).derive(secret.encode())


def sign(key: RSAPrivateKey, message: bytes) -> str:
    """SHA256 with RSA (PKCS#1 v1.5), base64."""
    return base64.b64encode(key.sign(message, PKCS1v15(), SHA256())).decode()


def verify(key: RSAPublicKey, message: bytes, signature: str) -> bool:
    """Whether `signature` (base64) belongs to `message`; whatever is malformed does not."""
    try:
        key.verify(base64.b64decode(signature, validate=True), message, PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return False
    return True


def seal(api_v3_key: str, plaintext: bytes, *, nonce: str, associated_data: str) -> str:
    """AES-GCM with the tag appended, base64: what WeChat does before it notifies."""
    box = AESGCM(api_v3_key.encode()).encrypt(nonce.encode(), plaintext, associated_data.encode())
    return base64.b64encode(box).decode()


def unseal(api_v3_key: str, ciphertext: str, *, nonce: str, associated_data: str) -> bytes:
    """Undo `seal`.

    Raises: Undecipherable - altered, cut, empty, no base64, or sealed with another key.
    """
    try:
        box = base64.b64decode(ciphertext, validate=True)
        return AESGCM(api_v3_key.encode()).decrypt(nonce.encode(), box, associated_data.encode())
    except (InvalidTag, binascii.Error, ValueError) as error:
        # The cause is dropped on purpose: it says nothing, and a traceback may be logged.
        raise Undecipherable(type(error).__name__) from None


def load_private_key(pem: str) -> RSAPrivateKey:
    """An RSA private key from PKCS#8 or PKCS#1 PEM, whatever its line ends.

    Raises: BadKey - no PEM, protected by a password, not RSA, or shorter than 2048 bits.
    """
    try:
        key = load_pem_private_key(_clean(pem), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadKey("no readable private key without a password") from None
    if not isinstance(key, RSAPrivateKey) or key.key_size < MIN_KEY_BITS:
        raise BadKey(f"the private key is not RSA of at least {MIN_KEY_BITS} bits")
    return key


def load_public_key(pem: str) -> RSAPublicKey:
    """An RSA public key from PEM. Raises: BadKey."""
    try:
        key = load_pem_public_key(_clean(pem))
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadKey("no readable public key") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < MIN_KEY_BITS:
        raise BadKey(f"the public key is not RSA of at least {MIN_KEY_BITS} bits")
    return key


def load_certificate(pem: str) -> tuple[str, RSAPublicKey, datetime]:
    """Serial (`certificate_serial`), public key and end of validity (aware UTC) of a certificate.

    Raises: BadKey - no PEM certificate, or its key is not RSA of at least 2048 bits.
    """
    try:
        certificate = x509.load_pem_x509_certificate(_clean(pem))
        key = certificate.public_key()
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadKey("no readable certificate") from None
    if not isinstance(key, RSAPublicKey) or key.key_size < MIN_KEY_BITS:
        raise BadKey(f"the certificate's key is not RSA of at least {MIN_KEY_BITS} bits")
    return certificate_serial(certificate.serial_number), key, certificate.not_valid_after_utc


def certificate_serial(number: int) -> str:
    """A serial as WeChat and OpenSSL print it: whole bytes in upper-case hex, leading zero kept."""
    length = max(1, (number.bit_length() + 7) // 8)
    return number.to_bytes(length, "big").hex().upper()


def _clean(pem: str) -> bytes:
    """One kind of line end, no byte-order mark, no blank margins: files come from Windows consoles."""
    lines = pem.removeprefix("\N{ZERO WIDTH NO-BREAK SPACE}").strip().splitlines()
    return "\n".join(line.strip() for line in lines).encode() + b"\n"
