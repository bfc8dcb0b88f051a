"""The demo's own check: a student recharges 5 yuan, end to end, through the simulated WeChat."""

from __future__ import annotations

import re

from app.phone import Phone, PhoneError, link_in

# The last of the demo students: the others stay as new as they were.
STUDENT = "laozhou"
AMOUNT_FEN = 500


def run(wechat: str) -> str | None:
    """Follow, bind, 余额, 充值5, 确认, pay, 到账, 余额. Returns: what went wrong, or None."""
    phone = Phone(wechat, STUDENT)
    try:
        _walk(phone)
    except PhoneError as error:
        return str(error)
    return None


def _walk(phone: Phone) -> None:
    _expect(phone.follow(), "欢迎")
    phone.bind()
    before = balance_fen(phone.say("余额"))
    _expect(phone.say("充值5"), "确认")
    confirmed = phone.say("确认")
    _expect(confirmed, "充错无法退回")
    order_no = phone.pay(link_in(confirmed, "/h5/pay/"))
    phone.wait_for("充值到账", order_no)
    after = balance_fen(phone.say("余额"))
    if after - before != AMOUNT_FEN:
        raise PhoneError(f"the balance grew by {after - before} fen, not by {AMOUNT_FEN}")


def balance_fen(reply: str) -> int:
    """The balance in a 余额 answer, in fen. Raises: PhoneError."""
    found = re.search(r"余额[^0-9-]*(\d+)\.(\d\d)", reply)
    if found is None:
        raise PhoneError(f"no balance in {reply!r}")
    return int(found[1]) * 100 + int(found[2])


def _expect(reply: str, words: str) -> None:
    if words not in reply:
        raise PhoneError(f"expected {words!r} in {reply!r}")
