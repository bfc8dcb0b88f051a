"""What a template says has room in it, whatever the figures are."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from billing.interface import Balance, Crossing, CrossingKind, Lot
from bot.notices import ROOM, fit
from models.order import Order
from models.refund import Refund
from models.site import Contact, Site
from models.tidings import WORDS, Form, Tidings
from payments import alert_wording, wording
from payments.refunds import wording as refund_wording

AT = datetime(2026, 11, 23, 16, 30, tzinfo=UTC)
# As the default fields of the configuration have them.
KINDS = {
    "account": "character_string1",
    "amount": "amount2",
    "time": "time3",
    "state": "phrase4",
    "title": "thing1",
    "text": "thing2",
}
ORDER = Order(
    order_no="r2611230001", account_no="2400101001", masked_name="*小明", amount_fen=50_000, payer_openid="oA"
)
SITE = Site("桂电校园网", "http://site.test", "http://site.test/self/", (), Contact("", "", "", "", 9, 18))
LOT = Lot("package", "30元不限量套餐", 999 * 10**9, 1, AT, AT + timedelta(days=1))
BALANCE = Balance("2400101001", "*小明", 9_999_999, (LOT,), AT)
REFUND = Refund(amount_fen=50_000, out_refund_no="f1")


def check(tidings: Tidings) -> None:
    assert set(tidings.words) == WORDS[tidings.form]
    for word, value in tidings.words.items():
        assert fit(KINDS[word], value) == value, f"{word} has no room in {KINDS[word]} ({ROOM})"
    assert tidings.words["time"] == "2026-11-24 00:30"
    assert tidings.words["account"] == "***1001"
    assert tidings.path.startswith("/h5/")


@pytest.mark.parametrize("kind", list(CrossingKind))
def test_crossings_fit(kind: CrossingKind) -> None:
    crossing = Crossing("2400101001", kind, "c", LOT.name, LOT.left_bytes)
    check(alert_wording.crossed(SITE, "2400101001", crossing, at=AT))


def test_the_other_alerts_fit() -> None:
    check(alert_wording.restored(SITE, BALANCE, at=AT))
    check(alert_wording.low_balance(BALANCE, 99_999, at=AT))
    check(alert_wording.ending("2400101001", LOT, at=AT))


def test_money_fits_and_says_what_happened() -> None:
    told = [
        wording.credited(ORDER, 50_000, at=AT),
        refund_wording.submitted(ORDER, REFUND, at=AT),
        refund_wording.refunded(ORDER, REFUND, at=AT),
    ]
    for tidings in told:
        check(tidings)
    assert {tidings.form for tidings in told} == {Form.MONEY}
    assert [tidings.words["state"] for tidings in told] == ["充值到账", "退款中", "退款到账"]
    assert {tidings.words["amount"] for tidings in told} == {"500.00元"}
    assert {tidings.path for tidings in told} == {"/h5/orders/r2611230001"}


def test_a_swap_that_did_not_happen_fits() -> None:
    check(wording.swap_refused(ORDER, "20元不限量套餐", "余额不足", at=AT))
