"""What is read of one order, or every few seconds, does not grow with the number of payments."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from models.db.engine import Database
from models.values.actor import Actor
from payments import second_payments
from payments.audit import order_trace as trace
from payments.audit.invariants import check
from payments.audit.metrics import figures
from payments.refunds import approval as refunds
from payments.refunds.steps import money_of
from payments.views import OrderView
from tests.billing.test_plans import plans
from tests.builders import World

ANNA = Actor.from_name("anna")
PAYMENTS = ("payment_fact", "notify_inbox")
Read = Callable[[World, OrderView], object]


def money(world: World, view: OrderView) -> object:
    with world.database.reading() as session:
        return money_of(session, world.order(view), f"{view.order_no}01")


def asked_back(world: World, view: OrderView) -> object:
    return refunds.request(
        world.services,
        order_no=view.order_no,
        amount_fen=view.amount_fen,
        reason="重复",
        actor=ANNA,
    )


def second(world: World, view: OrderView) -> object:
    with world.database.transaction() as session:
        return second_payments.credit_too(session, f"42{view.order_no}", actor=ANNA, now=world.clock())


def found(world: World, view: OrderView) -> object:
    with world.database.reading() as session:
        return trace.find(session, f"42{view.order_no}")


def watched(world: World, _: OrderView) -> object:
    with world.database.reading() as session:
        return figures(session, world.clock())


@pytest.mark.parametrize("read", [money, asked_back, second, found, watched])
def test_no_payment_of_another_order_is_read(any_database: Database, read: Read) -> None:
    world = World(any_database)
    view = world.paid()
    with plans(any_database) as lines:
        read(world, view)
    scans = {f"{word} {table}" for word in ("SCAN", "Seq Scan on") for table in PAYMENTS}
    assert lines
    assert not [line for line in lines if any(scan in line for scan in scans)]


def test_the_check_of_the_books_looks_up_the_payments_of_each_order(any_database: Database) -> None:
    world = World(any_database)
    world.paid()
    with any_database.reading() as session, plans(any_database) as lines:
        assert check(session, embedded=False) == []
    assert any("ix_payment_fact_order_id" in line for line in lines)
