"""What differs between the movements that our books know and those that billing lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.interface import CreditReceipt, ExchangeReceipt, MoneyCall
from models.errors import Conflict, IllegalTransition
from models.order import Order
from models.outbox import OutboxItem, OutboxStatus
from models.refund import RefundStatus, ReversalStatus
from models.review import ReviewKind
from models.swap import SwapIntent, SwapStatus
from payments import late, outbox
from payments.payouts import delivery as payouts
from payments.reconcile.billing.expected import Known, is_ours, known_movements, parse
from payments.reconcile.ours import Day, batched
from payments.reconcile.piles import Unequal
from payments.reconcile.result import Action, Finding, Kind
from payments.refunds.freeing import record_reversal
from payments.refunds.steps import ask, locked
from payments.services import Services

BATCH = 200
# Billing is queried for so many movements a run; more are a disaster, which no query repairs.
PROBES_MAX = 5000
ACTOR = "reconcile"


class Movements:
    """Our movements (left) against billing's list (right) of one day."""

    def __init__(self, services: Services, day: Day) -> None:
        self._services = services
        self._day = day
        self._probes = 0

    def findings(self, unequal: Iterable[Unequal]) -> Iterator[Finding]:
        """Every difference once; what is merely late is expedited or recorded."""
        ours = (one for one in unequal if is_ours(one.key))
        for batch in batched(ours, BATCH):
            with self._services.reading() as session:
                found = known_movements(session, [one.key.decode() for one in batch])
            for one in batch:
                finding = self._explain(one, found.get(one.key.decode()))
                if finding is not None:
                    yield finding

    def _explain(self, one: Unequal, known: Known | None) -> Finding | None:
        if one.repeated_right or len(one.right) > 1:
            return _finding(Kind.MOVEMENT_TWICE, one, known)
        if known is None:
            return _finding(Kind.MOVEMENT_UNEXPECTED, one, None)
        if one.right and one.right[0] != known.line:
            return _finding(Kind.MOVEMENT_DIFFERS, one, known)
        if one.left and not one.right:
            return self._missing(one, known)
        return self._unexpected(one, known) if one.right and not one.left else None

    def _missing(self, one: Unequal, known: Known) -> Finding | None:
        """Our books have it on this day, billing lists it not: perhaps it did it on the day before."""
        asked, receipt = self._probe(known)
        if receipt is None and known.pending:
            return _finding(Kind.MOVEMENT_MISSING, one, known, action=Action.HASTENED)
        if receipt is None:
            said = "no such movement" if asked else "not asked"
            return _finding(Kind.MOVEMENT_MISSING, one, known, billing_says=said)
        fen = receipt.price_fen if isinstance(receipt, ExchangeReceipt) else receipt.amount_fen
        if (receipt.account_no, fen) != (known.account_no, known.amount_fen):
            said = f"{receipt.account_no} {fen}"
            return _finding(Kind.MOVEMENT_DIFFERS, one, known, billing_says=said)
        return None

    def _unexpected(self, one: Unequal, known: Known) -> Finding | None:
        if known.applied:
            again = known.applied_at is not None and known.applied_at < self._day.since
            return _finding(Kind.MOVEMENT_TWICE, one, known) if again else None
        if known.pending:
            action = Action.HASTENED if self._expedite(known) else Action.ASKED
            return _finding(Kind.MOVEMENT_UNEXPECTED, one, known, action=action)
        if known.given_up and self._record(known):
            return _finding(Kind.MOVEMENT_UNEXPECTED, one, known, action=Action.RECORDED)
        return _finding(Kind.MOVEMENT_UNEXPECTED, one, known)

    def _probe(self, known: Known) -> tuple[bool, CreditReceipt | ExchangeReceipt | None]:
        """Return whether billing was queried, and its answer."""
        billing = self._services.billing
        self._probes += 1
        if not billing.capabilities().can_find(known.kind) or self._probes > PROBES_MAX:
            return False, None
        find = {
            MoneyCall.CREDIT: billing.find_credit,
            MoneyCall.REVERSAL: billing.find_reversal,
            MoneyCall.WITHDRAWAL: billing.find_withdrawal,
            MoneyCall.EXCHANGE: billing.find_exchange,
        }[known.kind]
        return True, find(known.account_no, known.key)

    def _expedite(self, known: Known) -> bool:
        """Return True if the job that queries billing is still alive; it is due at once then."""
        if known.job is None:
            return False
        kind, key = known.job
        with self._services.transaction() as session:
            status = select(OutboxItem.status).where(OutboxItem.kind == kind, OutboxItem.key == key)
            alive = session.scalar(status) == OutboxStatus.READY
            if alive:
                outbox.hasten(session, kind, key, due_at=self._services.clock())
        self._services.wake()
        return alive

    def _record(self, known: Known) -> bool:
        """Record what billing applied after it was given up: that opens an item with its own repair."""
        receipt = None
        if known.kind == MoneyCall.EXCHANGE:
            _, receipt = self._probe(known)
        try:
            with self._services.transaction() as session:
                return _record_late(session, known, receipt, self._services.clock())
        except (Conflict, IllegalTransition):
            # It moved meanwhile.
            return False


def _record_late(
    session: Session, known: Known, receipt: CreditReceipt | ExchangeReceipt | None, now: datetime
) -> bool:
    if known.kind == MoneyCall.WITHDRAWAL:
        payouts.record_withdrawn(session, payouts.locked(session, known.key), now=now, actor=ACTOR)
        return True
    if known.kind == MoneyCall.REVERSAL and known.job is not None:
        order, refund = locked(session, known.job[1])
        if refund.status != RefundStatus.CLOSED or refund.reversal == ReversalStatus.NOT_NEEDED:
            return False
        record_reversal(session, order, refund, actor=ACTOR, now=now)
        reason = "reversed after the refund was given up"
        ask(session, order, refund, ReviewKind.LATE_REVERSAL, now=now, reason=reason)
        return True
    if isinstance(receipt, ExchangeReceipt) and known.order_id is not None:
        intent = session.get_one(SwapIntent, known.order_id, with_for_update=True)
        if intent.status == SwapStatus.REFUSED:
            late.purchase_made(session, session.get_one(Order, known.order_id), intent, receipt, now=now)
            return True
    return False


def _finding(
    kind: Kind, one: Unequal, known: Known | None, *, action: Action = Action.ASKED, **facts: object
) -> Finding:
    number = one.key.decode()
    call, _, key = number.partition(":")
    account_no, amount_fen = parse((one.repeated_right or one.right or one.left)[0])
    return Finding(
        kind=kind,
        key=number,
        action=action,
        amount_fen=amount_fen,
        order_id=known.order_id if known else None,
        order_no=known.order_no if known else None,
        facts={
            "call": call,
            "movement": key,
            "account_no": account_no,
            "ours": [known.account_no, known.amount_fen] if known else None,
            "billing": [list(parse(line)) for line in one.repeated_right or one.right],
            "credit_key": known.credit_key if known else "",
            "code": known.code if known else "",
            **facts,
        },
    )
