"""Reconciliation is set difference: whatever is hidden in a day is found, and nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import and_, select

from models.clock import campus_date
from models.db.engine import Database
from models.order import Credit, Order, PaymentFact
from models.outbox import OutboxItem
from models.refund import Refund, RefundStatus, ReversalStatus
from payments.reconcile import daily as reconcile
from payments.reconcile import result as reconcile_result
from payments.reconcile import runs as reconcile_runs
from payments.views import OrderView
from tests.builders import NOON
from tests.payments.reconcile.bill_maker import BillWorld, Paid, row_of

Expected = tuple[str, str] | None


@dataclass
class Day:
    """One day of a world that lives on: its bill so far."""

    world: BillWorld
    on: date
    rows: list[Paid] = field(default_factory=list)
    serial: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def row(self, view: OrderView, **changes: object) -> None:
        self.rows.append(row_of(view, at=self.world.clock(), **changes))


def all_agree(day: Day, fen: int) -> Expected:
    day.row(day.world.credited(fen))
    return None


def lost_notify(day: Day, fen: int) -> Expected:
    view = day.world.prepaid(fen)
    day.row(view)
    return "LOST_NOTIFY", f"{view.order_no}01"


def missing_in_bill(day: Day, fen: int) -> Expected:
    return "MISSING_IN_BILL", f"{day.world.credited(fen).order_no}01"


def amount_differs(day: Day, fen: int) -> Expected:
    view = day.world.credited(fen)
    day.row(view, fen=fen + 1)
    return "AMOUNT_DIFFERS", f"{view.order_no}01"


def transaction_differs(day: Day, fen: int) -> Expected:
    view = day.world.credited(fen)
    day.row(view, transaction_id=f"43{view.order_no}")
    return "AMOUNT_DIFFERS", f"{view.order_no}01"


def stands_twice(day: Day, fen: int) -> Expected:
    view = day.world.credited(fen)
    day.row(view)
    day.row(view)
    return "DUPLICATE_ROW", f"{view.order_no}01"


def foreign(day: Day, fen: int) -> Expected:
    number = f"MEAL{day.on:%Y%m%d}{next(day.serial):04d}"
    day.rows.append(Paid(number, f"t{number}", fen, at=day.world.clock()))
    return "FOREIGN", number


def known_foreign(day: Day, fen: int) -> Expected:
    number = f"BOOK{day.on:%Y%m%d}{next(day.serial):04d}"
    day.rows.append(Paid(number, f"t{number}", fen, at=day.world.clock()))
    return None


def stranger(day: Day, fen: int) -> Expected:
    number = f"r{day.on:%Y%m%d}{next(day.serial):011d}01"
    day.rows.append(Paid(number, f"t{number}", fen, at=day.world.clock()))
    return "FOREIGN", number


def credit_missing(day: Day, fen: int) -> Expected:
    view = day.world.paid(fen)
    day.world.credit_ours(view)
    day.row(view)
    return "CREDIT_MISSING", f"c{view.order_no}"


def credit_differs(day: Day, fen: int) -> Expected:
    view = day.world.credited(fen)
    day.row(view)
    day.world.billing.applied[-1] = day.world.billing.applied[-1]._replace(amount_fen=fen - 1)
    return "CREDIT_DIFFERS", f"c{view.order_no}"


def credited_twice(day: Day, fen: int) -> Expected:
    view = day.world.credited(fen)
    day.row(view)
    day.world.billing.applied.append(day.world.billing.applied[-1])
    return "DOUBLE_CREDIT", f"c{view.order_no}"


def credit_unexpected(day: Day, fen: int) -> Expected:
    view = day.world.prepaid(fen)
    day.world.billing.apply(f"c{view.order_no}", view.account_no, fen)
    day.world.billing.at[f"c{view.order_no}"] = day.world.clock()
    return "CREDIT_UNEXPECTED", f"c{view.order_no}"


def refund_in_both(day: Day, fen: int) -> Expected:
    refund = _refund(day, fen)
    _refund_row(day, refund)
    return None


def refund_not_in_bill(day: Day, fen: int) -> Expected:
    return "REFUND_MISSING_IN_BILL", _refund(day, fen).out_refund_no


def refund_differs(day: Day, fen: int) -> Expected:
    refund = _refund(day, fen)
    refund.amount_fen -= 1
    _refund_row(day, refund)
    return "REFUND_DIFFERS", refund.out_refund_no


def refund_from_the_console(day: Day, fen: int) -> Expected:
    view = day.world.credited(fen)
    day.row(view)
    day.row(view, fen=0, refund_fen=fen, out_refund_no=f"X{view.order_no}")
    return "EXTERNAL_REFUND", f"X{view.order_no}"


def _refund(day: Day, fen: int) -> Refund:
    """A refund of ours that arrived today; its order's row is in the bill."""
    view = day.world.credited(fen)
    day.row(view)
    now, number = day.world.clock(), f"f{view.order_no}01"
    with day.world.database.transaction() as session:
        refund = Refund(
            order_id=view.id,
            out_refund_no=number,
            out_trade_no=f"{view.order_no}01",
            refund_id=f"50{number}",
            amount_fen=fen - 1,
            reason="test",
            origin="ours",
            status=RefundStatus.SUCCESS,
            reversal=ReversalStatus.DONE,
            held=True,
            requested_by="a",
            success_at=now,
            created_at=now,
            changed_at=now,
        )
        session.add(refund)
    return refund


