"""Signatures and the message cipher of the official-account platform."""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
import struct

from cryptography.hazmat.primitives.ciphers import Cipher as AesCipher
from cryptography.hazmat.primitives.ciphers import algorithms, modes

BLOCK_BYTES = 32
HEAD_BYTES = 20


class CipherError(Exception):
    """The text is not one this account's key and app id can have made."""


def signature(*parts: str) -> str:
    """The platform's sha1 over the sorted, joined parts (used for `signature` and `msg_signature`)."""
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()  # noqa: S324 - the platform's algorithm


def jsapi_text(ticket: str, noncestr: str, timestamp: str, url: str) -> str:
    """The string the JS-SDK signs; `url` loses its fragment."""
    return f"jsapi_ticket={ticket}&noncestr={noncestr}&timestamp={timestamp}&url={url.partition('#')[0]}"


def jsapi_signature(ticket: str, noncestr: str, timestamp: str, url: str) -> str:
    """The JS-SDK signature of a page."""
    signed = jsapi_text(ticket, noncestr, timestamp, url)
    return hashlib.sha1(signed.encode()).hexdigest()  # noqa: S324 - the platform's algorithm


class MessageCipher:
    """AES-256-CBC as the platform uses it: random16 + length + message + app id, padded to 32."""

    def __init__(self, encoding_aes_key: str, app_id: str) -> None:
        self._key = base64.b64decode(encoding_aes_key + "=")
        self._app_id = app_id.encode()

    def encrypt(self, plain: bytes, random16: bytes | None = None) -> str:
        """Base64 text for the field `Encrypt`; `random16` is given by test vectors only."""
        head = random16 if random16 is not None else secrets.token_bytes(16)
        body = head + struct.pack(">I", len(plain)) + plain + self._app_id
        pad = BLOCK_BYTES - len(body) % BLOCK_BYTES
        encryptor = self._aes().encryptor()
        return base64.b64encode(encryptor.update(body + bytes([pad]) * pad) + encryptor.finalize()).decode()

    def decrypt(self, text: str) -> bytes:
        """The message inside `text`; CipherError when padding, length or app id are wrong."""
        try:
            sealed = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError) as error:
            raise CipherError("Encrypt is not base64") from error
        if not sealed or len(sealed) % 16:
            raise CipherError("Encrypt is not a whole number of AES blocks")
        decryptor = self._aes().decryptor()
        return self._unpack(decryptor.update(sealed) + decryptor.finalize())

    def _unpack(self, body: bytes) -> bytes:
        pad = body[-1]
        if not 1 <= pad <= BLOCK_BYTES or body[-pad:] != bytes([pad]) * pad:
            raise CipherError("wrong padding: the EncodingAESKey differs")
        body = body[:-pad]
        if len(body) < HEAD_BYTES:
            raise CipherError("too short")
        (length,) = struct.unpack(">I", body[16:HEAD_BYTES])
        message, app_id = body[HEAD_BYTES : HEAD_BYTES + length], body[HEAD_BYTES + length :]
        if len(message) != length or app_id != self._app_id:
            raise CipherError("the app id inside the cipher text differs")
        return message

    def _aes(self) -> AesCipher[modes.CBC]:
        return AesCipher(algorithms.AES(self._key), modes.CBC(self._key[:16]))
