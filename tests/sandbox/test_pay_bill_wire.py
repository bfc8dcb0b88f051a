"""The file of a bill on a bad line: our client says that it does not know, and soon."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from models.errors import Unknown
from payments.wechatpay.bills import trade_bill
from sandbox.faults import Fault
from sandbox.pay.orders import BEIJING
from tests.sandbox.our_client import our_client
from tests.sandbox.pay_rig import PayRig

NUMBER = "R202609010001"


@pytest.fixture
def rig() -> Iterator[PayRig]:
    with PayRig() as started:
        yield started


def billed(rig: PayRig) -> date:
    """A day with a payment, and the next morning. Returns: the day."""
    rig.prepay(NUMBER)
    rig.sim(f"orders/{NUMBER}/pay")
    now = datetime.fromtimestamp(rig.engine.stamp(), BEIJING)
    goal = (now + timedelta(days=1)).replace(hour=11, minute=0, second=0)
    rig.engine.scheduler.advance((goal - now).total_seconds())
    return now.date()


def test_a_file_that_drips_is_given_up_as_a_whole(rig: PayRig, tmp_path: Path) -> None:
    client, on = our_client(rig, download_timeout_s=0.1), billed(rig)
    # Each byte comes long before the time-out of a read; all of them would take twenty seconds.
    rig.engine.faults.add(Fault("drip", "pay.bill_download", args={"seconds": 20.0}))
    with pytest.raises(Unknown, match="too slow"):
        trade_bill(client, on, tmp_path / "bill")
    client.disconnect()


def test_a_file_that_breaks_off_is_unknown_and_comes_whole_the_next_time(rig: PayRig, tmp_path: Path) -> None:
    client, on = our_client(rig), billed(rig)
    rig.engine.faults.add(Fault("cut", "pay.bill_download"))
    with pytest.raises(Unknown):
        trade_bill(client, on, tmp_path / "bill")
    assert len(trade_bill(client, on, tmp_path / "bill")) == 40
    client.disconnect()


@pytest.mark.parametrize("name", ["gzip", "odd_charset", "no_content_type"])
def test_odd_headers_of_the_promise_are_no_reason_to_doubt(rig: PayRig, tmp_path: Path, name: str) -> None:
    client, on = our_client(rig), billed(rig)
    rig.engine.faults.add(Fault(name, "pay.bill"))
    assert len(trade_bill(client, on, tmp_path / "bill")) == 40
    client.disconnect()
