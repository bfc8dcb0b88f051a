"""Payments that no order of ours has: assign one to an account, or send it back."""

from __future__ import annotations

from typing import Any

from models.errors import IllegalTransition
from models.review import ReviewItem, ReviewKind
from models.values.actor import Actor
from payments import unmatched_payments
from payments.review.actions.base import Action, Decision, Details, Found
from payments.services import Services
from payments.unmatched_payments import Unmatched

FOREIGN = "FOREIGN"
PAYMENT = "payment"


def _number(item: ReviewItem) -> str:
    """Return the payment's number. Raises: IllegalTransition - the item is about something else."""
    facts: dict[str, Any] = item.facts
    if item.kind == ReviewKind.NOTIFY_MISMATCH and facts.get("field") == "out_trade_no":
        return str(facts["number"])
    if facts.get("difference") == FOREIGN and "some_numbers" not in facts:
        return item.key.removeprefix(f"{FOREIGN}:")
    raise IllegalTransition("这个待办不是没有订单的付款")


def _find(services: Services, item: ReviewItem, details: Details) -> Found:
    del details
    return {PAYMENT: unmatched_payments.look_up(services, _number(item)).as_json()}


def _find_with_account(services: Services, item: ReviewItem, details: Details) -> Found:
    payment = unmatched_payments.look_up(services, _number(item))
    unmatched_payments.check_account(payment, details["account"])
    account = services.billing.find_account(details["account"])
    return {
        PAYMENT: payment.as_json(),
        "account_no": account.account_no,
        "masked_name": account.masked_name,
    }


def _assign(decision: Decision) -> None:
    """The payment was meant for this account: write its order, and credit it."""
    unmatched_payments.assign(
        decision.session,
        Unmatched.from_json(decision.found[PAYMENT]),
        account_no=str(decision.found["account_no"]),
        masked_name=str(decision.found["masked_name"]),
        actor=decision.actor,
        now=decision.services.clock(),
    )


def _send_back(decision: Decision) -> None:
    """Whose account it was meant for cannot be found out: the payer gets it back."""
    unmatched_payments.send_back(
        decision.session,
        Unmatched.from_json(decision.found[PAYMENT]),
        requested_by=Actor(str(decision.item.proposed_by)),
        approved_by=decision.actor,
        now=decision.services.clock(),
    )


_KINDS = frozenset({ReviewKind.NOTIFY_MISMATCH, ReviewKind.BILL_DIFFERENCE})
ACTIONS = {
    "assign": Action(
        moves_money=True,
        kinds=_KINDS,
        carry_out=_assign,
        prepare=_find_with_account,
        details=("account",),
    ),
    "send-back": Action(moves_money=True, kinds=_KINDS, carry_out=_send_back, prepare=_find),
}