def _refund_row(day: Day, refund: Refund) -> None:
    order_no = refund.out_trade_no[:-2]
    day.rows.append(
        Paid(
            refund.out_trade_no,
            f"42{order_no}",
            refund_fen=refund.amount_fen,
            out_refund_no=refund.out_refund_no,
            at=day.world.clock(),
        )
    )


CASES: list[Callable[[Day, int], Expected]] = [
    all_agree,
    lost_notify,
    missing_in_bill,
    amount_differs,
    transaction_differs,
    stands_twice,
    foreign,
    known_foreign,
    stranger,
    credit_missing,
    credit_differs,
    credited_twice,
    credit_unexpected,
    refund_in_both,
    refund_not_in_bill,
    refund_differs,
    refund_from_the_console,
]
# A refund that differs also misses in the bill: nothing in it speaks of ours.
ALSO = {"REFUND_DIFFERS": "REFUND_MISSING_IN_BILL"}

# The same amount again would find the order that is still open.
STEP_FEN = 100

hidden = st.lists(st.sampled_from(CASES), max_size=8)
ONE_DATABASE = settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.mark.long
@ONE_DATABASE
@given(hidden=hidden, order=st.randoms(use_true_random=False))
def test_every_hidden_difference_is_found_and_none_invented(
    sqlite_database: Database,
    tmp_path: Path,
    hidden: list[Callable[[Day, int], Expected]],
    order: object,
) -> None:
    world = BillWorld(sqlite_database, tmp_path)
    # Every example has a day of its own in the same books.
    day = Day(world, _next_day(world))
    expected = _hide(day, hidden)
    order.shuffle(day.rows)  # type: ignore[attr-defined]
    world.pay.trades.clear()
    world.clock.forward(days=1)
    result = reconcile.run_file(world.services, day.on, world.bill(*day.rows), foreign_prefixes=["BOOK"])
    with world.database.reading() as session:
        found = {(str(one.kind), one.key) for one in reconcile_runs.differences_of(session, day.on)}
    assert found == expected
    assert recorded_and_credited(world, found) == {key for kind, key in expected if kind == "LOST_NOTIFY"}
    assert sum(result.differences.values()) == len(expected)
    assert result.totals["bill"] == result.totals["bill_says"]


def _hide(day: Day, cases: list[Callable[[Day, int], Expected]]) -> set[tuple[str, str]]:
    made = [case(day, number * STEP_FEN) for number, case in enumerate(cases, start=5)]
    expected = {one for one in made if one is not None}
    return expected | {(ALSO[kind], key) for kind, key in expected if kind in ALSO}


def recorded_and_credited(world: BillWorld, found: set[tuple[str, str]]) -> set[str]:
    """The numbers found in the bill alone whose payment is in our books now, its credit promised."""
    lost = [key for kind, key in found if kind == "LOST_NOTIFY"]
    query = (
        select(PaymentFact.out_trade_no)
        .join(Credit, Credit.order_id == PaymentFact.order_id)
        .join(Order, Order.id == PaymentFact.order_id)
        .join(OutboxItem, and_(OutboxItem.kind == "credit", OutboxItem.key == Order.order_no))
    )
    with world.database.reading() as session:
        return set(session.scalars(query.where(PaymentFact.out_trade_no.in_(lost))))


def _next_day(world: BillWorld) -> date:
    with world.database.reading() as session:
        latest = session.scalars(select(PaymentFact.paid_at).order_by(PaymentFact.paid_at.desc())).first()
        runs = sorted(reconcile_runs.days_done(session, date(2000, 1, 1)))
    world.clock.now = max([NOON, *([latest] if latest else [])])
    on = max([campus_date(world.clock()), *runs])
    world.clock.forward(days=(on - campus_date(world.clock())).days + 2)
    return campus_date(world.clock())


@pytest.mark.long
def test_all_kinds_at_once(sqlite_database: Database, tmp_path: Path) -> None:
    world = BillWorld(sqlite_database, tmp_path)
    day = Day(world, campus_date(world.clock()))
    expected = _hide(day, CASES * 2)
    world.clock.forward(days=1)
    path = world.bill(*day.rows)
    reconcile.run_file(world.services, day.on, path, foreign_prefixes=["BOOK"])
    with world.database.reading() as session:
        found = {(str(one.kind), one.key) for one in reconcile_runs.differences_of(session, day.on)}
    assert found == expected
    assert recorded_and_credited(world, found) == {key for kind, key in expected if kind == "LOST_NOTIFY"}
    # Movements other than credits: test_movements.py; rows that are not as they should be: test_odd_rows.py.
    elsewhere = {kind for kind in reconcile_result.Kind if kind.startswith(("MOVEMENT_", "ROW_"))}
    assert {kind for kind, _ in expected} == set(reconcile_result.Kind) - elsewhere - {
        "OTHER_DAY",
        "TOTALS_DIFFER",
    }
