"""Every action of the review queue by name; each is a step inside the transaction that closes the item."""

from __future__ import annotations

from collections.abc import Mapping

from payments.review.actions import (
    bank_lists,
    books,
    credit,
    general,
    late,
    payouts,
    refund_money,
    second_payments,
    unmatched,
)
from payments.review.actions.base import Action, Decision, Details, Found

# One mapping per module; `Mapping.__or__` would hide a name that two modules use.
_PARTS: tuple[Mapping[str, Action], ...] = (
    credit.ACTIONS,
    late.ACTIONS,
    second_payments.ACTIONS,
    refund_money.ACTIONS,
    payouts.ACTIONS,
    unmatched.ACTIONS,
    bank_lists.ACTIONS,
    books.ACTIONS,
    general.ACTIONS,
)
ACTIONS: dict[str, Action] = {name: action for part in _PARTS for name, action in part.items()}

__all__ = ["ACTIONS", "Action", "Decision", "Details", "Found"]
