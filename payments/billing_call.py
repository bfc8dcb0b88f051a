"""One money call to billing: a doubt ends only with an answer for that very call.

A refusal answers the call that got it. Of an earlier call without an answer it says nothing: that one may
still be on its way, in a paused process of ours or in a queue at the backend. So the doubt stays, and with
it the money held, until billing shows the effect, closes the key for good, or (where it can do neither) its
confirmation window has passed and it was queried again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from billing.interface import Capabilities, CreditReceipt, ExchangeReceipt, MoneyCall
from models.errors import Refused, Unavailable, Unknown
from payments import outbox
from payments.services import Services

R = TypeVar("R", CreditReceipt, ExchangeReceipt)


@dataclass(frozen=True)
class BillingCall(Generic[R]):
    """A call under a key that is its own.

    Args:
        send, find: make the call, and query it, each with the identifier that the backend prepared.
        again: the step that records, under the lease, that the call is being sent once more.
        doubt_from: the latest moment at which an earlier call without an answer can have been sent; None:
            every earlier call has been answered.
        ref: the identifier that the backend prepared, if it does so.
    """

    kind: MoneyCall
    account_no: str
    key: str
    send: Callable[[str | None], R]
    find: Callable[[str | None], R | None]
    again: Callable[[], None]
    doubt_from: datetime | None
    ref: str | None = None


@dataclass(frozen=True)
class Applied(Generic[R]):
    """It took effect, by this call or by an earlier one."""

    receipt: R


@dataclass(frozen=True)
class NotApplied:
    """No call under this key took effect, and none that was sent still can."""

    error: Refused | Unavailable


@dataclass(frozen=True)
class InDoubt:
    """A call may still take effect. `again_at` is set where repeating it sooner would not help."""

    doubt_from: datetime
    error: Refused | Unavailable | Unknown | None
    again_at: datetime | None = None


@dataclass(frozen=True)
class Unresolvable:
    """Billing offers no way to find out: an operator looks there."""

    reason: str


Answer = Applied[R] | NotApplied | InDoubt | Unresolvable


def prepare(services: Services, kind: MoneyCall, account_no: str, amount_fen: int, *, key: str) -> str | None:
    """Return the identifier that billing wants stored before the call, None where it wants none.

    Raises: Refused, Unknown, Unavailable.
    """
    if not services.billing.capabilities().prepare:
        return None
    return services.billing.prepare(kind, account_no, amount_fen, key=key)


def carry_out(services: Services, held: outbox.Claim, call: BillingCall[R]) -> Answer[R]:
    """Make the call, after a query where an earlier one is in doubt.

    The caller has recorded, before the first call, that it is being sent.
    Raises: Unknown, Unavailable - the query got no answer, nothing was sent; Conflict - the lease ran out.
    """
    able, earlier = services.billing.capabilities(), call.doubt_from
    if earlier is not None:
        known = _query(services, call, able, earlier)
        if known is not None and not isinstance(known, _Over):
            return known
        call.again()
        earlier = None if known is not None else earlier
    # As late as possible: after a pause the next holder of the item may have sent it already.
    held.check_lease(services.clock())
    try:
        return Applied(call.send(call.ref))
    except Unknown as error:
        return InDoubt(held.leased_until, error)
    except (Refused, Unavailable) as error:
        if earlier is None:
            return NotApplied(error)
        return _still_in_doubt(services, call, able, earlier, error)


@dataclass(frozen=True)
class _Over:
    """No earlier call can have an effect any more."""


def _query(
    services: Services, call: BillingCall[R], able: Capabilities, earlier: datetime
) -> Answer[R] | _Over | None:
    """Query an earlier call in doubt. Returns: None if it may still arrive and the call may be repeated."""
    if not able.can_find(call.kind):
        return Unresolvable("billing cannot be queried")
    found = call.find(call.ref)
    if found is not None:
        return Applied(found)
    over_at = _over_at(able, earlier)
    if over_at is not None and services.clock() >= over_at:
        return _Over()
    return None if able.credit_is_idempotent else _wait(earlier, None, over_at)


def _still_in_doubt(
    services: Services,
    call: BillingCall[R],
    able: Capabilities,
    earlier: datetime,
    error: Refused | Unavailable,
) -> Answer[R]:
    """This call certainly had no effect; an earlier one may have it yet."""
    if isinstance(error, Unavailable):
        return InDoubt(earlier, error)
    if not able.close_key:
        return _wait(earlier, error, _over_at(able, earlier))
    try:
        if services.billing.close_key(call.kind, call.account_no, call.key):
            return NotApplied(error)
        found = call.find(call.ref)
    except (Unknown, Unavailable) as unanswered:
        return InDoubt(earlier, unanswered)
    return InDoubt(earlier, error) if found is None else Applied(found)


def _over_at(able: Capabilities, doubt_from: datetime) -> datetime | None:
    """When a call in doubt can have no effect any more; None: nobody knows, or closing its key decides."""
    if able.close_key or able.confirmation_window_s is None:
        return None
    return doubt_from + timedelta(seconds=able.confirmation_window_s)


def _wait(earlier: datetime, error: Refused | None, over_at: datetime | None) -> InDoubt | Unresolvable:
    if over_at is None:
        return Unresolvable("billing gives no confirmation window")
    return InDoubt(earlier, error, again_at=over_at)
