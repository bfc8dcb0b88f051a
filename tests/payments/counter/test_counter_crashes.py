"""Bookings, bank lists and payouts die at each commit and call, are taken up again, happen once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select

from models.counter import CounterBooking, ReturnItem
from models.errors import IllegalTransition, Unavailable, Unknown
from models.order import Order
from models.payout import PartStatus, PayoutStatus
from payments.audit.invariants import conservation
from payments.counter import bank_list
from payments.counter import returns as counter_returns
from payments.payouts import approval as payouts
from payments.payouts import transfer_list as payout_list
from sandbox.credentials import Credentials
from tests.crashes.points import Crash
from tests.models_of_money.world import make_template
from tests.payments.payouts.payout_world import ACCOUNT, NAME, PayoutWorld
from tests.payments.refunds.refund_world import BERT

# A search: `make test-long`, and CI.
pytestmark = pytest.mark.long

PLACES_MAX = 60
ROUNDS_MAX = 10


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def world(
    template: Path, tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> Iterator[PayoutWorld]:
    built = PayoutWorld(template, tmp_path / "world.db", credentials, monkeypatch)
    yield built
    built.close()


def cut(world: PayoutWorld, index: int, act: Callable[[], object]) -> bool:
    """Do it, dying at a place. Returns: whether there was such a place."""
    world.points.arm(index)
    with suppress(Crash):
        act()
    died = world.points._armed is None
    world.points.arm(None)
    return died


def die_at(world: PayoutWorld, index: int) -> bool:
    """Workers do all there is to do, one of them dying. Returns: whether there was such a place."""
    world.points.arm(index)
    for _ in range(ROUNDS_MAX):
        try:
            while world.worker.run_once():
                pass
        except Crash:
            world.worker = world._new_worker()
        if not world.waiting():
            break
        # Longer than a lease and than most back-offs.
        world.clock.advance(700)
    died = world.points._armed is None
    world.points.arm(None)
    assert world.waiting() == 0
    return died


def count(world: PayoutWorld, table: type[Order | CounterBooking | ReturnItem]) -> int:
    with world.database.reading() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def test_a_booking_that_dies_anywhere_and_is_typed_again_books_once(world: PayoutWorld) -> None:
    for index in range(PLACES_MAX):
        number = f"A{index:04d}"

        def book(receipt_no: str = number) -> None:
            world.take(500, receipt_no)

        died = cut(world, index, book)
        book()
        world.work()
        assert count(world, Order) == count(world, CounterBooking) == index + 1
        assert world.balance_fen() == 500 * (index + 1), f"place {index}"
        world.check_books()
        if not died:
            return
    pytest.fail("the journey never came to its end undisturbed")


def test_taking_a_booking_back_dies_anywhere_and_is_owed_once(world: PayoutWorld) -> None:
    for index in range(PLACES_MAX):
        world.cash(500, receipt_no=f"A{index:04d}")
        with world.database.reading() as session:
            order_no = session.scalars(select(Order.order_no).order_by(Order.id.desc()).limit(1)).one()
        number = world.approved(order_no)
        died = die_at(world, index)
        assert world.state(number) == "PROCESSING", f"place {index}"
        assert (world.balance_fen(), count(world, ReturnItem)) == (0, index + 1)
        world.check_books()
        counter_returns.give_back(world.services, return_no=number, clerk=BERT, evidence="签收单 1")
        assert world.state(number) == "SUCCESS"
        world.check_books()
        if not died:
            return
    pytest.fail("the journey never came to its end undisturbed")


def test_a_list_that_dies_anywhere_and_is_read_again_books_each_transfer_once(
    world: PayoutWorld, tmp_path: Path
) -> None:
    for index in range(PLACES_MAX):
        path = tmp_path / f"{index}.csv"
        days = [date(2026, 3, 1) - timedelta(days=4 * index + row) for row in range(2)]
        rows = [f"{day},B{index:03d}{row},5.00,{ACCOUNT},{NAME}" for row, day in enumerate(days)]
        path.write_text(
            "\n".join(["交易日期,流水号,金额,学号,姓名", *rows, f"{days[0]},B{index:03d}9,5.01,,"]),
            encoding="utf-8",
        )

        def read(listed: Path = path) -> bank_list.Report:
            return bank_list.read_list(world.services, listed, actor=BERT.name)

        died = cut(world, index, read)
        report = read()
        assert report.known + report.credited + report.returning == 3
        world.work()
        assert (count(world, Order), count(world, ReturnItem)) == (2 * (index + 1), index + 1)
        assert world.balance_fen() == 1000 * (index + 1)
        world.check_books()
        if not died:
            return
    pytest.fail("the journey never came to its end undisturbed")


@pytest.mark.parametrize(
    "fault",
    [None, ("before", Unknown("timeout")), ("after", Unknown("timeout")), ("before", Unavailable("away"))],
    ids=["undisturbed", "not done, no answer", "done, no answer", "away"],
)
def test_a_withdrawal_that_dies_anywhere_happens_once(
    world: PayoutWorld, fault: tuple[str, Exception] | None
) -> None:
    for index in range(PLACES_MAX):
        world.cash(500, receipt_no=f"A{index:04d}")
        view = world.agreed()
        world.billing.faults = [fault] if fault else []
        died = die_at(world, index)
        world.billing.faults.clear()
        assert (world.states(view), world.balance_fen()) == ([PartStatus.WITHDRAWN], 0), f"place {index}"
        world.check_books()
        with world.database.reading() as session:
            assert conservation(session).missing_fen == 0
        if not died:
            return
    pytest.fail("the journey never came to its end undisturbed")


def test_asking_approving_and_listing_leave_all_or_nothing(world: PayoutWorld) -> None:
    world.paid(500, credited=True)
    world.cash(2000)
    for index in range(2):
        cut(world, index, world.requested)
        found = payouts.newest(world.services)
        # Dying before the commit leaves nothing, dying after it the whole request.
        assert [len(view.parts) for view in found] == [2] * index
    number = payouts.newest(world.services)[0].payout_no
    for index in range(2):

        def agree() -> None:
            with suppress(IllegalTransition):
                payouts.approve(world.services, payout_no=number, actor=BERT)

        cut(world, index, agree)
        view = payouts.look(world.services, number)
        assert view.status == (PayoutStatus.APPROVED if index else PayoutStatus.REQUESTED)
        assert {part.state == "PLANNED" for part in view.parts} == {not index}
    world.work()
    for index in range(2):
        cut(world, index, lambda: payout_list.make_list(world.services, actor=BERT))
        assert world.states(view)[1] == (PartStatus.LISTED if index else PartStatus.WITHDRAWN)
    world.check_books()
