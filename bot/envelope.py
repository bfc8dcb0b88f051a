"""Who sent this, and what is inside: signatures, age and encryption of pushes and replies."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from bot.crypto import MessageCipher, message_signature, same, url_signature
from bot.push import check_fields
from bot.push_json import encrypted_reply, read_push, reply_as_json
from bot.render import encrypted_envelope
from bot.xmlread import Tree
from models.clock import Clock
from models.errors import Forged, Malformed

MAX_BODY_BYTES = 64 * 1024
_TIMESTAMP = re.compile(r"[0-9]{1,12}", re.ASCII)
_NONCE = re.compile(r"[!-~]{1,128}", re.ASCII)
_SIGNATURE = re.compile(r"[0-9a-f]{40}", re.ASCII)
_ECHO = re.compile(r"[0-9A-Za-z]{1,64}", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class CallbackConfig:
    """What the WeChat console and we agreed on. `mode` alone decides how a push is verified.

    `original_id` is our account's `gh_...`, checked when it is set; `window_s` how old or early a
    push may be; `deadline_s` when a reply must be on its way (WeChat hangs up after five seconds).
    """

    token: str = field(repr=False)
    mode: Literal["safe", "plain"]
    app_id: str
    encoding_aes_key: str = field(default="", repr=False)
    original_id: str = ""
    window_s: int = 300
    deadline_s: float = 4.5


class Envelope:
    """Opens pushes and seals replies the one way that is configured."""

    def __init__(self, config: CallbackConfig, clock: Clock) -> None:
        """Prepare the cipher once.

        Raises:
            ValueError: no token, or in safe mode no usable key: it would accept anybody.
        """
        if not config.token:
            raise ValueError("an empty token would accept every push")
        self._config = config
        self._clock = clock
        safe = config.mode == "safe"
        self._cipher = MessageCipher(config.encoding_aes_key, config.app_id) if safe else None

    def check_address(self, query: Mapping[str, str]) -> str:
        """The `echostr` to answer when the console checks our address.

        Raises:
            Forged: signature or age is wrong.
            Malformed: the text to echo is none that WeChat sends.
        """
        timestamp, nonce = self._freshness(query)
        self._compare(url_signature(self._config.token, timestamp, nonce), query.get("signature", ""))
        echo = query.get("echostr", "")
        if not _ECHO.fullmatch(echo):
            raise Malformed("echostr")
        return echo

    def open(self, query: Mapping[str, str], body: bytes) -> Tree:
        """The checked fields of a push.

        Raises:
            Forged: not from WeChat, or not for us, or not of now.
            Malformed: no push.
        """
        if len(body) > MAX_BODY_BYTES:
            raise Malformed("body too long")
        timestamp, nonce = self._freshness(query)
        inner = self._open_safe(query, body, timestamp, nonce) if self._cipher else None
        if inner is None:
            self._compare(url_signature(self._config.token, timestamp, nonce), query.get("signature", ""))
            inner = body
        return check_fields(read_push(inner), original_id=self._config.original_id)

    def seal(self, reply: str, nonce: str, at: datetime, *, as_json: bool = False) -> str:
        """The reply as it goes over the wire, in the format of its push."""
        if as_json:
            reply = reply_as_json(reply)
        if self._cipher is None:
            return reply
        timestamp = str(int(at.timestamp()))
        encrypted = self._cipher.encrypt(reply.encode())
        signature = message_signature(self._config.token, timestamp, nonce, encrypted)
        wrap = encrypted_reply if as_json else encrypted_envelope
        return wrap(encrypted, signature, timestamp, nonce)

    def _open_safe(self, query: Mapping[str, str], body: bytes, timestamp: str, nonce: str) -> bytes | None:
        if self._cipher is None:
            return None
        encrypted = read_push(body, repair=False).get("Encrypt")
        if not isinstance(encrypted, str):
            raise Malformed("not encrypted")
        encrypted = encrypted.strip()
        ours = message_signature(self._config.token, timestamp, nonce, encrypted)
        self._compare(ours, query.get("msg_signature", ""))
        return self._cipher.decrypt(encrypted)

    def _freshness(self, query: Mapping[str, str]) -> tuple[str, str]:
        timestamp, nonce = query.get("timestamp", ""), query.get("nonce", "")
        if not _TIMESTAMP.fullmatch(timestamp) or not _NONCE.fullmatch(nonce):
            raise Forged("timestamp or nonce")
        if abs(self._clock().timestamp() - int(timestamp)) > self._config.window_s:
            raise Forged("age")
        return timestamp, nonce

    @staticmethod
    def _compare(ours: str, theirs: str) -> None:
        if not _SIGNATURE.fullmatch(theirs) or not same(ours, theirs):
            raise Forged("signature")
