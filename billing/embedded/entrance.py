"""Accounting records over HTTP: who may send them, and what is in the body.

The sender signs with a shared secret: `X-Campusnet-Timestamp` (seconds since 1970) and
`X-Campusnet-Signature`, the hexadecimal HMAC-SHA256 of the timestamp, a dot and the raw body.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

from billing.embedded.accounting import Accounting
from models.clock import Clock
from models.errors import Forged, Malformed

AGE_MAX_S = 300
RECORDS_MAX = 2000
TIMESTAMP = "X-Campusnet-Timestamp"
SIGNATURE = "X-Campusnet-Signature"
_DIGITS_MAX = 12

Receive = Callable[[Mapping[str, str], bytes], dict[str, Any]]


def sign(secret: str, timestamp: str, body: bytes) -> str:
    """The signature that belongs to a timestamp and a body."""
    signed = timestamp.encode() + b"." + body
    return hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()


def receiver(accounting: Accounting, secret: str, clock: Clock) -> Receive:
    """The entrance as one function of headers and raw body; an empty secret keeps it closed.

    The function returns `{"results": [{"outcome": ..., "field": ...}, ...]}`, an entry for each record.
    It raises: Forged - signature or age; Malformed - no batch of records; Unavailable - send it again.
    """

    def receive(headers: Mapping[str, str], body: bytes) -> dict[str, Any]:
        _verify(headers, body, secret, now_s=clock().timestamp())
        answers = accounting.take(_records(body))
        return {
            "results": [
                {"outcome": answer.outcome} | ({"field": answer.field} if answer.field else {})
                for answer in answers
            ]
        }

    return receive


def _verify(headers: Mapping[str, str], body: bytes, secret: str, *, now_s: float) -> None:
    if not secret:
        raise Forged("no accounting secret is configured")
    timestamp, signature = headers.get(TIMESTAMP, ""), headers.get(SIGNATURE, "")
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= _DIGITS_MAX):
        raise Forged("timestamp")
    # As bytes: headers may hold anything, and comparing text outside ASCII raises.
    if not hmac.compare_digest(signature.encode(), sign(secret, timestamp, body).encode()):
        raise Forged("signature")
    if abs(now_s - int(timestamp)) > AGE_MAX_S:
        raise Forged("age")


def _records(body: bytes) -> list[Any]:
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise Malformed("no JSON") from error
    if isinstance(content, dict) and "records" not in content:
        # One record by itself.
        return [content]
    records = content["records"] if isinstance(content, dict) else content
    if not isinstance(records, list) or len(records) > RECORDS_MAX:
        raise Malformed("records")
    return records
