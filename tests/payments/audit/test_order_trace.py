"""One order as a page: what was kept, tried, doubted and written, in the order of time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.listing import describe_order
from models.errors import Unavailable, Unknown
from sandbox.credentials import Credentials
from tests.models_of_money.world import PEOPLE, make_template
from tests.payments.refunds.refund_world import RefundWorld

PAGE_LINES = 40


@pytest.fixture
def world(tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch) -> Iterator[RefundWorld]:
    folder = tmp_path / "template"
    folder.mkdir()
    built = RefundWorld(make_template(folder), tmp_path / "world.db", credentials, monkeypatch)
    yield built
    built.close()


def steps(world: RefundWorld, order_no: str, *sources: str) -> list[str]:
    """What the page says under these headings, without times and seals."""
    page = describe_order(world.database, order_no)
    assert page is not None
    assert len(page) <= PAGE_LINES
    assert page[1:] == sorted(page[1:])
    assert PEOPLE[0] not in "\n".join(page)
    told = [line.split("Z  ", 1)[1].split(", not sealed")[0] for line in page[1:]]
    return [line for line in told if line.split()[0] in sources]


def test_kept_notices_are_shown_with_their_verdicts(world: RefundWorld) -> None:
    order_no = world.start(0, 0, 500)
    assert order_no is not None
    world.prepare(order_no)
    world.pay(order_no)
    other = world.paid(100)
    trade = world.platform.book.get(f"{order_no}01")
    world.tell(trade, "tamper_amount")
    world.clock.advance(1)
    world.tell(trade)
    world.work()
    number = world.approved(order_no, 200)
    world.later()
    world.ends(number)
    assert steps(world, order_no, "notice") == [
        f"notice   TRANSACTION.SUCCESS kept as 2: mismatch:amount:{order_no}01",
        f"notice   TRANSACTION.SUCCESS kept as 3: paid:{order_no}",
        f"notice   REFUND.SUCCESS kept as 4: refund:{number}",
    ]
    assert steps(world, other, "notice") == [f"notice   TRANSACTION.SUCCESS kept as 1: paid:{other}"]


def test_the_credit_s_way_and_the_balances_are_shown(world: RefundWorld) -> None:
    world.billing.faults = [
        ("before", Unavailable("not reachable")),
        ("after", Unknown("no answer")),
    ]
    order_no = world.paid()
    for _ in range(3):
        world.later(20)
    # Within one instant of the hand-moved clock lines are in the order of the alphabet.
    assert [line for line in steps(world, order_no, "journal") if "credit" in line] == [
        "journal  credit-pending (billing is not reachable) by worker",
        "journal  credit-sent by worker",
        "journal  credit-sent by worker",
        "journal  credit-unknown (billing did not answer) by worker",
        "journal  credit-asked by worker",
        "journal  credited by worker",
    ]
    world.approved(order_no, 200)
    world.later()
    assert [line.split(": ", 1)[1] for line in steps(world, order_no, "ledger")] == [
        "5.00, balance 5.00",
        "-2.00, balance 3.00",
    ]
