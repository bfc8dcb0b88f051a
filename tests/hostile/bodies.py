"""Hostile bodies for every machine entrance: garbage, mutations of valid ones, and mutations inside the seal.

A body is *authentic* when its sender holds our keys: then it may say anything and still must not break us.
Everything else is forged and must not be accepted.
"""

from __future__ import annotations

import json
import random
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from defusedxml import ElementTree
from defusedxml.common import DefusedXmlException

from billing.embedded import entrance
from models.clock import Clock
from sandbox.credentials import Credentials
from sandbox.oa import crypto as push_crypto
from sandbox.pay import crypto as pay_crypto
from sandbox.pay.keys import PlatformKeys

NONCE = "1372623149"
SOURCES = 7
CONTROLS = bytes(code for code in range(32) if code not in b"\t\n\r")
# How often a value inside an object is changed, and not the object.
INSIDE = 0.7
PIECES = (
    b"\x00",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    "𮰋".encode(),
    b"<![CDATA[",
    b"]]>",
    b"<!DOCTYPE a [<!ENTITY b 'c'>]>",
    b"&b;",
    b"{",
    b"}",
    b'"',
    b"null",
    b"true",
    b"-1",
    b"1e999",
    b"9" * 400,
    b"0x10",
    b"NaN",
    b"[[[[[[[[",
    b"' OR 1=1 --",
    b"\r\n\r\n",
    b"%00",
    b"..",
    b"A" * 3000,
)
VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    10**30,
    1.5,
    float("1e300"),
    "",
    " ",
    "0",
    "CNY",
    "USD",
    "SUCCESS",
    "x" * 5000,
    [],
    {},
    [[]],
    {"a": {}},
    "2026-13-01",
    "\x00",
    "１",
)
PLAIN = ("out_trade_no", "mchid", "appid", "trade_state")
NESTED = (("amount", "total"), ("amount", "currency"), ("payer", "openid"))


def _bare(body: bytes) -> bytes:
    """Return the text of the first `Encrypt` as XML means it, whatever it is written like."""
    try:
        # Control characters carry nothing in XML; the reader drops them, too.
        found = ElementTree.fromstring(body.translate(None, CONTROLS)).find("Encrypt")
    except (ElementTree.ParseError, DefusedXmlException, ValueError):
        return b""
    return b"" if found is None else "".join(found.itertext()).strip().encode("utf-8", "replace")


def decisive(resource: Any) -> list[Any]:
    """Return what decides whether a payment is believed, by its place in the resource."""
    found = [resource.get(name) if isinstance(resource, dict) else None for name in PLAIN]
    for outer, inner in NESTED:
        part = resource.get(outer) if isinstance(resource, dict) else None
        found.append(part.get(inner) if isinstance(part, dict) else None)
    return [(type(value).__name__, value) for value in found]


@dataclass(frozen=True)
class Request:
    """One request. `forged`: accepting it is a fault. `number`: the order that must stay unpaid."""

    path: str
    body: bytes
    headers: dict[str, str]
    forged: bool
    query: str = ""
    number: str = ""


