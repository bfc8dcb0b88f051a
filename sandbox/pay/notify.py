"""Notifications to the merchant: sealed, signed, 5 s to answer, 15 retries on the virtual clock."""

from __future__ import annotations

import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from sandbox.engine import Engine
from sandbox.faults import Fault
from sandbox.pay import crypto, keys
from sandbox.pay.orders import Order, beijing
from sandbox.pay.transaction import TAMPERED, tampered, transaction
from sandbox.wire import Exchange

PLACE = "pay.notify"
DEADLINE_S = 5.0
RETRY_AFTER_S = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)
ACCEPTED = frozenset({200, 204})


@dataclass(frozen=True)
class Event:
    """What is told and where to; `original_type` is "transaction" (or later "refund")."""

    event_type: str
    summary: str
    original_type: str
    url: str
    openid: str
    resource: dict[str, object]


def paid_event(order: Order) -> Event:
    """TRANSACTION.SUCCESS of a paid order."""
    request = order.request
    return Event(
        "TRANSACTION.SUCCESS",
        "支付成功",
        "transaction",
        request.notify_url,
        request.openid,
        transaction(order),
    )


class Notifier:
    """Tells the merchant, again and again until it says 200 or 204."""

    def __init__(self, engine: Engine, platform_keys: keys.PlatformKeys) -> None:
        self._engine = engine
        self._keys = platform_keys

    def announce(self, event: Event, fault: Fault | None = None) -> None:
        """Start telling; `fault` (or the next one at pay.notify) decides what goes wrong.

        With `before_answer` this returns when the merchant has been told, else at once.
        """
        fault = fault or self._engine.faults.take(PLACE)
        name = fault.name if fault else ""
        if name == "lost":
            return
        if name == "before_answer":
            self.deliver(event)
            return
        delay_s = fault.args.get("seconds", 60.0) if fault and name == "delay" else 0.0
        copies = int(fault.args.get("count", 2)) if fault and name == "duplicate" else 1
        after = self._engine.scheduler.after
        after(delay_s, partial(self.deliver, event, spoil=name))
        for _ in range(copies - 1):
            after(delay_s, partial(self.send, event))

    def deliver(self, event: Event, attempt: int = 0, *, spoil: str = "") -> None:
        """Send one attempt and put the next one on the clock when it was not accepted."""
        status = self.send(event, spoil=spoil)
        probe = spoil == keys.SIGNTEST
        if (status in ACCEPTED and not probe) or attempt >= len(RETRY_AFTER_S):
            return
        self._engine.scheduler.after(RETRY_AFTER_S[attempt], partial(self._retry, event, attempt + 1))

    def resend(self, event: Event, times: int, *, parallel: bool) -> list[int]:
        """Tell `times` times now; the statuses, 0 where no answer came."""
        if not parallel:
            return [self.send(event) for _ in range(times)]
        with ThreadPoolExecutor(max_workers=times) as pool:
            return list(pool.map(lambda _: self.send(event), range(times)))

    def send(self, event: Event, *, spoil: str = "") -> int:
        """One POST; its status, 0 when none came within five seconds."""
        resource = tampered(event.resource, spoil)
        plaintext = _compact(resource)
        body = _compact(self._envelope(event, plaintext))
        signature = self._keys.headers(
            self._keys.for_notification(),
            body,
            self._engine.stamp(),
            spoil=spoil if spoil in keys.SPOILED else "",
        )
        note = partial(_annotate, event, resource, keys.signed_text(signature, body), spoil)
        response = self._engine.outbound.post(
            PLACE,
            event.url,
            body,
            {"Content-Type": "application/json", "User-Agent": "Mozilla/4.0", "Accept": "*/*", **signature},
            timeout_s=DEADLINE_S,
            annotate=note,
        )
        return 0 if response is None else response.status_code

    def _retry(self, event: Event, attempt: int) -> None:
        fault = self._engine.faults.take(PLACE)
        if fault is not None and fault.name == "lost":
            return
        self.deliver(event, attempt, spoil=fault.name if fault else "")

    def _envelope(self, event: Event, plaintext: bytes) -> dict[str, object]:
        nonce = secrets.token_hex(6)
        key = self._engine.credentials.api_v3_key
        sealed = crypto.seal(key, plaintext, nonce=nonce, associated_data=event.original_type)
        return {
            "id": f"EV-{secrets.token_hex(14)}",
            "create_time": beijing(datetime.fromtimestamp(self._engine.stamp(), UTC)),
            "resource_type": "encrypt-resource",
            "event_type": event.event_type,
            "summary": event.summary,
            "resource": {
                "original_type": event.original_type,
                "algorithm": "AEAD_AES_256_GCM",
                "ciphertext": sealed,
                "associated_data": event.original_type,
                "nonce": nonce,
            },
        }


def _annotate(event: Event, resource: dict[str, object], signed: str, spoil: str, exchange: Exchange) -> None:
    exchange.openid = event.openid
    exchange.decrypted = json.dumps(resource, ensure_ascii=False, indent=2)
    exchange.signed = signed
    wrong = spoil in TAMPERED or spoil in keys.SPOILED
    exchange.verdict = f"故意出错：{spoil}" if wrong else "平台已签名"


def _compact(value: dict[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
