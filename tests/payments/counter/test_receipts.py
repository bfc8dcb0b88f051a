from __future__ import annotations

import pytest

from models.counter import Way
from models.db.engine import Database
from payments.counter.receipts import in_words, receipt_text
from tests.payments.counter.till import LI, Till


@pytest.mark.parametrize(
    ("fen", "words"),
    [
        (0, "零元整"),
        (1, "壹分"),
        (10, "壹角整"),
        (500, "伍元整"),
        (1000, "壹拾元整"),
        (1050, "壹拾元零伍角整"),
        (1505, "壹拾伍元零伍分"),
        (12345, "壹佰贰拾叁元肆角伍分"),
        (200000, "贰仟元整"),
        (1000500, "壹万零伍元整"),
        (10100000, "壹拾万壹仟元整"),
        (1002003000, "壹仟零贰万零叁拾元整"),
        (10000000000, "壹亿元整"),
        (10000000100, "壹亿零壹元整"),
    ],
)
def test_amounts_are_spelled_as_receipts_spell_them(fen: int, words: str) -> None:
    assert in_words(fen) == words


def test_a_receipt_tells_everything_but_the_full_name(sqlite_database: Database) -> None:
    till = Till(sqlite_database)
    booked = till.take()
    text = receipt_text(booked, site_name="校园网")
    assert booked.order is not None
    for part in (
        "网费充值收据",
        "A0001",
        "2026-03-10 12:00",
        LI.account_no,
        "*小明",
        "20.00",
        "贰拾元整",
        "现金",
        booked.order.order_no,
        "anna",
    ):
        assert part in text
    assert LI.name not in text


def test_a_slip_of_money_that_goes_back_says_so(sqlite_database: Database) -> None:
    till = Till(sqlite_database)
    text = receipt_text(till.take(amount_fen=501, way=Way.TRANSFER, reference="B123456"), site_name="校园网")
    for part in ("待退回款项凭单", "tA0001", "B123456", "金额不是套餐价格或其倍数", "原路退回"):
        assert part in text
    assert "自动充入" not in text
