"""A summer off: what was paid before is found in the bill of its day, however late."""

from __future__ import annotations

from datetime import date

from sqlalchemy import select

from models.clock import campus_date
from models.order import CreditStatus, Order, OrderStatus
from models.review import ReviewItem, ReviewKind
from payments.audit.invariants import check, conservation
from payments.reconcile import daily
from payments.reconcile.runs import days_done
from tests.payments.refunds.refund_world import RefundWorld

DAY_S = 86_400.0


def catch_up(world: RefundWorld) -> None:
    while daily.due_job(world.services):
        continue


def test_a_payment_before_forty_days_off_is_found_and_credited(world: RefundWorld) -> None:
    """Its callback and every query are lost; only the bill of its day tells of it."""
    world.paid(credited=True)
    world.clock.advance(2 * DAY_S)
    catch_up(world)
    lost = world.start(0, 0, 500)
    assert lost is not None
    world.prepare(lost)
    world.pay(lost)
    paid_on = campus_date(world.clock.now())
    world.clock.advance(40 * DAY_S)
    catch_up(world)
    world.calm()
    with world.database.reading() as session:
        done = days_done(session, date(2020, 1, 1))
        books = conservation(session)
        assert check(session) == []
        asked = list(session.scalars(select(ReviewItem.kind)))
        order = session.scalars(select(Order).where(Order.order_no == lost)).one()
    yesterday = campus_date(world.clock.now()).toordinal() - 1
    assert {on.toordinal() for on in done} >= set(range(paid_on.toordinal(), yesterday))
    assert ReviewKind.MISSING_BILL not in asked
    assert order.status == OrderStatus.PAID
    assert world.credit(lost).status == CreditStatus.CREDITED
    assert (books.paid_fen, books.credited_fen, books.missing_fen) == (1000, 1000, 0)
    assert world.balance_fen() == 1000
