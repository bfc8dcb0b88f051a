from __future__ import annotations

from pathlib import Path

from models.db.engine import Database
from payments import orders
from payments.confirm import WECHAT, PaidFact, confirm_paid
from payments.counter import desk as counter
from payments.counter import returns as counter_returns
from payments.reconcile import daily as reconcile
from tests.builders import NOON, PAYER
from tests.payments.counter.till import ANNA, LI, Till
from tests.payments.reconcile.bill_maker import ON, Paid, write_bill


def test_counter_money_stands_in_a_line_of_its_own_and_is_no_difference(
    sqlite_database: Database, tmp_path: Path
) -> None:
    """WeChat's bill has neither the payment nor its refund; billing has the credit."""
    till = Till(sqlite_database)
    till.take("A0001", amount_fen=2000)
    till.take("A0002", amount_fen=1000)
    view = orders.start_recharge(till.services, openid=PAYER, account_no=LI.account_no, amount_fen=500)
    paid = PaidFact(WECHAT, f"{view.order_no}01", "42", 500, "CNY", PAYER, NOON)
    with till.database.transaction() as session:
        confirm_paid(session, paid, cause="notify", now=NOON)
    till.work()
    booked = counter.print_receipt(till.services, "A0002", clerk=ANNA).order
    assert booked is not None
    number = till.undo(booked.order_no, 1000)
    counter_returns.give_back(till.services, return_no=number, clerk=ANNA, evidence="签收单 17")
    till.clock.forward(days=1)
    bill = write_bill(tmp_path / "bill.csv", [Paid(f"{view.order_no}01", "42", 500)])
    result = reconcile.run_file(till.services, ON, bill)
    assert result.differences == {}
    assert result.totals["counter"] == {"rows": 2, "fen": 3000}
    assert result.totals["ours"] == {"rows": 1, "fen": 500}
    assert result.totals["promised"] == result.totals["billing"] == {"rows": 3, "fen": 3500}
