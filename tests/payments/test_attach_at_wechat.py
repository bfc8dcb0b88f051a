"""WeChat returns the attach in queries, callbacks and the trade bill."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from models.clock import campus_date
from payments.attach import Attach, AttachKeys
from payments.reconcile.bill import Bill
from payments.reconcile.odd_rows import SEPARATOR
from payments.wechatpay.bills import trade_bill
from payments.wechatpay.crypto import derive_key
from sandbox.credentials import Credentials
from tests.models_of_money.world import ACCOUNTS, make_template
from tests.payments.refunds.refund_world import RefundWorld

KEYS = AttachKeys((derive_key("s" * 32, "attach"),))


@pytest.fixture
def world(tmp_path: Path, credentials: Credentials, monkeypatch: pytest.MonkeyPatch) -> Iterator[RefundWorld]:
    world = RefundWorld(make_template(tmp_path), tmp_path / "campus.db", credentials, monkeypatch)
    yield world
    world.close()


def test_a_payment_tells_everywhere_what_it_was_for(world: RefundWorld, tmp_path: Path) -> None:
    world.services = replace(world.services, attach=KEYS)
    order_no = world.paid(credited=True)
    number = f"{order_no}01"
    trade = world.services.pay.query(number)
    assert KEYS.verify(trade.attach, out_trade_no=number, amount_fen=500) == Attach(ACCOUNTS[0])
    on = campus_date(world.clock.now())
    world.clock.advance(2 * 86_400)
    trade_bill(world.services.pay, on, tmp_path / "bill.csv")
    bill = Bill(tmp_path / "bill.csv")
    rows = [bill.layout.row(SEPARATOR.join(line)) for batch in bill.batches() for line in batch]
    assert [row.attach for row in rows] == [trade.attach]
