"""Pushes as the platform sends them in safe mode, and what comes back, opened."""

from __future__ import annotations

import base64
import hashlib
import itertools
import os
import re
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urlencode

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from bench.scene import APP_ID, ENCODING_AES_KEY, ORIGINAL_ID, TOKEN

_KEY = base64.b64decode(ENCODING_AES_KEY + "=")
_CIPHER = Cipher(AES(_KEY), CBC(_KEY[:16]))
_ENCRYPT = re.compile(rb"<Encrypt><!\[CDATA\[(.+?)\]\]></Encrypt>", re.DOTALL)
_CONTENT = re.compile(r"<Content><!\[CDATA\[(.*)\]\]></Content>", re.DOTALL)
PAD_BYTES = 32
# Ids that no earlier run used within the minute in which they are remembered.
_NUMBERS = itertools.count(time.time_ns() // 1000 * 1000)


@dataclass(frozen=True)
class Push:
    """One request, not yet bound to an address."""

    query: dict[str, str]
    body: bytes

    def request(self, path: str) -> bytes:
        """The request as it goes over the wire."""
        head = (
            f"POST {path}?{urlencode(self.query)} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Mozilla/4.0\r\n"
            f"Accept: */*\r\nConnection: keep-alive\r\nContent-Type: text/xml\r\n"
            f"Content-Length: {len(self.body)}\r\n\r\n"
        )
        return head.encode() + self.body


def push(openid: str, text: str) -> Push:
    """A text message with an id of its own, of this second."""
    at_s = int(time.time())
    inner = (
        f"<xml><ToUserName><![CDATA[{ORIGINAL_ID}]]></ToUserName>"
        f"<FromUserName><![CDATA[{openid}]]></FromUserName><CreateTime>{at_s}</CreateTime>"
        f"<MsgType><![CDATA[text]]></MsgType><Content><![CDATA[{text}]]></Content>"
        f"<MsgId>{next(_NUMBERS)}</MsgId></xml>"
    )
    encrypted = _seal(inner.encode())
    timestamp, nonce = str(at_s), str(int.from_bytes(os.urandom(4), "big"))
    query = {
        "signature": _sign(TOKEN, timestamp, nonce),
        "timestamp": timestamp,
        "nonce": nonce,
        "openid": openid,
        "encrypt_type": "aes",
        "msg_signature": _sign(TOKEN, timestamp, nonce, encrypted),
    }
    body = (
        f"<xml><ToUserName><![CDATA[{ORIGINAL_ID}]]></ToUserName>"
        f"<Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>"
    )
    return Push(query, body.encode())


def pushes(count: int, openids: list[str], words: tuple[str, ...]) -> Iterator[Push]:
    """So many different messages: people in turn, words drawn evenly."""
    for number in range(count):
        yield push(openids[number % len(openids)], words[number % len(words)])


def said(answer: bytes) -> str:
    """The words of an encrypted text reply. Raises: ValueError - it is none."""
    found = _ENCRYPT.search(answer)
    if found is None:
        raise ValueError("not an encrypted reply")
    decryptor = _CIPHER.decryptor()
    plain = decryptor.update(base64.b64decode(found.group(1))) + decryptor.finalize()
    (size,) = struct.unpack_from(">I", plain, 16)
    content = _CONTENT.search(plain[20 : 20 + size].decode())
    if content is None:
        raise ValueError("not a text reply")
    return content.group(1)


def _seal(message: bytes) -> str:
    plain = os.urandom(16) + struct.pack(">I", len(message)) + message + APP_ID.encode()
    pad = PAD_BYTES - len(plain) % PAD_BYTES
    encryptor = _CIPHER.encryptor()
    sealed = encryptor.update(plain + bytes((pad,)) * pad) + encryptor.finalize()
    return base64.b64encode(sealed).decode()


def _sign(*parts: str) -> str:
    return hashlib.sha1("".join(sorted(parts)).encode()).hexdigest()  # noqa: S324 - WeChat's algorithm
