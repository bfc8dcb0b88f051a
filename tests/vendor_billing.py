"""A vendor's billing system as adapters meet it: declared abilities, and requests that arrive late."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, TypeVar

from billing.embedded.engine import EmbeddedBilling
from billing.interface import Capabilities, CreditReceipt, ExchangeReceipt, MoneyCall
from models.clock import Clock
from models.db.engine import Database
from models.errors import Refused, ServiceError

R = TypeVar("R")

WINDOW_S = 60


class VendorBilling(EmbeddedBilling):
    """The books of the embedded engine behind other abilities.

    `abilities` replaces fields of the capabilities. Where `prepare` is among them, a call needs the
    identifier that was prepared for its key. Where `credit_is_idempotent` is not, each call under a key has
    an effect of its own. `meanwhile` is what happens while the next call of a kind is on its way, before it
    takes effect; `hold` lets the next call of a kind take effect only when `arrive` is called, and answers it
    with an error.
    """

    def __init__(self, database: Database, clock: Clock, **abilities: Any) -> None:
        super().__init__(database, clock)
        self.abilities: dict[str, Any] = {
            "local": False,
            "close_key": False,
            "confirmation_window_s": WINDOW_S,
            **abilities,
        }
        self.meanwhile: dict[MoneyCall, Callable[[], object]] = {}
        self.on_the_way: list[tuple[datetime, Callable[[], object]]] = []
        self.prepared: dict[str, str] = {}
        self._held: dict[MoneyCall, ServiceError] = {}
        self._repeated: dict[str, int] = {}
        self._numbers = itertools.count(1)

    def capabilities(self) -> Capabilities:
        return replace(super().capabilities(), **self.abilities)

    def hold(self, call: MoneyCall, answer: ServiceError) -> None:
        """The next call of this kind stays on its way, and is answered so."""
        self._held[call] = answer

    def arrive(self) -> list[object]:
        """What was on its way takes effect, or is refused; what is older than the window is lost.

        Returns: receipts and refusals.
        """
        came: list[object] = []
        window_s = self.capabilities().confirmation_window_s
        while self.on_the_way:
            sent_at, call = self.on_the_way.pop(0)
            if window_s is not None and self._clock() - sent_at > timedelta(seconds=window_s):
                continue
            try:
                came.append(call())
            except Refused as refusal:
                came.append(refusal)
        return came

    def end_what_is_on_the_way(self, *, applied: bool) -> None:
        """It arrives, or is lost."""
        if applied:
            self.arrive()
        self.on_the_way.clear()

    def prepare(self, call: MoneyCall, account_no: str, amount_fen: int, *, key: str) -> str:
        del account_no, amount_fen
        return self.prepared.setdefault(f"{call}:{key}", f"P{next(self._numbers):06d}")

    def credit(self, account_no: str, amount_fen: int, *, key: str, ref: str | None = None) -> CreditReceipt:
        self._check_ref(MoneyCall.CREDIT, key, ref)
        effect = super().credit
        return self._send(MoneyCall.CREDIT, key, lambda own: effect(account_no, amount_fen, key=own))

    def reverse(
        self, account_no: str, amount_fen: int, *, key: str, credit_key: str, ref: str | None = None
    ) -> CreditReceipt:
        self._check_ref(MoneyCall.REVERSAL, key, ref)
        effect = partial(super().reverse, account_no, amount_fen, credit_key=credit_key)
        return self._send(MoneyCall.REVERSAL, key, lambda own: effect(key=own))

    def withdraw(
        self, account_no: str, amount_fen: int, *, key: str, ref: str | None = None
    ) -> CreditReceipt:
        self._check_ref(MoneyCall.WITHDRAWAL, key, ref)
        effect = super().withdraw
        return self._send(MoneyCall.WITHDRAWAL, key, lambda own: effect(account_no, amount_fen, key=own))

    def exchange(
        self, account_no: str, code: str, *, key: str, price_fen: int, ref: str | None = None
    ) -> ExchangeReceipt:
        self._check_ref(MoneyCall.EXCHANGE, key, ref)
        effect = partial(super().exchange, account_no, code, price_fen=price_fen)
        return self._send(MoneyCall.EXCHANGE, key, lambda own: effect(key=own))

    def find_credit(self, account_no: str, key: str, *, ref: str | None = None) -> CreditReceipt | None:
        self._check_ref(MoneyCall.CREDIT, key, ref)
        found = super().find_credit(account_no, key)
        return found if found is None or found.account_no == account_no else None

    def find_reversal(self, account_no: str, key: str, *, ref: str | None = None) -> CreditReceipt | None:
        self._check_ref(MoneyCall.REVERSAL, key, ref)
        return super().find_reversal(account_no, key)

    def find_withdrawal(self, account_no: str, key: str, *, ref: str | None = None) -> CreditReceipt | None:
        self._check_ref(MoneyCall.WITHDRAWAL, key, ref)
        return super().find_withdrawal(account_no, key)

    def find_exchange(self, account_no: str, key: str, *, ref: str | None = None) -> ExchangeReceipt | None:
        self._check_ref(MoneyCall.EXCHANGE, key, ref)
        return super().find_exchange(account_no, key)

    def _send(self, kind: MoneyCall, key: str, effect: Callable[[str], R]) -> R:
        def call() -> R:
            return effect(self._own_key(key))

        if kind in self._held:
            self.on_the_way.append((self._clock(), call))
            raise self._held.pop(kind)
        if kind in self.meanwhile:
            self.meanwhile.pop(kind)()
        return call()

    def _own_key(self, key: str) -> str:
        """Return the key of an effect: one of its own for each call, unless repeated calls have none."""
        if self.capabilities().credit_is_idempotent:
            return key
        self._repeated[key] = self._repeated.get(key, 0) + 1
        return key if self._repeated[key] == 1 else f"{key}#{self._repeated[key]}"

    def _check_ref(self, call: MoneyCall, key: str, ref: str | None) -> None:
        if self.capabilities().prepare:
            assert ref == self.prepared.get(f"{call}:{key}"), "the stored identifier comes with every call"
            assert ref is not None
