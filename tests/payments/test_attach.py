"""The attach of a prepay request: signed, verified, sent again unchanged."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.db.engine import Database
from models.errors import Mismatch
from models.order import attempts_of
from payments import orders
from payments.attach import ATTACH_MAX, Attach, AttachKeys
from payments.services import Services
from payments.wechatpay.crypto import derive_key
from tests.builders import PAYER, World

KEYS = AttachKeys((derive_key("s" * 32, "attach"),))
NUMBER = "r20261123k3v9x0a1b2c01"
PRINTABLE = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=32)
PACKAGES = st.none() | st.tuples(PRINTABLE, st.integers(1, 10**9))


@dataclass
class Shop(World):
    """A world whose prepay sends a signed attach."""

    keys: AttachKeys = KEYS
    attached: dict[str, str] = field(default_factory=dict)

    @property
    def services(self) -> Services:
        return replace(super().services, attach=self.keys)

    def sent(self, number: str) -> str:
        """What the last prepay of this number sent."""
        return self.attached[number]


@pytest.fixture
def shop(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> Shop:
    world = Shop(sqlite_database)
    plain = world.pay.prepay

    def prepay(*, out_trade_no: str, attach: str = "", **rest: Any) -> str:
        world.attached.setdefault(out_trade_no, attach)
        assert world.attached[out_trade_no] == attach, "WeChat refuses changed parameters"
        return plain(out_trade_no=out_trade_no, **rest)

    monkeypatch.setattr(world.pay, "prepay", prepay)
    return world


@given(account_no=PRINTABLE, package=PACKAGES, amount_fen=st.integers(1, 10**9))
def test_what_was_signed_is_read_back(
    account_no: str, package: tuple[str, int] | None, amount_fen: int
) -> None:
    attach = Attach(account_no, *(package or ()))
    text = KEYS.sign(attach, out_trade_no=NUMBER, amount_fen=amount_fen)
    if text is None:
        # Too long only where almost every character has to be escaped.
        assert len(account_no) + len(package[0] if package else "") > 20
        return
    assert text.isascii()
    assert len(text) <= ATTACH_MAX
    assert "`" not in text, "the bill is split at backquotes"
    assert KEYS.verify(text, out_trade_no=NUMBER, amount_fen=amount_fen) == attach


@given(place=st.integers(0, 200), other=st.characters(min_codepoint=32, max_codepoint=126))
def test_a_changed_character_is_noticed(place: int, other: str) -> None:
    text = KEYS.sign(Attach("2400101001", "P20", 2000), out_trade_no=NUMBER, amount_fen=500)
    assert text is not None
    place %= len(text)
    changed = text[:place] + other + text[place + 1 :]
    verified = KEYS.verify(changed, out_trade_no=NUMBER, amount_fen=500)
    assert (verified is not None) == (changed == text)


@pytest.mark.parametrize(
    ("text", "number", "fen"),
    [
        (None, NUMBER, 500),
        ("", NUMBER, 500),
        ("a=1", NUMBER, 500),
        ("校园网", NUMBER, 500),
        ("c1:2400101001:r:", NUMBER, 500),
        ("x" * 1000, NUMBER, 500),
    ],
)
def test_what_others_attach_is_not_ours(text: str | None, number: str, fen: int) -> None:
    assert KEYS.verify(text, out_trade_no=number, amount_fen=fen) is None


def test_a_signed_text_belongs_to_its_number_and_amount() -> None:
    text = KEYS.sign(Attach("2400101001"), out_trade_no=NUMBER, amount_fen=500)
    assert KEYS.verify(text, out_trade_no=NUMBER[:-1] + "2", amount_fen=500) is None
    assert KEYS.verify(text, out_trade_no=NUMBER, amount_fen=501) is None


def test_a_changed_secret_still_verifies_what_the_old_one_signed() -> None:
    new = AttachKeys((derive_key("n" * 32, "attach"), *KEYS.keys))
    text = KEYS.sign(Attach("2400101001"), out_trade_no=NUMBER, amount_fen=500)
    assert new.verify(text, out_trade_no=NUMBER, amount_fen=500) == Attach("2400101001")
    assert new.sign(Attach("2400101001"), out_trade_no=NUMBER, amount_fen=500) != text
    assert AttachKeys().sign(Attach("2400101001"), out_trade_no=NUMBER, amount_fen=500) is None


def test_prepay_sends_what_the_order_is_for(shop: Shop) -> None:
    view = shop.prepaid()
    number = f"{view.order_no}01"
    assert KEYS.verify(shop.sent(number), out_trade_no=number, amount_fen=500) == Attach(view.account_no)


def test_an_order_is_prepaid_again_unchanged_after_the_secret_changed(shop: Shop) -> None:
    view = shop.prepaid()
    shop.keys = AttachKeys((derive_key("n" * 32, "attach"),))
    shop.clock.forward(minutes=1)
    _prepay_again(shop, view.order_no)
    assert shop.pay.calls.count("prepay") == 2


def test_an_order_from_before_the_upgrade_is_prepaid_again_without_attach(shop: Shop) -> None:
    shop.keys = AttachKeys()
    view = shop.prepaid()
    shop.keys = KEYS
    _prepay_again(shop, view.order_no)
    assert shop.sent(f"{view.order_no}01") == ""
    assert shop.pay.calls.count("prepay") == 2


def test_a_payment_whose_attach_is_another_ones_is_a_mismatch(shop: Shop) -> None:
    view, other = shop.prepaid(), shop.prepaid(600)
    foreign = shop.sent(f"{other.order_no}01")
    with pytest.raises(Mismatch) as raised:
        shop.confirm(view, attach=foreign)
    assert raised.value.field == "attach"
    shop.confirm(view, attach=shop.sent(f"{view.order_no}01"))


def test_an_attach_on_an_order_that_was_sent_without_is_a_mismatch(shop: Shop) -> None:
    shop.keys = AttachKeys()
    view = shop.prepaid()
    with pytest.raises(Mismatch):
        shop.confirm(view, attach="MEAL:42")
    shop.confirm(view)


def _prepay_again(shop: Shop, order_no: str) -> None:
    with shop.database.transaction() as session:
        order = shop_order(shop, order_no)
        for attempt in attempts_of(session, order):
            attempt.prepay_id = None
    orders.pay_params(shop.services, order_no=order_no, openid=PAYER)


def shop_order(shop: Shop, order_no: str) -> int:
    return orders.look(shop.services, order_no=order_no, openid=PAYER).id