@dataclass
class Sender:
    """Makes requests from a seed; holds the platform's keys for the authentic half."""

    credentials: Credentials
    clock: Clock
    accounting_secret: str
    openid: str
    orders: Iterator[tuple[str, int]]
    seed: int
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self._cipher = push_crypto.MessageCipher(self.credentials.encoding_aes_key, self.credentials.app_id)
        self._keys = PlatformKeys(self.credentials)

    def requests(self, count: int) -> Iterator[Request]:
        """Yield `count` requests over all entrances."""
        makers: tuple[Callable[[], Request], ...] = (
            self.push,
            self.pay,
            self.refund,
            self.accounting,
            self.logout,
        )
        for _ in range(count):
            yield self.chance.choice(makers)()

    def push(self) -> Request:
        """A chat message in safe mode."""
        inner = (
            f"<xml><ToUserName><![CDATA[{self.credentials.original_id}]]></ToUserName>"
            f"<FromUserName><![CDATA[{self.openid}]]></FromUserName>"
            f"<CreateTime>{int(self.clock().timestamp())}</CreateTime><MsgType><![CDATA[text]]></MsgType>"
            f"<Content><![CDATA[{self.chance.choice(('余额', '充值5', '确认', '公告'))}]]></Content>"
            f"<MsgId>{self.chance.getrandbits(60)}</MsgId></xml>"
        ).encode()
        way = self.chance.randrange(3)
        if way == 0:
            inner = self.mutated(inner)
        sealed = self._cipher.encrypt(inner)
        timestamp = str(int(self.clock().timestamp()))
        token = self.credentials.token
        query = {
            "signature": push_crypto.signature(token, timestamp, NONCE),
            "timestamp": timestamp,
            "nonce": NONCE,
            "encrypt_type": "aes",
            "msg_signature": push_crypto.signature(token, timestamp, NONCE, sealed),
        }
        body = (
            f"<xml><ToUserName>{self.credentials.original_id}</ToUserName><Encrypt>{sealed}</Encrypt></xml>"
        ).encode()
        forged = False
        if way == 1:
            body = self.mutated(body)
            # What is signed is the sealed text: around it anything may stand.
            forged = sealed.encode() not in _bare(body)
        elif way == 2:
            name = self.chance.choice(("msg_signature", "timestamp", "nonce"))
            query[name] = self.chance.choice((query[name][:-1], query[name] + "0", "", "ä", "9" * 40))
            forged = True
        return Request("/wechat", body, self.source(), forged, urlencode(query))

    def pay(self) -> Request:
        """A payment callback."""
        number, amount_fen = next(self.orders)
        resource = {
            "out_trade_no": number,
            "mchid": self.credentials.mch_id,
            "appid": self.credentials.app_id,
            "transaction_id": f"42{self.chance.getrandbits(80):026d}",
            "trade_type": "JSAPI",
            "trade_state": "SUCCESS",
            "trade_state_desc": "支付成功",
            "bank_type": "OTHERS",
            "attach": "",
            "success_time": self.clock().astimezone().isoformat(timespec="seconds"),
            "payer": {"openid": self.openid},
            "amount": {
                "total": amount_fen,
                "payer_total": amount_fen,
                "currency": "CNY",
                "payer_currency": "CNY",
            },
        }
        return self._callback("/wechatpay/notify", "transaction", "TRANSACTION.SUCCESS", resource, number)

    def refund(self) -> Request:
        """A refund callback."""
        resource = {
            "mchid": self.credentials.mch_id,
            "out_trade_no": "r20261128aaaaaaaaaaa01",
            "transaction_id": "42" + "0" * 26,
            "out_refund_no": "f20261128aaaaaaaaaaa",
            "refund_id": "50" + "0" * 26,
            "refund_status": "SUCCESS",
            "success_time": self.clock().isoformat(timespec="seconds"),
            "user_received_account": "支付用户零钱",
            "amount": {"total": 500, "refund": 500, "payer_total": 500, "payer_refund": 500},
        }
        return self._callback("/wechatpay/refund", "refund", "REFUND.SUCCESS", resource, "")

    def accounting(self) -> Request:
        """A batch of accounting records."""
        records = [
            {
                "nas": "10.0.0.1",
                "session": f"s{self.chance.randrange(10**6)}",
                "account": "2400101001",
                "kind": self.chance.choice(("start", "interim", "stop")),
                "at": self.clock().isoformat(),
                "up_bytes": 1,
                "down_bytes": 2,
                "seconds": 60,
            }
        ]
        body = json.dumps({"records": records}).encode()
        way = self.chance.randrange(3)
        if way == 0:
            body = self.mutated(body)
        timestamp = str(int(self.clock().timestamp()))
        signature = entrance.sign(self.accounting_secret, timestamp, body)
        signed = body
        if way == 1:
            body = self.mutated(body)
        elif way == 2:
            signature = self.chance.choice(
                (signature[:-1], signature.upper(), "", secrets.token_hex(32), "ä")
            )
        headers = {entrance.TIMESTAMP: timestamp, entrance.SIGNATURE: signature} | self.source()
        return Request("/billing/accounting", body, headers, body != signed or way == 2)

    def logout(self) -> Request:
        """A single logout request with tickets that were never given out."""
        message = (
            '<samlp:LogoutRequest xmlns:samlp="urn:oasis:names:tc:SAML:2.0:protocol">'
            f"<samlp:SessionIndex>ST-{self.chance.getrandbits(64)}</samlp:SessionIndex></samlp:LogoutRequest>"
        )
        text = self.mutated(message.encode()).decode("utf-8", "replace")
        headers = {"Content-Type": "application/x-www-form-urlencoded"} | self.source()
        return Request("/self/callback", urlencode({"logoutRequest": text}).encode(), headers, forged=False)

    def source(self) -> dict[str, str]:
        """One of a few addresses, so that the trace of an attack can be checked."""
        return {"X-Forwarded-For": f"198.51.100.{self.chance.randrange(SOURCES)}"}

    def mutated(self, data: bytes) -> bytes:
        """Change, drop, repeat or insert a few times."""
        changed = bytearray(data)
        for _ in range(self.chance.randint(1, 4)):
            place = self.chance.randrange(len(changed) + 1)
            way = self.chance.randrange(5)
            if way == 0 and place < len(changed):
                changed[place] ^= 1 << self.chance.randrange(8)
            elif way == 1:
                del changed[place : place + self.chance.randint(1, 40)]
            elif way == 2:
                changed[place:place] = changed[place : place + self.chance.randint(1, 200)]
            else:
                changed[place:place] = self.chance.choice(PIECES)
        return bytes(changed)

    def _callback(self, path: str, kind: str, event: str, resource: dict[str, Any], number: str) -> Request:
        """Seal and sign a resource that one decisive value spoils, or spoil what was signed."""
        way = self.chance.randrange(4)
        plain = json.dumps(resource).encode()
        if way == 0:
            plain = json.dumps(self._one_value_changed(resource)).encode()
        elif way == 1:
            plain = self._broken(plain)
        nonce = f"{self.chance.getrandbits(48):012x}"
        sealed = pay_crypto.seal(self.credentials.api_v3_key, plain, nonce=nonce, associated_data=kind)
        body = json.dumps(
            {
                "id": f"EV-{self.chance.getrandbits(112)}",
                "create_time": self.clock().isoformat(),
                "event_type": event,
                "resource_type": "encrypt-resource",
                "summary": "x",
                "resource": {
                    "original_type": kind,
                    "algorithm": "AEAD_AES_256_GCM",
                    "ciphertext": sealed,
                    "associated_data": kind,
                    "nonce": nonce,
                },
            }
        ).encode()
        headers = self._keys.headers(self.credentials.public_key_id, body, self.clock().timestamp())
        forged = way >= 2
        if way == 2:
            before = body
            body = self.mutated(body)
            forged = body != before
        elif way == 3:
            name = self.chance.choice([name for name in headers if name.startswith("Wechatpay")])
            headers[name] = self.chance.choice(("", "x", headers[name][:-2], "ä", "0" * 500))
        headers["Content-Type"] = "application/json"
        return Request(path, body, headers | self.source(), forged, number=number)

    def _one_value_changed(self, resource: dict[str, Any]) -> dict[str, Any]:
        changed = json.loads(json.dumps(resource))
        places = [(name, "") for name in PLAIN if name in changed]
        places += [pair for pair in NESTED if pair[1] in changed.get(pair[0], {})]
        outer, inner = self.chance.choice(places or [("amount", "")])
        within, name = (
            (changed[outer], inner) if inner and self.chance.random() < INSIDE else (changed, outer)
        )
        within[name] = self.chance.choice([value for value in VALUES if value != within[name]])
        return dict(changed)

    def _broken(self, plain: bytes) -> bytes:
        """A mutation after which no decisive value is what it was, or which is no JSON at all."""
        while True:
            changed = self.mutated(plain)
            try:
                found = json.loads(changed)
            except (ValueError, RecursionError):
                return changed
            if decisive(found) != decisive(json.loads(plain)):
                return changed
