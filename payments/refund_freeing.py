"""Before money goes back it is nobody's: a waiting credit is voided, a credit in billing reversed.

The last step holds the money for the refund and lets it be sent, in one commit with the fact that
freed it, so that nothing else can take it in between.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy.orm import Session

from billing.interface import CreditReceipt
from models import allocation
from models.allocation import MoneySpoken
from models.errors import Conflict, Refused, Unavailable, Unknown
from models.order import Credit, CreditStatus, Order, credit_of
from models.refund import Refund, RefundStatus, ReversalStatus
from models.review import ReviewKind
from payments import outbox
from payments.outcome import Done, Later, Outcome, Park
from payments.refund_steps import WAITING_CREDIT, ask, give_up, locked, money_of, move, note, void
from payments.services import Services

ACTOR = "worker"
DOUBTFUL = (ReversalStatus.SENDING, ReversalStatus.UNKNOWN)


class _Way(StrEnum):
    GO = "go"
    VOID = "void"
    REVERSE = "reverse"
    ASK_BILLING = "ask billing"
    WAIT = "wait"


def free(services: Services, held: outbox.Claim) -> Outcome | None:
    """Free the money of an approved refund and hold it.

    Returns: None - the refund is in SENDING and may be sent; else what to tell the worker.
    Raises: Unknown, Unavailable - billing did not answer; Conflict - somebody else works on it.
    """
    way, credit = _begin(services, held)
    if credit is None:
        return way if isinstance(way, Outcome) else None
    number = _number(held)
    if way == _Way.ASK_BILLING:
        receipt = services.billing.find_reversal(_key(number))
        if receipt is not None:
            return _reversed(services, number, receipt)
    return _reverse(services, held, credit)
