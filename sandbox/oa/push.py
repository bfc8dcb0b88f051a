"""Pushes from the platform to the site: envelope, signature, three tries, the answer's check."""

from __future__ import annotations

import itertools
import secrets
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from urllib.parse import urlencode

from sandbox.engine import Engine
from sandbox.faults import Fault
from sandbox.oa import crypto, replies, xml
from sandbox.wire import Exchange

TRIES = 3
TIMEOUT_S = 5.0
FIRST_MSG_ID = 24_000_000_000_000_000
XML_HEADERS = {"Content-Type": "text/xml", "User-Agent": "Mozilla/4.0", "Accept": "*/*", "Pragma": "no-cache"}


@dataclass
class Try:
    """One request of a push and what came back."""

    exchange_id: int = 0
    status: int = 0
    took_ms: float = 0.0
    verdict: str = ""


@dataclass
class Delivery:
    """What became of one push.

    `status`: "replied" (a passive reply was shown), "silent" (`success` or empty), "bad_reply"
    (an answer the platform cannot read), "failed" (three tries without a 200 answer).
    """

    openid: str
    fields: dict[str, object]
    status: str = "failed"
    reason: str = ""
    tries: list[Try] = field(default_factory=list)
    reply: replies.Reply | None = None

    @property
    def exchange_id(self) -> int:
        """The exchange that decided, for the link from bubble to log."""
        return self.tries[-1].exchange_id if self.tries else 0

    def as_dict(self) -> dict[str, object]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True)
class _Envelope:
    """One signed request: the URL query, the body and the string that was signed."""

    query: dict[str, str]
    body: bytes
    signed: str


