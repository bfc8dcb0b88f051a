"""Signatures and the message cipher of the official-account interface; pure."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import struct

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from models.errors import Forged, Malformed

# WeChat pads to 32 bytes although an AES block has 16.
PAD_BYTES = 32
RANDOM_BYTES = 16
HEAD_BYTES = RANDOM_BYTES + 4
KEY_BYTES = 32


def url_signature(token: str, timestamp: str, nonce: str) -> str:
    """The `signature` of a push or of the address check."""
    return _sorted_sha1(token, timestamp, nonce)


def message_signature(token: str, timestamp: str, nonce: str, encrypted: str) -> str:
    """The `msg_signature` that covers the encrypted message too."""
    return _sorted_sha1(token, timestamp, nonce, encrypted)


def jsapi_signature(ticket: str, noncestr: str, timestamp: str, url: str) -> str:
    """The signature of a page that uses the JS-SDK; `url` is cut at its fragment."""
    page = url.partition("#")[0]
    text = f"jsapi_ticket={ticket}&noncestr={noncestr}&timestamp={timestamp}&url={page}"
    return hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 - WeChat's algorithm


def same(ours: str, theirs: str) -> bool:
    """Whether two signatures are equal, in a time that tells nothing about where they differ."""
    return hmac.compare_digest(ours.encode(), theirs.encode("utf-8", "surrogatepass"))


class MessageCipher:
    """AES-256-CBC as the platform uses it: random16, length, message, appid, padded to 32 bytes."""

    def __init__(self, encoding_aes_key: str, app_id: str) -> None:
        """Derive key and vector once; raises ValueError when the key is not 43 base64 characters."""
        try:
            key = base64.b64decode(encoding_aes_key + "=")
        except binascii.Error as error:
            raise ValueError("EncodingAESKey is no base64") from error
        if len(key) != KEY_BYTES:
            raise ValueError("EncodingAESKey has not 43 characters")
        self._cipher = Cipher(AES(key), CBC(key[:16]))
        self._app_id = app_id.encode()

    def decrypt(self, encrypted: str) -> bytes:
        """The message inside.

        Raises:
            Malformed: no ciphertext of this key, or wrong padding or length.
            Forged: meant for another appid.
        """
        plain = self._unpad(self._plain(encrypted))
        (size,) = struct.unpack_from(">I", plain, RANDOM_BYTES)
        end = HEAD_BYTES + size
        if end > len(plain):
            raise Malformed("length field beyond the message")
        if not hmac.compare_digest(plain[end:], self._app_id):
            raise Forged("appid")
        return plain[HEAD_BYTES:end]

    def encrypt(self, message: bytes, random16: bytes | None = None) -> str:
        """The message as base64 ciphertext; `random16` is given by tests only."""
        head = os.urandom(RANDOM_BYTES) if random16 is None else random16
        plain = head + struct.pack(">I", len(message)) + message + self._app_id
        pad = PAD_BYTES - len(plain) % PAD_BYTES
        encryptor = self._cipher.encryptor()
        return base64.b64encode(encryptor.update(plain + bytes((pad,)) * pad) + encryptor.finalize()).decode()

    def _plain(self, encrypted: str) -> bytes:
        try:
            blocks = base64.b64decode(encrypted, validate=True)
        except (binascii.Error, ValueError) as error:
            raise Malformed("ciphertext is no base64") from error
        if not blocks or len(blocks) % PAD_BYTES:
            raise Malformed("ciphertext is no multiple of the block")
        decryptor = self._cipher.decryptor()
        return decryptor.update(blocks) + decryptor.finalize()

    @staticmethod
    def _unpad(plain: bytes) -> bytes:
        pad = plain[-1]
        if not 1 <= pad <= PAD_BYTES or plain[-pad:] != bytes((pad,)) * pad:
            raise Malformed("padding")
        if len(plain) - pad < HEAD_BYTES:
            raise Malformed("message too short")
        return plain[:-pad]


def _sorted_sha1(*parts: str) -> str:
    text = "".join(sorted(parts))
    return hashlib.sha1(text.encode("utf-8", "surrogatepass")).hexdigest()  # noqa: S324 - WeChat's algorithm
