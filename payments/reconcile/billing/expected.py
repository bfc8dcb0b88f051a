"""The movements at billing that our own books know, but for credits of orders: lines, and rows by key.

A line is `kind:key`, account and fen, as billing lists it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, literal, select
from sqlalchemy.orm import Session

from billing.interface import MoneyCall
from models.bulk import in_steps, line_of, lines, taken_apart
from models.db.engine import Database
from models.db.state import APPLIED, StateEvent
from models.order import Credit, CreditStatus, Order
from models.outbox import OutboxItem, OutboxStatus
from models.payout import PartStatus, Payout, PayoutPart
from models.refund import Refund, RefundStatus, ReversalStatus
from models.swap import SwapIntent, SwapStatus
from payments import swap
from payments.numbers import CREDIT_NO, ORDER_NO
from payments.reconcile.ours import Day, Tally

REPAIR = "billing-repair"
_PART_NO = r"p\d{8}[0-9a-z]{11}-\d{2,}"
_REVERSAL_NO = rf"vf{ORDER_NO.pattern}\d{{2,}}"
# What is undone may have been an undoing itself.
_UNDO_NO = rf"u{{1,3}}(?:{_REVERSAL_NO}|{_PART_NO}|{CREDIT_NO.pattern})(?:\.\d+)?"
# The keys that we give, by kind. Other systems move money at billing, too.
_OURS = {
    MoneyCall.REVERSAL: re.compile(rf"{_REVERSAL_NO}|{_UNDO_NO}"),
    MoneyCall.WITHDRAWAL: re.compile(rf"{_PART_NO}|{_UNDO_NO}"),
    MoneyCall.EXCHANGE: re.compile(rf"x{ORDER_NO.pattern}"),
    MoneyCall.CREDIT: re.compile(_UNDO_NO),
}
_PART_APPLIED = (
    PartStatus.WITHDRAWN,
    PartStatus.LISTED,
    PartStatus.PAID,
    PartStatus.LATE,
    PartStatus.RETURNING,
    PartStatus.RETURNED,
)
_PART_PENDING = (PartStatus.WAITING, PartStatus.SENDING, PartStatus.UNKNOWN)


@dataclass(frozen=True)
class Known:
    """What our books say of one key.

    Args:
        applied: billing should have it, since `applied_at` as far as we know.
        pending: it is on its way, `job` sends or queries it.
        given_up: it must not be there, and what undoes it is known (`payments.late`).
    """

    kind: MoneyCall
    key: str
    account_no: str
    amount_fen: int
    applied: bool = False
    pending: bool = False
    given_up: bool = False
    applied_at: datetime | None = None
    order_id: int | None = None
    order_no: str | None = None
    job: tuple[str, str] | None = None
    # What a repetition of the call needs besides.
    credit_key: str = ""
    code: str = ""

    @property
    def line(self) -> bytes:
        """The line that billing should list."""
        return f"{self.kind}:{self.key}\t{self.account_no}\t{self.amount_fen}".encode()


def is_ours(whole_key: bytes) -> bool:
    """Return True if `kind:key` has the form of a number of ours, credits of orders not included."""
    kind, _, key = whole_key.decode("utf-8", "replace").partition(":")
    pattern = _OURS.get(MoneyCall(kind)) if kind in set(MoneyCall) else None
    return pattern is not None and pattern.fullmatch(key) is not None


def expected(database: Database, day: Day, tally: Tally) -> Iterator[list[bytes]]:
    """Yield the movements that our books saw applied on this day; the tally counts along."""
    in_day = (StateEvent.at >= day.since, StateEvent.at < day.until, APPLIED)
    for query in _queries():
        for fen, some_lines in in_steps(database, query, StateEvent.id, *in_day):
            taken = taken_apart(some_lines)
            tally.count(len(taken), int(fen or 0))
            yield taken


def _queries() -> Iterator[Select[Any]]:
    def of(kind: str, key: Any, account_no: Any, fen: Any) -> Select[Any]:
        line = line_of(literal(f"{kind}:", literal_execute=True) + key, account_no, fen)
        return select(func.sum(fen), lines(line)).select_from(StateEvent)

    def event(subject: str, *new: str) -> Any:
        return (StateEvent.subject == subject) & StateEvent.new.in_(new)

    yield (
        of("reversal", literal("v") + Refund.out_refund_no, Credit.account_no, Refund.amount_fen)
        .join(Refund, Refund.id == StateEvent.subject_id)
        .join(Credit, Credit.order_id == Refund.order_id)
        .where(event("reversal", ReversalStatus.DONE))
    )
    yield (
        of("withdrawal", PayoutPart.part_no, Payout.account_no, PayoutPart.amount_fen)
        .join(PayoutPart, PayoutPart.id == StateEvent.subject_id)
        .join(Payout, Payout.id == PayoutPart.payout_id)
        .where(event("payout_part", PartStatus.WITHDRAWN, PartStatus.LATE))
        # What the bank could not pay, or an operator continues, was withdrawn before.
        .where(StateEvent.old.in_((PartStatus.SENDING, PartStatus.REFUSED)))
    )
    yield (
        of("exchange", literal("x") + Order.order_no, Order.account_no, SwapIntent.price_fen)
        .join(SwapIntent, SwapIntent.order_id == StateEvent.subject_id)
        .join(Order, Order.id == SwapIntent.order_id)
        .where(event("swap_intent", SwapStatus.DONE, SwapStatus.LATE))
        .where(StateEvent.old != SwapStatus.LATE)
    )
    yield (
        of("reversal", Credit.undo_key, Credit.account_no, Credit.amount_fen)
        .join(Credit, Credit.id == StateEvent.subject_id)
        .where(event("credit", CreditStatus.TAKEN_BACK))
    )
    yield (
        of("credit", PayoutPart.undo_key, Payout.account_no, PayoutPart.amount_fen)
        .join(PayoutPart, PayoutPart.id == StateEvent.subject_id)
        .join(Payout, Payout.id == PayoutPart.payout_id)
        .where(event("payout_part", PartStatus.RETURNED))
    )


def known_movements(session: Session, whole_keys: Sequence[str]) -> dict[str, Known]:
    """Look up what our books say of these `kind:key`, in a query for each kind."""
    by_kind: dict[MoneyCall, list[str]] = {kind: [] for kind in MoneyCall}
    for whole_key in whole_keys:
        kind, _, key = whole_key.partition(":")
        by_kind[MoneyCall(kind)].append(key)
    found: list[Known] = []
    found += _reversals(session, [key.removeprefix("v") for key in by_kind[MoneyCall.REVERSAL]])
    found += _undone_credits(session, by_kind[MoneyCall.REVERSAL])
    found += _withdrawals(session, by_kind[MoneyCall.WITHDRAWAL], PayoutPart.part_no)
    found += _withdrawals(session, by_kind[MoneyCall.CREDIT], PayoutPart.undo_key)
    found += _purchases(session, [key.removeprefix("x") for key in by_kind[MoneyCall.EXCHANGE]])
    by_key = {f"{one.kind}:{one.key}": one for one in found}
    return _with_repairs(session, whole_keys, by_key)


def _reversals(session: Session, numbers: Sequence[str]) -> Iterator[Known]:
    query = (
        select(Refund, Order.order_no, Credit)
        .join(Order, Order.id == Refund.order_id)
        .join(Credit, Credit.order_id == Order.id)
        .where(Refund.out_refund_no.in_(numbers))
    )
    rows = session.execute(query).all()
    at = _applied_at(session, "reversal", [refund.id for refund, _, _ in rows])
    for refund, order_no, credit in rows:
        done = refund.reversal == ReversalStatus.DONE
        yield Known(
            MoneyCall.REVERSAL,
            f"v{refund.out_refund_no}",
            credit.account_no,
            refund.amount_fen,
            applied=done,
            pending=not done and refund.status == RefundStatus.APPROVED,
            given_up=not done and refund.status == RefundStatus.CLOSED,
            applied_at=at.get(refund.id),
            order_id=refund.order_id,
            order_no=order_no,
            job=("refund", refund.out_refund_no),
            credit_key=credit.credit_no,
        )


def _undone_credits(session: Session, keys: Sequence[str]) -> Iterator[Known]:
    query = select(Credit, Order.order_no).join(Order, Order.id == Credit.order_id)
    rows = session.execute(query.where(Credit.undo_key.in_(keys))).all()
    at = _applied_at(session, "credit", [credit.id for credit, _ in rows])
    for credit, order_no in rows:
        yield Known(
            MoneyCall.REVERSAL,
            str(credit.undo_key),
            credit.account_no,
            credit.amount_fen,
            applied=credit.status == CreditStatus.TAKEN_BACK,
            pending=credit.status == CreditStatus.TAKING_BACK,
            applied_at=at.get(credit.id),
            order_id=credit.order_id,
            order_no=order_no,
            job=("repair", f"credit:{credit.credit_no}"),
            credit_key=credit.credit_no,
        )


def _withdrawals(session: Session, keys: Sequence[str], column: Any) -> Iterator[Known]:
    """Parts of payouts by the key of their withdrawal, or of the credit that undoes it."""
    query = select(PayoutPart, Payout.account_no).join(Payout, Payout.id == PayoutPart.payout_id)
    rows = session.execute(query.where(column.in_(keys))).all()
    at = _applied_at(session, "payout_part", [part.id for part, _ in rows])
    for part, account_no in rows:
        known = Known(
            MoneyCall.WITHDRAWAL,
            part.part_no,
            account_no,
            part.amount_fen,
            applied=part.status in _PART_APPLIED,
            pending=part.status in _PART_PENDING,
            given_up=part.status == PartStatus.REFUSED,
            applied_at=at.get(part.id),
            job=("payout", part.part_no),
        )
        if column is PayoutPart.part_no:
            yield known
            continue
        yield replace(
            known,
            kind=MoneyCall.CREDIT,
            key=str(part.undo_key),
            applied=part.status == PartStatus.RETURNED,
            pending=part.status == PartStatus.RETURNING,
            given_up=False,
            applied_at=None,
            job=("repair", f"part:{part.part_no}"),
        )


def _purchases(session: Session, order_nos: Sequence[str]) -> Iterator[Known]:
    query = select(SwapIntent, Order).join(Order, Order.id == SwapIntent.order_id)
    rows = session.execute(query.where(Order.order_no.in_(order_nos))).all()
    at = _applied_at(session, "swap_intent", [order.id for _, order in rows])
    for intent, order in rows:
        yield Known(
            MoneyCall.EXCHANGE,
            f"x{order.order_no}",
            order.account_no,
            intent.price_fen,
            applied=intent.status in (SwapStatus.DONE, SwapStatus.LATE),
            pending=intent.status == SwapStatus.WAITING,
            given_up=intent.status == SwapStatus.REFUSED,
            applied_at=at.get(order.id),
            order_id=order.id,
            order_no=order.order_no,
            job=(swap.KIND, order.order_no),
            code=intent.package_code,
        )


def _applied_at(session: Session, subject: str, ids: Sequence[int]) -> dict[int, datetime]:
    """When each row was first seen as applied; rows from before the events have no such time."""
    query = (
        select(StateEvent.subject_id, func.min(StateEvent.at))
        .where(StateEvent.subject == subject, StateEvent.subject_id.in_(ids), APPLIED)
        .group_by(StateEvent.subject_id)
    )
    return {row[0]: row[1] for row in session.execute(query)}


def _with_repairs(session: Session, whole_keys: Sequence[str], found: dict[str, Known]) -> dict[str, Known]:
    """A call that operators let billing repeat or undo took effect on another day than the books say."""
    query = select(OutboxItem).where(OutboxItem.kind == REPAIR, OutboxItem.key.in_(whole_keys))
    for item in session.scalars(query):
        facts = item.payload
        known = Known(MoneyCall(facts["kind"]), facts["key"], facts["account_no"], int(facts["amount_fen"]))
        found[item.key] = replace(
            found.get(item.key, known),
            applied=bool(facts.get("applied")),
            pending=not facts.get("applied") and item.status == OutboxStatus.READY,
            given_up=False,
            applied_at=None,
            job=(REPAIR, item.key),
        )
    return found


def parse(line: bytes) -> tuple[str, int]:
    """Return account and fen of a line."""
    _, account_no, fen = line.decode().split("\t")
    return account_no, int(fen)
