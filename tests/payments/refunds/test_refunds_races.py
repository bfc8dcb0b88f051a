"""Credit and refund of one order at once, on two connections of PostgreSQL; and what happens unguarded."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from models import allocation
from models.allocation import Allocation, MoneySpoken
from models.db.engine import Database
from models.errors import AmountInvalid
from models.order import CreditStatus, Order, move_credit
from models.refund import Refund, RefundStatus, refunds_of
from models.values.actor import Actor
from payments import credit
from payments.outcome import Done, Later
from payments.refunds import approval as refunds
from payments.refunds import freeing as refund_freeing
from payments.refunds import steps as refund_steps
from payments.views import view_of
from tests.builders import World

pytestmark = pytest.mark.postgres

# Long enough for a connection to arrive at a lock; the outcome does not depend on it.
MOMENT_S = 0.5


@pytest.fixture
def world(postgres_database: Database) -> World:
    return World(postgres_database)


def order_of(world: World, amount_fen: int = 500) -> Order:
    return world.order(world.paid(amount_fen))


def allocated(world: World, order: Order) -> tuple[int, int]:
    with world.database.reading() as session:
        held = session.get_one(Allocation, order.id)
        return held.credit_fen, held.refund_fen


def beside(first: Callable[[], object], second: Callable[[], object]) -> tuple[Future[Any], Future[Any]]:
    """Run both at once; errors stay in their futures."""
    with ThreadPoolExecutor(2) as pool:
        return pool.submit(first), pool.submit(second)


def race_for(world: World, order: Order) -> list[BaseException | None]:
    """One connection speaks for the money as a credit, the other as a refund, neither having committed."""
    both_inside = threading.Barrier(2)

    def hold(step: Callable[[Session, int, int], None]) -> None:
        with world.database.transaction() as session:
            both_inside.wait(timeout=10)
            step(session, order.id, order.amount_fen)

    done = beside(lambda: hold(allocation.hold_credit), lambda: hold(allocation.hold_refund))
    return [future.exception() for future in done]


def test_credit_and_refund_never_both_hold_the_money(world: World) -> None:
    for _ in range(5):
        order = order_of(world)
        errors = race_for(world, order)
        assert [type(error) for error in errors].count(MoneySpoken) == 1
        assert sum(allocated(world, order)) == order.amount_fen


def test_without_the_check_both_hold_it(world: World) -> None:
    # Negative control: the CHECK of the database is what holds the line above.
    with world.database.transaction() as session:
        session.execute(text("ALTER TABLE allocation DROP CONSTRAINT ck_allocation_spent_once"))
    order = order_of(world)
    assert race_for(world, order) == [None, None]
    assert allocated(world, order) == (order.amount_fen, order.amount_fen)


def approved(world: World, order: Order) -> str:
    wanted = {"order_no": order.order_no, "amount_fen": order.amount_fen, "reason": "退"}
    number = refunds.request(world.services, **wanted, actor=Actor.from_name("anna")).out_refund_no  # type: ignore[arg-type]
    refunds.approve(world.services, out_refund_no=number, actor=Actor.from_name("bert"))
    return number


def free_while_crediting(world: World, monkeypatch: pytest.MonkeyPatch) -> tuple[Order, str, Future[Any]]:
    """The refund looks at the credit after the credit's job has marked it, before that is committed."""
    order = order_of(world)
    number = approved(world, order)
    (crediting,) = [item for item in world.claim("credit") if item.key == order.order_no]
    (refunding,) = [item for item in world.claim("refund") if item.key == number]
    marked, looked = threading.Event(), threading.Event()
    move = move_credit

    def slowly(session: Session, *arguments: Any, **more: Any) -> None:
        move(session, *arguments, **more)
        marked.set()
        # Without a lock the other side is through by now; with one it waits for our commit.
        looked.wait(MOMENT_S)

    monkeypatch.setattr(credit, "move_credit", slowly)

    def free() -> object:
        assert marked.wait(10)
        try:
            return refund_freeing.free(world.services, refunding)
        finally:
            looked.set()

    credited, freed = beside(lambda: credit.deliver(world.services, crediting), free)
    assert credited.result() == Done()
    return order, number, freed


