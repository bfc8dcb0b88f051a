"""Payments that a bill tells of: what became of them since, and a second one of the same order."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from models.db.engine import Database
from models.order import CreditStatus, OrderStatus, PaymentAttempt
from models.refund import Refund
from payments.confirm import confirm_paid
from payments.reconcile import decide
from payments.reconcile.result import Action, Kind
from tests.payments.reconcile.bill_maker import BillWorld, Paid, row_of
from tests.payments.reconcile.test_reconcile import differences, of, run


@pytest.fixture
def world(any_database: Database, tmp_path: Path) -> BillWorld:
    return BillWorld(any_database, tmp_path)


@pytest.mark.parametrize("queries_max", [0, 200])
def test_a_lost_payment_that_went_back_meanwhile_is_never_credited(
    world: BillWorld, monkeypatch: pytest.MonkeyPatch, queries_max: int
) -> None:
    monkeypatch.setattr(decide, "QUERIES_MAX", queries_max)
    view = world.prepaid()
    world.pay.trades[f"{view.order_no}01"] = "REFUND"
    run(world, row_of(view))
    assert differences(world) == of(Kind.LOST_NOTIFY, f"{view.order_no}01", Action.REPAIRED)
    assert world.order(view).status == OrderStatus.PAID
    assert world.credit(view).status == CreditStatus.VOIDED
    # The bill's own row tells number and sum.
    number = f"{view.order_no}01"
    back = Paid(number, f"42{view.order_no}", refund_fen=500, out_refund_no="console1")
    run(world, row_of(view), back)
    with world.database.reading() as session:
        refund = session.scalars(select(Refund)).one()
    assert (refund.out_refund_no, refund.amount_fen, refund.status) == ("console1", 500, "SUCCESS")


def test_an_order_that_was_paid_twice_promises_one_credit(world: BillWorld) -> None:
    view = world.credited()
    second = f"{view.order_no}02"
    with world.database.transaction() as session:
        now = world.clock()
        session.add(PaymentAttempt(order_id=view.id, seq=2, out_trade_no=second, created_at=now))
        session.flush()
        fact = world.fact(view, out_trade_no=second, transaction_id="42second")
        confirm_paid(session, fact, cause="notify", now=now)
    rows = [row_of(view), row_of(view, number=second, transaction_id="42second")]
    result = run(world, *rows)
    assert result.differences == {}
    assert result.totals["ours"] == {"rows": 2, "fen": 1000}
    assert result.totals["promised"] == result.totals["billing"] == {"rows": 1, "fen": 500}
