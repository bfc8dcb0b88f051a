"""A refund dies at each of its commits and calls, is taken up again, and happens exactly once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from models.errors import Unknown
from models.order import CreditStatus
from models.refund import RefundStatus
from sandbox.credentials import Credentials
from sandbox.pay.orders import SUCCESS
from tests.crashes.points import Crash
from tests.models_of_money.world import make_template
from tests.payments.refunds.refund_world import RefundWorld

# Each thread of a worker claims in a transaction of its own.
PLACES_MAX = 240
ROUNDS_MAX = 12


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_template(tmp_path_factory.mktemp("template"))


@pytest.fixture
def world(
    template: Path, tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RefundWorld]:
    built = RefundWorld(template, tmp_path / "world.db", credentials, monkeypatch)
    yield built
    built.close()


def one_round(world: RefundWorld) -> None:
    """What workers do now; a dead one is replaced."""
    try:
        while world.worker.run_once():
            pass
    except Crash:
        world.worker = world._new_worker()


def die_at(world: RefundWorld, number: str, index: int) -> bool:
    """Go through the whole refund, dying once. Returns: whether there was such a place."""
    world.points.arm(index)
    for _ in range(ROUNDS_MAX):
        one_round(world)
        taken = {one.request.out_refund_no: one for one in world.platform.refunds.all()}
        if number in taken and taken[number].status != SUCCESS:
            world.ends(number, tell=False)
        if world.state(number) == RefundStatus.SUCCESS and not world.waiting():
            break
        # Longer than a lease and than most back-offs.
        world.clock.advance(700)
    died = world.points._armed is None
    world.points.arm(None)
    return died


@pytest.mark.long
@pytest.mark.parametrize(
    ("fault", "credited"),
    [
        ("", True),
        ("", False),
        ("effect_then_timeout", True),
        ("timeout", False),
        ("rate_429_after", True),
        ("not_enough", False),
    ],
)
def test_a_refund_that_dies_anywhere_happens_once(world: RefundWorld, fault: str, *, credited: bool) -> None:
    for index in range(PLACES_MAX):
        before_fen, sent = world.balance_fen(), world.sent()
        order_no = world.paid(credited=credited)
        if fault:
            world.fault(fault)
        # The request and its approval are journeys of their own; the credit never gets a chance before.
        number = world.approved(order_no, 200 if credited else 500)
        died = die_at(world, number, index)
        assert world.state(number) == RefundStatus.SUCCESS, f"place {index}"
        assert world.sent() == sent + 1, f"place {index}"
        if not credited:
            assert world.credit(order_no).status in {CreditStatus.VOIDED, CreditStatus.CREDITED}
        back_fen = world.at_wechat(number).request.amount_fen
        assert world.balance_fen() - before_fen + back_fen == 500, f"place {index}"
        world.check_books()
        if not died:
            return
    pytest.fail("the journey never came to its end undisturbed")


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
def test_a_reversal_in_doubt_that_also_dies_happens_once(world: RefundWorld, when: str) -> None:
    for index in range(PLACES_MAX):
        before_fen = world.balance_fen()
        order_no = world.paid(credited=True)
        world.billing.faults = [(when, Unknown("timeout"))]
        number = world.approved(order_no, 200)
        died = die_at(world, number, index)
        world.billing.faults.clear()
        assert world.state(number) == RefundStatus.SUCCESS, f"place {index}"
        assert world.balance_fen() == before_fen + 300, f"place {index}"
        world.check_books()
        if not died:
            return
    pytest.fail("the journey never came to its end undisturbed")


def test_asking_and_approving_leave_all_or_nothing(world: RefundWorld) -> None:
    order_no = world.paid(credited=True)
    number = ""
    # Two commits, so four places; the fifth time nothing dies.
    for index in range(5):
        world.points.arm(index)
        with suppress(Crash):
            number = world.approved(order_no, 1)
        world.points.arm(None)
        world.clock.advance(61)
    # Two refunds were approved; WeChat takes the second one a minute after the first.
    world.later()
    world.later()
    world.check_books()
    assert world.state(number) == RefundStatus.PROCESSING
