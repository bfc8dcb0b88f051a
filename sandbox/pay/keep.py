"""What a platform never forgets, in a file: one JSON line for each change of an order, a refund or its keys.

A sandbox that is killed and started again knows every payment and signs with the same keys, as the real
one would; private keys are in the file, so it is its owner's only. What it was about to
tell the merchant is lost with it: no notice is ever promised.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Any

from sandbox.pay.orders import Order, PrepayRequest
from sandbox.pay.refunds import Refund, RefundRequest

Line = dict[str, Any]


class Keep:
    """Appends to `path`; without one nothing is kept. The caller holds the engine's lock."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        if path is not None:
            path.touch(mode=0o600)
            path.chmod(0o600)
        self._file = None if path is None else path.open("ab")

    def order(self, order: Order) -> None:
        """Keep an order as it is now."""
        if self._file is not None:
            self._append("order", asdict(order))

    def burned(self, out_trade_no: str) -> None:
        """Keep that a number was closed before it was ever placed."""
        self._append("burned", {"out_trade_no": out_trade_no})

    def refund(self, refund: Refund) -> None:
        """Keep a refund as it is now."""
        if self._file is not None:
            self._append("refund", {**asdict(refund), "order": refund.order.request.out_trade_no})

    def keys(self, kept: Line) -> None:
        """Keep the platform's keys as they are now."""
        self._append("keys", kept)

    def lines(self) -> Iterator[tuple[str, Line]]:
        """Everything that was kept, oldest first; a line cut short by a kill is left out, and cut off."""
        if self._path is None or self._file is None:
            return
        good = 0
        with self._path.open("rb") as file:
            for line in file:
                if not line.endswith(b"\n"):
                    break
                good += len(line)
                kept = json.loads(line)
                yield kept["kind"], kept["is"]
        self._file.truncate(good)

    def forget(self) -> None:
        """Start again with nothing."""
        if self._file is not None:
            self._file.truncate(0)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _append(self, kind: str, value: Line) -> None:
        if self._file is not None:
            text = json.dumps({"kind": kind, "is": value}, ensure_ascii=False, default=_moment)
            # With the system before the answer goes out: a kill of this process cannot take it back.
            self._file.write(text.encode() + b"\n")
            self._file.flush()


def order_of(line: Line) -> Order:
    """The order that was kept in a line."""
    request = {**line["request"], "time_expire_at": _at(line["request"]["time_expire_at"])}
    times = {name: _at(line[name]) for name in ("created_at", "expires_at", "success_at", "closed_at")}
    ends = {prepay_id: datetime.fromisoformat(end) for prepay_id, end in line["prepay_ids"].items()}
    return Order(**{**line, **times, "request": PrepayRequest(**request), "prepay_ids": ends})


def refund_of(line: Line, order: Order) -> Refund:
    """The refund that was kept in a line, of this order."""
    times = {name: _at(line[name]) for name in ("created_at", "accepted_at", "success_at")}
    return Refund(**{**line, **times, "request": RefundRequest(**line["request"]), "order": order})


def _moment(value: object) -> str:
    if not isinstance(value, datetime):
        raise TypeError(f"{type(value).__name__} is not kept")
    return value.isoformat()


def _at(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
