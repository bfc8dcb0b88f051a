"""The crash matrix of a second payment that is credited too, and of a recharge that swaps a package.

Each dies at each of its commits and calls, is taken up by a new process, and ends with one credit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

import pytest
from sqlalchemy import func, select

from billing.embedded.ledger import wrong_balances
from models.ledger import Entry
from models.order import CreditStatus, Order, credit_of
from models.package import Purchase
from models.swap import SwapIntent, SwapStatus
from payments.audit.invariants import check, conservation
from sandbox.credentials import Credentials
from sandbox.pay.notify import paid_event
from tests.crashes.points import Crash
from tests.models_of_money.memory import memory_folder
from tests.models_of_money.money_world import PACKAGE, MoneyWorld
from tests.models_of_money.world import make_template

AMOUNT_FEN = 500
ROUNDS_MAX = 8
# Longer than a lease and than most back-offs.
LONG_S = 700.0


@dataclass(frozen=True)
class Journey:
    """`before` prepares undisturbed, `act` is cut short, and `again` is what people do when it was.

    At the end there are so many new `orders`, each credited once, and so many new `swaps`.
    """

    name: str
    before: Callable[[MoneyWorld], str]
    act: Callable[[MoneyWorld, str], object]
    again: Callable[[MoneyWorld, str], object]
    orders: int
    swaps: int


def paid_twice(world: MoneyWorld) -> str:
    order_no = world.paid_twice(0, AMOUNT_FEN)
    for trade in world.paid_trades():
        if trade.request.out_trade_no.startswith(order_no):
            world.tell(trade)
    world.work()
    return order_no


def decided(world: MoneyWorld) -> str:
    """Both persons have agreed that the second payment is credited; its job is due."""
    order_no = paid_twice(world)
    credit_second(world, order_no)
    return order_no


def credit_second(world: MoneyWorld, _order_no: str) -> None:
    for item in world.second_payments():
        world.decide(item.id, "credit")


def by_policy(world: MoneyWorld, _order_no: str) -> None:
    world.follow_policy("credit")


def wished(world: MoneyWorld) -> str:
    """An order that wishes a package is paid, and nobody told us."""
    world.use_up()
    order_no = world.start(0, 0, AMOUNT_FEN, PACKAGE)
    assert order_no is not None
    world.prepare(order_no)
    world.pay(order_no)
    return order_no


def wished_and_told(world: MoneyWorld) -> str:
    order_no = wished(world)
    tell(world, order_no)
    return order_no


def tell(world: MoneyWorld, order_no: str) -> None:
    world.platform.notifier.send(paid_event(world.platform.book.get(f"{order_no}01")))


def work(world: MoneyWorld, _order_no: str) -> None:
    while world.worker.run_once():
        pass


def nothing(_world: MoneyWorld, _order_no: str) -> None:
    """What follows does all that is left."""


JOURNEYS = (
    Journey("credit_too by two persons", paid_twice, credit_second, credit_second, orders=2, swaps=0),
    Journey("credit_too by the policy", paid_twice, by_policy, by_policy, orders=2, swaps=0),
    Journey("the credit of a second payment", decided, work, nothing, orders=2, swaps=0),
    Journey("notice of a recharge with a swap", wished, tell, tell, orders=1, swaps=1),
    Journey("recharge and swap", wished_and_told, work, nothing, orders=1, swaps=1),
)


@pytest.fixture(scope="module")
def world(credentials: Credentials) -> Iterator[MoneyWorld]:
    with memory_folder() as folder, pytest.MonkeyPatch.context() as patch:
        made = MoneyWorld(make_template(folder), folder / "matrix.db", credentials, patch)
        yield made
        made.close()


@pytest.mark.long
@pytest.mark.parametrize("journey", JOURNEYS, ids=lambda journey: journey.name)
def test_a_journey_cut_anywhere_ends_with_one_credit_and_one_swap(
    journey: Journey, world: MoneyWorld
) -> None:
    places = run(journey, world, None)
    assert len(places) >= 2
    for index, place in enumerate(places):
        passed = run(journey, world, index)
        assert passed[: index + 1] == places[: index + 1], f"{place} (number {index}) was not reached"


def run(journey: Journey, world: MoneyWorld, cut: int | None) -> list[str]:
    """The journey with a new order, cut at a place, then everything that follows. Returns: places passed."""
    before = counted(world)
    order_no = journey.before(world)
    world.points.arm(cut)
    with suppress(Crash):
        journey.act(world, order_no)
    passed = list(world.points.passed)
    world.points.arm(None)
    world.worker = world._new_worker()
    journey.again(world, order_no)
    for _ in range(ROUNDS_MAX):
        world.later(LONG_S)
        if not world.waiting():
            break
    after = counted(world)
    made = tuple(now - then for now, then in zip(after, before, strict=True))
    assert made == (journey.orders, journey.orders, journey.swaps)
    check_end(world)
    return passed


def counted(world: MoneyWorld) -> tuple[int, int, int]:
    """Orders, credits in billing, packages bought."""
    tables = (select(Order.id), select(Entry.id).where(Entry.kind == "credit"), select(Purchase.id))
    with world.database.reading() as session:
        orders, credited, bought = (
            session.scalar(select(func.count()).select_from(rows.subquery())) or 0 for rows in tables
        )
    return orders, credited, bought


def check_end(world: MoneyWorld) -> None:
    with world.database.reading() as session:
        assert check(session) == []
        assert wrong_balances(session) == []
        sums = conservation(session)
        assert (sums.in_flight_fen, sums.review_fen) == (0, 0)
        for order in session.scalars(select(Order)):
            credit = credit_of(session, order.id)
            assert credit is not None
            assert credit.status == CreditStatus.CREDITED
        assert set(session.scalars(select(SwapIntent.status))) <= {SwapStatus.DONE}
    assert world.waiting() == 0
    assert world.second_payments() == []
