"""Payments of the last minute: the bill of the next day may list them, and until then nobody signs."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from models.clock import CAMPUS_ZONE
from models.db.engine import Database
from models.errors import Refused
from models.values.actor import Actor
from payments.reconcile import daily as reconcile
from payments.reconcile import sign_off
from payments.reconcile.result import Action, Kind
from tests.payments.reconcile.bill_maker import ON, BillWorld, row_of
from tests.payments.reconcile.test_reconcile import asked, differences, of, run


@pytest.fixture
def world(any_database: Database, tmp_path: Path) -> BillWorld:
    return BillWorld(any_database, tmp_path)


def test_a_payment_around_midnight_waits_for_tomorrows_bill_and_is_found_there(world: BillWorld) -> None:
    world.clock.now = datetime(2026, 3, 10, 23, 59, 59, tzinfo=CAMPUS_ZONE)
    view = world.credited()
    world.next_morning()
    run(world)
    number = f"{view.order_no}01"
    assert differences(world) == of(Kind.MISSING_IN_BILL, number, Action.WAIT)
    assert asked(world) == []
    with pytest.raises(Refused, match="次日"):
        sign_off.sign(world.services, on=ON, actor=Actor("会计王"))
    world.clock.forward(days=1)
    late = row_of(view, at=datetime(2026, 3, 11, 0, 0, 1, tzinfo=CAMPUS_ZONE))
    reconcile.run_file(world.services, ON + timedelta(days=1), world.bill(late))
    assert differences(world, ON + timedelta(days=1)) == of(Kind.OTHER_DAY, number, Action.NONE)
    assert differences(world) == of(Kind.MISSING_IN_BILL, number, Action.NONE)
    run(world)
    assert differences(world) == []
    assert asked(world) == []
    sign_off.sign(world.services, on=ON, actor=Actor("会计王"))


def test_a_payment_that_tomorrows_bill_lacks_too_is_asked_about_then(world: BillWorld) -> None:
    world.clock.now = datetime(2026, 3, 10, 23, 59, 59, tzinfo=CAMPUS_ZONE)
    view = world.credited()
    world.next_morning()
    run(world)
    world.clock.forward(days=1)
    reconcile.run_file(world.services, ON + timedelta(days=1), world.bill())
    assert differences(world) == of(Kind.MISSING_IN_BILL, f"{view.order_no}01", Action.ASKED)
    assert asked(world) == [f"MISSING_IN_BILL:{view.order_no}01"]


def test_a_day_done_again_does_not_wait_for_a_bill_that_was_seen(world: BillWorld) -> None:
    world.clock.now = datetime(2026, 3, 10, 23, 59, 59, tzinfo=CAMPUS_ZONE)
    view = world.credited()
    world.next_morning()
    world.clock.forward(days=1)
    tomorrow = ON + timedelta(days=1)
    reconcile.run_file(world.services, tomorrow, world.bill())
    sign_off.sign(world.services, on=tomorrow, actor=Actor("会计王"))
    run(world)
    assert differences(world) == of(Kind.MISSING_IN_BILL, f"{view.order_no}01", Action.ASKED)
    sign_off.sign(world.services, on=ON, actor=Actor("会计王"))
