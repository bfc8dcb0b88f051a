"""The journal against its seals and anchors, and against the money it has to tell of."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from models.adjustment import Adjustment
from models.db.engine import Database
from models.journal import JournalRow
from models.order import Credit, CreditStatus, Order, PaymentFact
from models.payout import Payout, PayoutPart
from models.refund import Refund, ReversalStatus
from payments.audit import anchor, hash_chain
from payments.audit.checks.finding import Finding
from payments.audit.keys import AuditSettings

JOURNAL, ANCHOR, JOURNAL_ROWS = "journal", "anchor", "journal-rows"
BATCH = 500
_NUMBER = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{5,71}")


def check_chain(session: Session, audit: AuditSettings, now: datetime) -> Iterator[Finding]:
    """Each row is as it was sealed; a fault concerns the account that the row names."""
    for fault in hash_chain.faults(session, now, audit.keys):
        accounts = accounts_of_row(session, fault.row) if fault.row is not None else ()
        yield Finding(JOURNAL, fault.place, fault.text, accounts, holds=fault.is_proof)


def check_anchors(
    session: Session, audit: AuditSettings, now: datetime, lines: Iterable[str]
) -> Iterator[Finding]:
    """Each head that left the database is still in its chain."""
    for fault in anchor.check(session, audit, now, lines):
        yield Finding(ANCHOR, fault.place, fault.text, holds=fault.is_proof)


def check_rows(database: Database) -> Iterator[Finding]:
    """Each payment, credit and reversal has left its row in the journal; a cut one is noticed."""
    for words, row_id, query in _TOLD:
        after = 0
        while True:
            with database.reading() as session:
                batch = session.execute(query.where(row_id > after).order_by(row_id).limit(BATCH)).all()
                orders = [order_no for _, order_no, _, _ in batch]
                told = select(JournalRow.order_no).where(
                    JournalRow.order_no.in_(orders), JournalRow.what.in_(words)
                )
                known = set(session.scalars(told))
            for _, order_no, account_no, number in batch:
                if order_no not in known:
                    text = f"the journal has no row `{words[0]}` for {number} of order {order_no}"
                    yield Finding(JOURNAL_ROWS, f"{words[0]} {number}", text, (account_no,))
            if len(batch) < BATCH:
                break
            after = batch[-1][0]


def accounts_of_row(session: Session, row: JournalRow) -> tuple[str, ...]:
    """The accounts that a journal row is about, by its order and the numbers among its facts."""
    said = " ".join(value for value in row.facts.values() if isinstance(value, str))
    found = accounts_named(session, f"{row.order_no or ''} {said}")
    account_no = row.facts.get("account_no")
    return tuple(sorted({*found, account_no})) if isinstance(account_no, str) else found


def accounts_named(session: Session, text: str) -> tuple[str, ...]:
    """The accounts of every order, credit, refund and payout whose number stands in a text."""
    numbers = sorted(set(_NUMBER.findall(text)))[:BATCH]
    if not numbers:
        return ()
    found = {account_no for query in _by_number(numbers) for account_no in session.scalars(query)}
    return tuple(sorted(found))


def _by_number(numbers: Sequence[str]) -> Iterator[Any]:
    # A key of the ledger carries a letter of its own before the refund's number.
    bare = [*numbers, *(number[1:] for number in numbers if number.startswith("v"))]
    yield select(Order.account_no).where(Order.order_no.in_(numbers))
    yield select(Credit.account_no).where(Credit.credit_no.in_(numbers))
    yield (
        select(Order.account_no)
        .join(Refund, Refund.order_id == Order.id)
        .where(Refund.out_refund_no.in_(bare))
    )
    yield select(Payout.account_no).where(Payout.payout_no.in_(numbers))
    yield select(Adjustment.account_no).where(Adjustment.adjustment_no.in_(numbers))
    yield (
        select(Payout.account_no)
        .join(PayoutPart, PayoutPart.payout_id == Payout.id)
        .where(PayoutPart.part_no.in_(numbers))
    )


# What must be told of: words of the journal, row id, and (row id, order, account, number).
_TOLD: tuple[tuple[tuple[str, ...], Any, Any], ...] = (
    (
        ("paid", "second-payment"),
        PaymentFact.id,
        select(PaymentFact.id, Order.order_no, Order.account_no, PaymentFact.out_trade_no).join(
            Order, Order.id == PaymentFact.order_id
        ),
    ),
    (
        ("credited",),
        Credit.id,
        select(Credit.id, Order.order_no, Credit.account_no, Credit.credit_no)
        .join(Order, Order.id == Credit.order_id)
        .where(Credit.status == CreditStatus.CREDITED),
    ),
    (
        ("credit-reversed",),
        Refund.id,
        select(Refund.id, Order.order_no, Order.account_no, Refund.out_refund_no)
        .join(Order, Order.id == Refund.order_id)
        .where(Refund.reversal == ReversalStatus.DONE),
    ),
)