def test_a_refund_sees_the_credit_that_started_a_moment_before(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    order, number, freed = free_while_crediting(world, monkeypatch)
    # It came for the lock before the credit was decided, or just after; both times nothing is voided.
    assert isinstance(freed.result(), Later | Done)
    assert (allocated(world, order), world.credit(view_of(order, None)).status) == (
        (500, 0),
        CreditStatus.CREDITED,
    )
    with world.database.reading() as session:
        refund = session.scalars(select(Refund).where(Refund.out_refund_no == number)).one()
        assert refund.status in {RefundStatus.APPROVED, RefundStatus.CLOSED}
        assert refund.held is False


def test_a_credit_ends_while_a_refund_holds_its_order(world: World) -> None:
    # Fails when the order is locked FOR UPDATE: the credit's foreign key waits for the order, and the
    # refund, which wants the credit next, waits for the credit.
    order = order_of(world)
    number = approved(world, order)
    (crediting,) = [item for item in world.claim("credit") if item.key == order.order_no]
    with ThreadPoolExecutor(1) as pool, world.database.transaction() as session:
        refund_steps.locked(session, number)
        assert pool.submit(credit.deliver, world.services, crediting).result(timeout=10) == Done()


def test_without_the_lock_the_refund_voids_a_credit_that_is_being_sent(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Negative control: no lock on the credit, no guarded UPDATE, no CHECK - and the money goes two ways.
    with world.database.transaction() as session:
        session.execute(text("ALTER TABLE allocation DROP CONSTRAINT ck_allocation_spent_once"))

    def unguarded(session: Session, order: Order, found: Any, *, actor: str, now: Any) -> None:
        del session, order, found, actor, now

    locked = refund_steps.money_of

    def unlocked(session: Session, order: Order, out_trade_no: str) -> refund_steps.Money:
        with monkeypatch.context() as patch:
            patch.setattr("sqlalchemy.sql.selectable.Select.with_for_update", lambda self, **_: self)
            return locked(session, order, out_trade_no)

    monkeypatch.setattr(refund_freeing, "money_of", unlocked)
    monkeypatch.setattr(refund_freeing, "void", unguarded)
    monkeypatch.setattr(refund_freeing, "_hold", hold_anyway)
    order, _, freed = free_while_crediting(world, monkeypatch)
    assert freed.result() is None, "ready to be sent"
    assert allocated(world, order) == (500, 500)
    assert world.billing.credits, "and billing has it too"


def hold_anyway(session: Session, order: Order, refund: Refund) -> None:
    allocation.hold_refund(session, order.id, refund.amount_fen)
    refund.held = True


def ask_twice(world: World, order: Order, monkeypatch: pytest.MonkeyPatch) -> list[BaseException | None]:
    """Two people ask for the whole amount; both have looked at what was refunded before either writes."""
    both_looked = threading.Barrier(2)
    look = refunds_of

    def look_and_wait(session: Session, order_id: int) -> list[Refund]:
        found = look(session, order_id)
        with suppress(threading.BrokenBarrierError):
            both_looked.wait(MOMENT_S)
        return found

    monkeypatch.setattr(refunds, "refunds_of", look_and_wait)

    def ask(name: str) -> Refund:
        wanted = {"order_no": order.order_no, "amount_fen": order.amount_fen, "reason": "退"}
        return refunds.request(world.services, **wanted, actor=Actor.from_name(name))  # type: ignore[arg-type]

    return [future.exception() for future in beside(lambda: ask("anna"), lambda: ask("bert"))]


def requested_fen(world: World) -> int:
    with world.database.reading() as session:
        return sum(session.scalars(select(Refund.amount_fen)))


def test_two_requests_at_once_never_exceed_the_payment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    order = order_of(world)
    errors = ask_twice(world, order, monkeypatch)
    assert [type(error) for error in errors].count(AmountInvalid) == 1
    assert requested_fen(world) == 500


def test_without_the_order_s_lock_two_requests_exceed_it(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Negative control; the number made from the count would stop it as well, so its wall goes, too.
    with world.database.transaction() as session:
        session.execute(text("ALTER TABLE refund DROP CONSTRAINT uq_refund_out_refund_no"))

    def unlocked(session: Session, order_no: str) -> Order:
        return session.scalars(select(Order).where(Order.order_no == order_no)).one()

    monkeypatch.setattr(refunds, "_locked_order", unlocked)
    monkeypatch.setattr(refunds, "money_of", lambda *_: refund_steps.Money(None, 0, 500, 500))
    order = order_of(world)
    assert ask_twice(world, order, monkeypatch) == [None, None]
    assert requested_fen(world) == 1000
