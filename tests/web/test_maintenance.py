"""While a restored database is being recovered pages say 维护中, and nothing is ordered."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from models.db.state import guarded_move
from models.order import orders_of
from models.recovery import RECOVERY_STATES, RecoveryStatus, UnderMaintenance
from payments import orders
from payments.recovery import opening
from payments.recovery.gate import check_may_spend
from tests.web.conftest import csrf_in
from tests.web.test_recharge import submit
from tests.web.world import NOW, OPENID, OWN, World


def restore(world: World) -> None:
    with world.services.transaction() as session:
        opening.open_recovery(session, since=NOW, backup_no="b1", actor="anna", now=NOW)


def test_the_recharge_page_says_so_and_orders_nothing(world: World, reader: FlaskClient) -> None:
    world.bind()
    restore(world)
    answer = submit(reader, amount="20")
    assert answer.status_code == 503
    assert "维护中" in answer.text
    assert "E-MAINT" in answer.text
    with world.services.reading() as session:
        assert orders_of(session, OPENID) == []


def test_an_order_that_is_open_is_not_paid_meanwhile(world: World, reader: FlaskClient) -> None:
    world.bind()
    order = orders.start_recharge(world.services, openid=OPENID, account_no=OWN, amount_fen=2000)
    restore(world)
    token = csrf_in(reader.get(f"/h5/pay/{order.order_no}").text)
    answer = reader.post(f"/h5/pay/{order.order_no}/params", data={"csrf_token": token})
    assert answer.status_code == 503
    assert "E-MAINT" in answer.text


def test_recharging_goes_on_and_spending_waits_while_a_bill_is_missing(
    world: World, reader: FlaskClient
) -> None:
    world.bind()
    restore(world)
    with world.services.transaction() as session:
        recovery = opening.newest(session)
        assert recovery is not None
        guarded_move(session, RECOVERY_STATES, recovery, RecoveryStatus.WATCHING, cause="test", now=NOW)
    assert submit(reader, amount="20").status_code == 303
    with pytest.raises(UnderMaintenance):
        check_may_spend(world.services)
