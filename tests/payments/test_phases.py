"""Calls to the outside stand between transactions: none is made while one is open."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy.orm import Session

from models.db.engine import Database
from models.errors import Unknown
from models.order import CreditStatus, OrderAction, OrderStatus
from payments import credit, orders, settle
from tests.builders import PAYER, ScriptedBilling, ScriptedPay, World, effect


@pytest.fixture
def heard(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Each call to WeChat or billing, with the number of transactions open at that moment."""
    running: list[int] = []
    calls: list[tuple[str, int]] = []
    plain = Database.transaction

    @contextmanager
    def counted(self: Database) -> Iterator[Session]:
        running.append(1)
        try:
            with plain(self) as session:
                yield session
        finally:
            running.pop()

    def noted(name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def asked(*args: Any, **named: Any) -> Any:
            calls.append((name, len(running)))
            return call(*args, **named)

        return asked

    monkeypatch.setattr(Database, "transaction", counted)
    for outside, names in (
        (ScriptedPay, ("prepay", "query", "close")),
        (ScriptedBilling, ("find_account", "credit", "find_credit")),
    ):
        for name in names:
            monkeypatch.setattr(outside, name, noted(name, getattr(outside, name)))
    return calls


def test_nobody_outside_is_called_while_a_transaction_is_open(
    world: World, heard: list[tuple[str, int]]
) -> None:
    ended = world.prepaid(600)
    settle.end(world.services, ended.order_no, OrderAction.EXPIRE, cause="test")
    paid = world.prepaid()
    world.pay.trades[f"{paid.order_no}01"] = "SUCCESS"
    orders.check_now(world.services, order_no=paid.order_no, openid=PAYER)
    world.billing.troubles = [effect(Unknown("timeout"))]
    with pytest.raises(Unknown):
        credit.deliver(world.services, world.claim("credit")[0])
    world.clock.forward(minutes=10)
    credit.deliver(world.services, world.claim("credit")[0])

    assert (world.order(ended).status, world.order(paid).status) == (OrderStatus.EXPIRED, OrderStatus.PAID)
    assert world.credit(paid).status == CreditStatus.CREDITED
    assert {name for name, _ in heard} == {
        "prepay",
        "query",
        "close",
        "find_account",
        "credit",
        "find_credit",
    }
    assert [name for name, open_transactions in heard if open_transactions] == []
