"""What WeChat says of a trade is compared with who we are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from models.errors import Mismatch
from models.order import OrderStatus
from payments import settle
from tests.builders import World


@pytest.mark.parametrize(
    ("changes", "what"),
    [
        ({"app_id": "wx0000000000000009"}, "appid"),
        ({"mch_id": "1900000009"}, "mchid"),
        ({"currency": "USD"}, "currency"),
        ({"currency": ""}, "currency"),
        ({"openid": "oSomebodyElse000000000000000"}, "openid"),
        ({"openid": None}, "openid"),
        ({"amount_fen": 499}, "amount"),
        ({"amount_fen": None}, "incomplete"),
        ({"transaction_id": None}, "incomplete"),
        ({"paid_at": None}, "incomplete"),
    ],
)
def test_a_trade_that_differs_or_keeps_silent_is_a_contradiction(
    world: World, changes: dict[str, Any], what: str
) -> None:
    view = world.prepaid()
    world.pay.trades[f"{view.order_no}01"] = "SUCCESS"
    trade = world.pay.trade(f"{view.order_no}01")
    with pytest.raises(Mismatch) as caught:
        settle.record_trade(world.services, replace(trade, **changes), cause="query")
    assert caught.value.field == what
    assert world.order(view).status == OrderStatus.PREPAID
    assert settle.record_trade(world.services, trade, cause="query") is not None
