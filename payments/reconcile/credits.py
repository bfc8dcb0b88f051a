"""What differs between the credits we promised and the credits that billing lists."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from billing.interface import CreditReceipt
from models.order import CREDIT_VOID, Credit, CreditStatus
from models.outbox import OutboxItem, OutboxStatus
from payments import outbox
from payments.numbers import is_credit_no
from payments.reconcile.ours import Day, KnownCredit, batched, known_credits
from payments.reconcile.piles import Unequal
from payments.reconcile.result import Action, Finding, Kind
from payments.services import Services

BATCH = 200
# Billing is asked about so many credits a run; more are a disaster for a person, not for queries.
PROBES_MAX = 5000
ON_THE_WAY = (CreditStatus.PENDING, CreditStatus.SENDING, CreditStatus.UNKNOWN)

Found = dict[str, KnownCredit]


class Credits:
    """Our credits (left) against billing's list (right) of one day."""

    def __init__(self, services: Services, day: Day) -> None:
        self._services = services
        self._day = day
        self._probes = 0
        self._can_ask = services.billing.capabilities().find_credit

    def findings(self, unequal: Iterable[Unequal]) -> Iterator[Finding]:
        """Every difference once; credits that are merely late are hastened."""
        ours = (one for one in unequal if is_ours(one.key))
        for batch in batched(ours, BATCH):
            with self._services.reading() as session:
                found = known_credits(session, [one.key.decode() for one in batch])
            for one in batch:
                finding = self._explain(one, found)
                if finding is not None:
                    yield finding

    def _explain(self, one: Unequal, found: Found) -> Finding | None:
        if one.repeated_right:
            return _asked(Kind.DOUBLE_CREDIT, one, found)
        if one.left and one.right:
            return _asked(Kind.CREDIT_DIFFERS, one, found)
        if one.left:
            return self._missing(one, found)
        return self._unexpected(one, found) if one.right else None

    def _unexpected(self, one: Unequal, found: Found) -> Finding | None:
        known = found.get(one.key.decode())
        if known is None or known.credit.status in CREDIT_VOID:
            return _asked(Kind.CREDIT_UNEXPECTED, one, found)
        credit = known.credit
        if self._day.holds(known.paid_at):
            # Promised on this day and not left over: another line of billing's answers to it already.
            return _asked(Kind.DOUBLE_CREDIT, one, found)
        if one.right[0] != _line(credit):
            return _asked(Kind.CREDIT_DIFFERS, one, found)
        if credit.status == CreditStatus.CREDITED and credit.changed_at < self._day.since:
            # We knew it as done before this day began, and billing did it on this day.
            return _asked(Kind.DOUBLE_CREDIT, one, found)
        return None

    def _missing(self, one: Unequal, found: Found) -> Finding | None:
        known = found.get(one.key.decode())
        if known is None:
            return None
        credit = known.credit
        said, receipt = self._probe(credit)
        if receipt is not None and (receipt.account_no, receipt.amount_fen) != (
            credit.account_no,
            credit.amount_fen,
        ):
            return _asked(Kind.CREDIT_DIFFERS, one, found)
        if receipt is not None and credit.status == CreditStatus.CREDITED:
            # Credited on another day than it was paid.
            return None
        hastened = credit.status in ON_THE_WAY and self._hasten(known.order_no)
        return _asked(
            Kind.CREDIT_MISSING,
            one,
            found,
            action=Action.HASTENED if hastened else Action.ASKED,
            billing_says=said,
        )

    def _probe(self, credit: Credit) -> tuple[str, CreditReceipt | None]:
        self._probes += 1
        if not self._can_ask or self._probes > PROBES_MAX:
            return "not asked", None
        receipt = self._services.billing.find_credit(credit.account_no, credit.credit_no)
        return ("no such credit" if receipt is None else "credited"), receipt

    def _hasten(self, order_no: str) -> bool:
        """Whether the job that asks billing and then sends is still alive; it is due at once."""
        with self._services.transaction() as session:
            alive = _job_waits(session, order_no)
            if alive:
                outbox.hasten(session, "credit", order_no, due_at=self._services.clock())
        self._services.wake()
        return alive


def is_ours(key: bytes) -> bool:
    """Whether a credit in billing has a number of ours; other tills credit there, too."""
    return is_credit_no(key.decode("utf-8", "replace"))


def _job_waits(session: Session, order_no: str) -> bool:
    status = select(OutboxItem.status).where(OutboxItem.kind == "credit", OutboxItem.key == order_no)
    return session.scalar(status) == OutboxStatus.READY


def _line(credit: Credit) -> bytes:
    return f"{credit.credit_no}\t{credit.account_no}\t{credit.amount_fen}".encode()


def _asked(
    kind: Kind, one: Unequal, found: Found, *, action: Action = Action.ASKED, **facts: object
) -> Finding:
    number = one.key.decode()
    known = found.get(number)
    line = (one.repeated_right or one.right or one.left)[0]
    return Finding(
        kind=kind,
        key=number,
        action=action,
        amount_fen=int(line.rsplit(b"\t", 1)[1]),
        order_id=known.credit.order_id if known else None,
        order_no=known.order_no if known else None,
        facts={
            "credit_no": number,
            "credit_status": known.credit.status if known else None,
            "billing": [line.decode().split("\t")[1:] for line in one.repeated_right or one.right],
            **facts,
        },
    )
