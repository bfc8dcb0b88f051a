"""Notifications to the merchant: sealed, signed, 5 s to answer, 15 retries on the virtual clock."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial

from sandbox.engine import Engine
from sandbox.faults import Fault
from sandbox.pay import crypto, keys
from sandbox.pay.orders import Order, beijing
from sandbox.pay.transaction import tampered, transaction
from sandbox.wire import Exchange

KIND = "pay.notify"
PLACES = {"transaction": "pay.notify", "refund": "pay.refund_notify"}
DEADLINE_S = 5.0
RETRY_AFTER_S = (15, 15, 30, 180, 600, 1200, 1800, 1800, 1800, 3600, 10800, 10800, 10800, 21600, 21600)
ACCEPTED = frozenset({200, 204})
CONTENT_TYPES = {"odd_charset": "text/plain; charset=gbk", "no_content_type": None}
HEAD = {"User-Agent": "Mozilla/4.0", "Accept": "*/*"}


@dataclass(frozen=True)
class Event:
    """What is told and where to; `original_type` is "transaction" or "refund"."""

    event_type: str
    summary: str
    original_type: str
    url: str
    openid: str
    resource: dict[str, object]

    @property
    def place(self) -> str:
        """Where its faults are asked for."""
        return PLACES[self.original_type]


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
        self._held: list[tuple[Event, int]] = []
        self._last_id = ""

    def announce(self, event: Event, fault: Fault | None = None) -> None:
        """Start telling; `fault` decides what goes wrong.

        With `before_answer` this returns when the merchant has been told, else at once.
        """
        if fault is not None and fault.name == "before_answer":
            self.deliver(event)
        else:
            self._plan(event, 0, fault)

    def deliver(self, event: Event, attempt: int = 0, fault: Fault | None = None) -> None:
        """Send one attempt and put the next one on the clock when it was not accepted."""
        spoil = fault.name if fault else ""
        skew_s = fault.setting("seconds") if fault and spoil == "skew" else 0.0
        status = self.send(event, spoil=spoil, skew_s=skew_s)
        self._let_go()
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

    def send(self, event: Event, *, spoil: str = "", skew_s: float = 0.0) -> int:
        """One POST; its status, 0 when none came within five seconds."""
        resource = tampered(event.resource, spoil)
        body = _compact(self._envelope(event, _compact(resource), same_id=spoil == "same_id"))
        signature = self._keys.headers(
            self._keys.for_notification(),
            body,
            self._engine.stamp() + skew_s,
            spoil=spoil if spoil in keys.SPOILED else "",
        )
        content_type = CONTENT_TYPES.get(spoil, "application/json")
        headers = {**HEAD, **({"Content-Type": content_type} if content_type else {}), **signature}
        note = partial(_annotate, event, resource, keys.signed_text(signature, body), spoil)
        response = self._engine.outbound.post(
            KIND, event.url, body, headers, timeout_s=DEADLINE_S, annotate=note
        )
        return 0 if response is None else response.status_code

    def _plan(self, event: Event, attempt: int, fault: Fault | None) -> None:
        name = fault.name if fault else ""
        if name == "lost":
            return
        if name == "reorder":
            with self._engine.lock:
                self._held.append((event, attempt))
            return
        delay_s = fault.setting("seconds") if fault and name == "delay" else 0.0
        copies = int(fault.setting("count")) if fault and name == "duplicate" else 1
        after = self._engine.scheduler.after
        after(delay_s, partial(self.deliver, event, attempt, fault))
        for _ in range(copies - 1):
            after(delay_s, partial(self.send, event))

    def _retry(self, event: Event, attempt: int) -> None:
        self._plan(event, attempt, self._engine.faults.take(event.place))

    def _let_go(self) -> None:
        """Send what was held back, now that another notice is out."""
        with self._engine.lock:
            held, self._held = self._held, []
        for event, attempt in held:
            self._engine.scheduler.after(0, partial(self.deliver, event, attempt))

    def _envelope(self, event: Event, plaintext: bytes, *, same_id: bool) -> dict[str, object]:
        nonce = self._engine.chance.stream("pay.notify nonce").hex(12)
        sealed = crypto.seal(
            self._keys.for_sealing(), plaintext, nonce=nonce, associated_data=event.original_type
        )
        if not (same_id and self._last_id):
            self._last_id = f"EV-{self._engine.chance.stream('pay.notify id').hex(28)}"
        return {
            "id": self._last_id,
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
    exchange.verdict = f"故意出错：{spoil}" if spoil else "平台已签名"


def _compact(value: dict[str, object]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
