"""The sums say where the money is, and the check finds every kind of disagreement."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text, update

from models.allocation import Allocation
from models.order import Credit, CreditStatus, Order, OrderStatus
from models.refund import Refund, RefundStatus, ReversalStatus
from payments.audit.invariants import Conservation, check, conservation
from tests.payments.refunds.refund_world import RefundWorld


def sums(world: RefundWorld) -> Conservation:
    with world.database.reading() as session:
        assert check(session) == []
        return conservation(session)


def findings_after(world: RefundWorld, *statements: Any) -> list[str]:
    with world.database.transaction() as session:
        for statement in statements:
            session.execute(statement)
    with world.database.reading() as session:
        return check(session)


def test_a_payment_is_in_flight_until_it_is_credited(world: RefundWorld) -> None:
    world.paid()
    assert sums(world) == Conservation(500, 0, 0, 500, 0)
    world.work()
    assert sums(world) == Conservation(500, 500, 0, 0, 0)


def test_a_part_that_goes_back_leaves_the_credit_for_the_payer(world: RefundWorld) -> None:
    number = world.approved(world.paid(credited=True), 200)
    assert sums(world) == Conservation(500, 500, 0, 0, 0)
    world.work()
    assert sums(world) == Conservation(500, 300, 0, 200, 0)
    world.ends(number)
    assert sums(world) == Conservation(500, 300, 200, 0, 0)


def test_a_refund_that_fails_half_way_is_with_a_person(world: RefundWorld) -> None:
    number = world.approved(world.paid(credited=True))
    world.work()
    world.ends(number, "ABNORMAL")
    assert sums(world) == Conservation(500, 0, 0, 0, 500)
    world.ends(number, "CLOSED")
    assert sums(world) == Conservation(500, 0, 0, 0, 500)


def test_money_that_was_freed_by_a_closed_refund_goes_back_with_the_next_one(world: RefundWorld) -> None:
    order_no = world.paid(credited=True)
    first = world.approved(order_no)
    world.work()
    world.ends(first, "CLOSED")
    world.later()
    second = world.approved(order_no)
    world.work()
    world.ends(second)
    assert sums(world) == Conservation(500, 0, 500, 0, 0)


def test_a_second_payment_of_one_order_is_with_a_person(world: RefundWorld) -> None:
    order_no = world.paid_twice()
    for trade in world.paid_trades():
        assert world.tell(trade) == 204
    assert sums(world) == Conservation(1000, 0, 0, 500, 500)
    world.approved(order_no, out_trade_no=f"{order_no}02")
    world.work()
    assert sums(world) == Conservation(1000, 500, 0, 500, 0)


@pytest.mark.parametrize(
    ("statement", "word"),
    [
        (update(Credit).values(status=CreditStatus.PENDING), "allocation.credit_fen"),
        (update(Credit).values(status=CreditStatus.PENDING), "the ledger has credit:"),
        (update(Credit).values(amount_fen=400), "say otherwise"),
        (update(Credit).values(credit_no="c-other"), "is CREDITED, the ledger has None"),
        (update(Order).values(status=OrderStatus.EXPIRED), "say otherwise"),
        (update(Allocation).values(paid_fen=600), "allocation.paid_fen"),
        (text("DELETE FROM credit"), "are not where they should be"),
    ],
)
def test_the_check_finds_what_was_changed_by_hand(world: RefundWorld, statement: Any, word: str) -> None:
    world.paid(credited=True)
    assert any(word in finding for finding in findings_after(world, statement))


def test_the_check_finds_a_refund_beside_a_credit(world: RefundWorld) -> None:
    world.asked(world.paid(credited=True))
    taken = update(Refund).values(
        held=True,
        status=RefundStatus.SUCCESS,
        reversal=ReversalStatus.NOT_NEEDED,
        changed_at=world.clock.now(),
    )
    findings = findings_after(world, taken)
    assert any("review -500" in finding for finding in findings)
    assert any("allocation.refund_fen" in finding for finding in findings)


def test_the_check_finds_a_reversal_that_billing_does_not_have(world: RefundWorld) -> None:
    world.asked(world.paid(credited=True))
    findings = findings_after(world, update(Refund).values(reversal=ReversalStatus.DONE))
    assert any("is reversed, the ledger has None" in finding for finding in findings)
