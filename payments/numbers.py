"""Order numbers: made by us before anybody hears of them, never used again."""

from __future__ import annotations

import re
import secrets
from datetime import datetime

from models.clock import campus_date

ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
RANDOM_LENGTH = 11
# Lower case, so that a person may type it into the chat, where text is lower-cased.
ORDER_NO = re.compile(r"r\d{8}[0-9a-z]{11}")
CREDIT_NO = re.compile(rf"c{ORDER_NO.pattern}(-[1-9]\d*)?")


def new_order_no(now: datetime) -> str:
    """`r`, the campus date, eleven random characters (57 bits): r20261123k3v9x0a1b2c."""
    tail = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH))
    return f"r{campus_date(now):%Y%m%d}{tail}"


def out_trade_no(order_no: str, seq: int) -> str:
    """The number WeChat Pay sees for the `seq`-th attempt; 22 characters of [0-9a-z]."""
    return f"{order_no}{seq:02d}"


def credit_no(order_no: str) -> str:
    """Return the first key under which billing is asked to credit this order."""
    return f"c{order_no}"


def next_credit_no(number: str) -> str:
    """Return the key that follows a closed one: c…, c…-2, c…-3."""
    first, _, seq = number.partition("-")
    return f"{first}-{int(seq or 1) + 1}"


def undo_key(number: str, earlier: str | None) -> str:
    """Return the next key under which what was done under `number` is undone: u…, u….2, u….3."""
    _, _, seq = (earlier or "").partition(".")
    return f"u{number}" if earlier is None else f"u{number}.{int(seq or 1) + 1}"


def is_credit_no(number: str) -> bool:
    """Return True for a number that we give to credits."""
    return CREDIT_NO.fullmatch(number) is not None


def swap_no(order_no: str) -> str:
    """The key under which billing is asked to swap this order's package, ever."""
    return f"x{order_no}"


def is_ours(out_trade_no: str) -> bool:
    """Return True if the number has the form of ours: an order number and two digits."""
    return bool(ORDER_NO.fullmatch(out_trade_no[:-2])) and out_trade_no[-2:].isdecimal()