class Pusher:
    """Sends messages and events to `engine.site.push_url` the way the platform does."""

    def __init__(self, engine: Engine) -> None:
        self.timeout_s = TIMEOUT_S
        self._engine = engine
        keys = engine.credentials
        self._cipher = crypto.MessageCipher(keys.encoding_aes_key, keys.app_id)
        # Not from the seed: the site remembers the numbers it had, from before a restart, too.
        self._msg_id = itertools.count(FIRST_MSG_ID + secrets.randbelow(10**9))

    def push(self, openid: str, fields: Mapping[str, object]) -> Delivery:
        """Deliver one message or event; up to three requests with the same MsgId."""
        message = self._complete(openid, fields)
        delivery = Delivery(openid, message)
        while len(delivery.tries) < TRIES:
            fault = self._engine.faults.take("push")
            if self._attempt(delivery, fault):
                if fault is not None and fault.name == "repeat":
                    self._repeat(delivery, int(fault.setting("count")))
                break
        return delivery

    def verify_url(self) -> bool:
        """Do what the console's "submit" does: GET with `echostr`; True when it comes back verbatim."""
        timestamp, nonce = self._stamp(), self._digits(10)
        echo = self._digits(19)
        token = self._engine.credentials.token
        query = {
            "signature": crypto.signature(token, timestamp, nonce),
            "echostr": echo,
            "timestamp": timestamp,
            "nonce": nonce,
        }

        def annotate(exchange: Exchange) -> None:
            exchange.signed = f"sha1(sort({token}, {timestamp}, {nonce}))"

        response = self._engine.outbound.get(
            "verify_url", self._url(query), timeout_s=self.timeout_s, annotate=annotate
        )
        return response is not None and response.ok and response.content == echo.encode()

    def _complete(self, openid: str, fields: Mapping[str, object]) -> dict[str, object]:
        message: dict[str, object] = {
            "ToUserName": self._engine.credentials.original_id,
            "FromUserName": openid,
            "CreateTime": int(self._engine.stamp()),
            **fields,
        }
        if message.get("MsgType") != "event" and "MsgId" not in message:
            message["MsgId"] = next(self._msg_id)
        return message

    def _attempt(self, delivery: Delivery, fault: Fault | None) -> bool:
        """One request; True when the platform stops here, False when it tries again."""
        name = fault.name if fault is not None else ""
        if fault is not None and name == "delay":
            time.sleep(fault.setting("seconds"))
        record = Try()
        delivery.tries.append(record)
        if name == "lost":
            record.verdict = "lost on the way"
            return False
        self._send(delivery, record, fault)
        if name == "drop_answer":
            delivery.status, delivery.reply, record.verdict = "failed", None, "the answer was lost"
            return False
        return delivery.status != "failed"

    def _repeat(self, delivery: Delivery, count: int) -> None:
        """Requests nobody waits for, as after an answer that crossed with the retry."""
        for _ in range(count):
            again = Delivery(delivery.openid, delivery.fields)
            record = Try()
            self._send(again, record, None)
            record.verdict = f"repeated on purpose: {record.verdict}"
            delivery.tries.append(record)

    def _send(self, delivery: Delivery, record: Try, fault: Fault | None) -> None:
        mode = self._engine.site.message_mode
        envelope = self._seal(delivery, mode, fault)
        plain = xml.build(delivery.fields)
        started = time.monotonic()

        def annotate(exchange: Exchange) -> None:
            record.exchange_id = exchange.id
            exchange.signed, exchange.openid = envelope.signed, delivery.openid
            exchange.decrypted = plain if mode == "safe" else ""

        def annotate_response(exchange: Exchange, body: bytes) -> None:
            try:
                delivery.reply, exchange.decrypted_response = self._read(body, delivery.openid, mode)
                delivery.status = "replied" if delivery.reply else "silent"
                exchange.verdict = "reply accepted" if delivery.reply else "nothing to show"
            except replies.BadReply as error:
                delivery.status, delivery.reason = "bad_reply", str(error)
                exchange.verdict = f"reply refused: {error}"
            record.verdict = exchange.verdict

        response = self._engine.outbound.post(
            f"push.{_kind(delivery.fields)}",
            self._url(envelope.query),
            envelope.body,
            XML_HEADERS,
            timeout_s=self.timeout_s,
            annotate=annotate,
            annotate_response=annotate_response,
        )
        record.took_ms = round((time.monotonic() - started) * 1000, 1)
        # A trickling answer passes each read's timeout; the platform counts the whole.
        late = record.took_ms > self.timeout_s * 1000
        record.status = response.status_code if response is not None and not late else 0
        if record.status != 200:  # noqa: PLR2004 - the one status that counts as an answer
            delivery.status, delivery.reply = "failed", None
            record.verdict = f"HTTP {record.status}" if record.status else "no answer"

    def _seal(self, delivery: Delivery, mode: str, fault: Fault | None) -> _Envelope:
        token = self._engine.credentials.token
        timestamp, nonce = self._stamp(fault), self._digits(10)
        query = {
            "signature": crypto.signature(token, timestamp, nonce),
            "timestamp": timestamp,
            "nonce": nonce,
            "openid": delivery.openid,
        }
        body, signed = xml.build(delivery.fields), f"sha1(sort({token}, {timestamp}, {nonce}))"
        if mode == "safe":
            sealed = self._cipher.encrypt(body.encode())
            query["encrypt_type"] = "aes"
            query["msg_signature"] = crypto.signature(token, timestamp, nonce, sealed)
            body = xml.build({"ToUserName": str(delivery.fields["ToUserName"]), "Encrypt": sealed})
            signed = f"sha1(sort({token}, {timestamp}, {nonce}, {sealed}))"
        if fault is not None and fault.name == "tamper_signature":
            for name in {"signature", "msg_signature"} & query.keys():
                query[name] = query[name][::-1]
        return _Envelope(query, body.encode(), signed)

    def _read(self, body: bytes, openid: str, mode: str) -> tuple[replies.Reply | None, str]:
        """The reply (None: nothing to show) and its decrypted text; BadReply when unreadable."""
        if body in {b"", b"success"}:
            return None, ""
        original_id = self._engine.credentials.original_id
        if mode != "safe":
            return replies.read(body, openid, original_id), ""
        plain = self._open(body)
        return replies.read(plain, openid, original_id), plain.decode("utf-8", "replace")

    def _open(self, body: bytes) -> bytes:
        try:
            root = xml.parse(body)
            names = ("Encrypt", "MsgSignature", "TimeStamp", "Nonce")
            sealed, given, timestamp, nonce = ((xml.leaf(root, name) or "").strip() for name in names)
        except xml.BadXml as error:
            raise replies.BadReply(str(error)) from error
        if not (sealed and given and timestamp and nonce):
            raise replies.BadReply("safe mode: Encrypt, MsgSignature, TimeStamp and Nonce are required")
        expected = crypto.signature(self._engine.credentials.token, timestamp, nonce, sealed)
        if not secrets.compare_digest(expected.encode(), given.encode()):
            raise replies.BadReply("safe mode: MsgSignature is wrong")
        try:
            return self._cipher.decrypt(sealed)
        except crypto.CipherError as error:
            raise replies.BadReply(f"safe mode: {error}") from error

    def _url(self, query: Mapping[str, str]) -> str:
        base = self._engine.site.push_url
        return f"{base}{'&' if '?' in base else '?'}{urlencode(query)}"

    def _digits(self, count: int) -> str:
        """Digits of which the first is not 0."""
        return f"1{self._engine.chance.stream('push').digits(count - 1)}"

    def _stamp(self, fault: Fault | None = None) -> str:
        skew_s = fault.setting("seconds") if fault and fault.name == "skew" else 0.0
        return str(int(self._engine.stamp() - skew_s))


def _kind(fields: Mapping[str, object]) -> str:
    return str(fields.get("Event") if fields.get("MsgType") == "event" else fields.get("MsgType"))
