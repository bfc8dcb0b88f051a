"""Where every paid fen is, from the states alone: credited, refunded, on its way, or with a person.

The sum is an equation between two independent readings, the recorded payments and the states of
credits and refunds; `check` then compares both with the allocation and with the billing ledger.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, Subquery, and_, case, cast, func, or_, select, text
from sqlalchemy.orm import Session

from models.allocation import Allocation
from models.ledger import Entry, Posting
from models.order import Credit, CreditStatus, Order, OrderStatus, PaymentFact
from models.refund import Refund, RefundStatus, ReversalStatus

# The embedded engine writes a credit as an entry of this kind under `credit:<credit_no>`.
LEDGER_KIND = "credit"
FINDINGS_MAX = 20

_IN_FLIGHT = (CreditStatus.PENDING, CreditStatus.SENDING, CreditStatus.UNKNOWN)
# The credit speaks for the money: sent, or perhaps sent.
_HOLDING = (CreditStatus.SENDING, CreditStatus.UNKNOWN, CreditStatus.MANUAL, CreditStatus.CREDITED)
_RETURNING = (
    RefundStatus.APPROVED,
    RefundStatus.SENDING,
    RefundStatus.PROCESSING,
    RefundStatus.UNKNOWN,
)
_BOOKED = ("paid_fen", "credit_fen", "reversed_fen", "refund_fen")
_TAKEN_BACK = (ReversalStatus.SENDING, ReversalStatus.UNKNOWN, ReversalStatus.DONE)


@dataclass(frozen=True)
class Conservation:
    """All recorded payments in fen, each fen in one of the four places."""

    paid_fen: int
    credited_fen: int
    refunded_fen: int
    in_flight_fen: int
    review_fen: int

    @property
    def missing_fen(self) -> int:
        """What was paid and is in none of the places; negative: more is placed than was paid."""
        placed = self.credited_fen + self.refunded_fen + self.in_flight_fen + self.review_fen
        return self.paid_fen - placed


def conservation(session: Session) -> Conservation:
    """The sums now, over all orders."""
    _hold_still(session)
    refunds = {bucket: _fen(total) for bucket, total in session.execute(_refunds_by_place())}
    resting = {bucket: _fen(total) for bucket, total in session.execute(_rest_by_place())}

    def total(place: str) -> int:
        return refunds.get(place, 0) + resting.get(place, 0)

    return Conservation(
        paid_fen=_fen(session.scalar(_paid())),
        credited_fen=total("credited"),
        refunded_fen=total("refunded"),
        in_flight_fen=total("in_flight"),
        review_fen=total("review"),
    )


def check(session: Session, *, embedded: bool = True) -> list[str]:
    """Every disagreement between facts, states, allocation and ledger in words; empty when all is well.

    Args:
        embedded: also compare with the ledger of the embedded billing engine; a vendor's books are
            compared by reconciliation instead.
    """
    _hold_still(session)
    found = [*_check_sums(session), *_check_states(session), *_check_allocation(session)]
    return [*found, *_check_ledger(session)] if embedded else found


def _hold_still(session: Session) -> None:
    # Several statements must see one moment. SQLite's transactions always do; PostgreSQL has to be
    # told before its first statement, later it would refuse.
    if not session.in_transaction() and session.get_bind().dialect.name == "postgresql":
        session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))


def _first_facts() -> Subquery:
    # The payment that the order's credit is for; any other one of the order waits for a person.
    query = select(func.min(PaymentFact.id).label("id")).group_by(PaymentFact.order_id)
    return query.subquery("first_fact")


def _moved() -> ColumnElement[bool]:
    """Whether a refund's amount has left the place where the credit's state would put it."""
    taken_back = Refund.reversal.in_(_TAKEN_BACK)
    instead_of_credit = and_(
        Refund.reversal == ReversalStatus.NOT_NEEDED, Refund.status != RefundStatus.CLOSED
    )
    return and_(Refund.status != RefundStatus.REQUESTED, or_(taken_back, instead_of_credit))


@cache
def _paid() -> Select[Any]:
    return select(func.sum(PaymentFact.amount_fen))


@cache
def _refunds_by_place() -> Select[Any]:
    # A closed refund whose reversal is done is money that nobody has: a person decides.
    place = case(
        (Refund.status == RefundStatus.SUCCESS, "refunded"),
        (Refund.status.in_(_RETURNING), "in_flight"),
        else_="review",
    )
    return select(place, func.sum(Refund.amount_fen)).where(_moved()).group_by(place)


@cache
def _rest_by_place() -> Select[Any]:
    """What is left of each payment after its refunds, by the state of the credit."""
    first = _first_facts()
    moved = (
        select(Refund.order_id, Refund.out_trade_no, func.sum(Refund.amount_fen).label("fen"))
        .where(_moved())
        .group_by(Refund.order_id, Refund.out_trade_no)
        .subquery("moved")
    )
    place = case(
        (first.c.id.is_(None), "review"),
        (Credit.status == CreditStatus.CREDITED, "credited"),
        (Credit.status.in_(_IN_FLIGHT), "in_flight"),
        (Credit.id.is_not(None), "review"),
        else_="nowhere",
    )
    return (
        select(place, func.sum(PaymentFact.amount_fen - func.coalesce(moved.c.fen, 0)))
        .select_from(PaymentFact)
        .outerjoin(first, first.c.id == PaymentFact.id)
        .outerjoin(Credit, and_(Credit.order_id == PaymentFact.order_id, first.c.id.is_not(None)))
        .outerjoin(
            moved,
            and_(moved.c.order_id == PaymentFact.order_id, moved.c.out_trade_no == PaymentFact.out_trade_no),
        )
        .group_by(place)
    )


def _check_sums(session: Session) -> Iterator[str]:
    sums = conservation(session)
    if sums.missing_fen:
        yield f"{sums.missing_fen} fen of {sums.paid_fen} paid are in no place: {sums}"


def _check_states(session: Session) -> Iterator[str]:
    """PAID, a payment fact and a credit of the paid amount go together."""
    for order_no, status in session.execute(_contradicting_orders()):
        yield f"order {order_no} is {status}, but its payment and credit say otherwise"


@cache
def _contradicting_orders() -> Select[Any]:
    has_fact = select(PaymentFact.id).where(PaymentFact.order_id == Order.id).exists()
    contradiction = or_(
        and_(Order.status == OrderStatus.PAID, or_(~has_fact, Credit.id.is_(None))),
        and_(Order.status != OrderStatus.PAID, or_(has_fact, Credit.id.is_not(None))),
        Credit.amount_fen != Order.amount_fen,
        Credit.account_no != Order.account_no,
    )
    query: Select[Any] = select(Order.order_no, Order.status)
    return query.outerjoin(Credit, Credit.order_id == Order.id).where(contradiction).limit(FINDINGS_MAX)


def _check_allocation(session: Session) -> Iterator[str]:
    for order_no, *pairs in session.execute(_wrong_allocations()):
        for name, booked, fen in zip(_BOOKED, pairs[::2], pairs[1::2], strict=True):
            if booked != fen:
                yield f"order {order_no}: allocation.{name} is {booked}, the states say {_fen(fen)}"


@cache
def _wrong_allocations() -> Select[Any]:
    """Orders whose allocation is not what the states make of it: booked and expected in turn."""
    expected = (
        _sum_of(PaymentFact.amount_fen, PaymentFact.order_id, None),
        _sum_of(Credit.amount_fen, Credit.order_id, Credit.status.in_(_HOLDING)),
        _sum_of(Refund.amount_fen, Refund.order_id, Refund.reversal == ReversalStatus.DONE),
        _sum_of(Refund.amount_fen, Refund.order_id, Refund.held.is_(True)),
    )
    booked = [func.coalesce(getattr(Allocation, name), 0) for name in _BOOKED]
    pairs = [column for both in zip(booked, expected, strict=True) for column in both]
    differs = or_(*(have != want for have, want in zip(booked, expected, strict=True)))
    query = select(Order.order_no, *pairs).outerjoin(Allocation, Allocation.order_id == Order.id)
    return query.where(differs).limit(FINDINGS_MAX)


def _sum_of(amount: Any, order_id: Any, condition: ColumnElement[bool] | None) -> ColumnElement[int]:
    query = select(func.coalesce(func.sum(amount), 0)).where(order_id == Order.id)
    if condition is not None:
        query = query.where(condition)
    return cast(query.correlate(Order).scalar_subquery(), BigInteger)


def _check_ledger(session: Session) -> Iterator[str]:
    """Each credited order has one entry of its amount on its account, and each entry has its order."""
    for credit_no, fen in session.execute(_unwritten_credits()):
        yield f"credit {credit_no} is CREDITED, the ledger has {fen} fen for it"
    for key, status in session.execute(_unwanted_entries()):
        yield f"the ledger has {key}, the credit is {status or 'not there'}"


def _written() -> Subquery:
    query = (
        select(Entry.key, Posting.book, Posting.amount_fen)
        .join(Posting, Posting.entry_id == Entry.id)
        .where(Entry.kind == LEDGER_KIND, Posting.book.like("account:%"))
    )
    return query.subquery("written")


@cache
def _unwritten_credits() -> Select[Any]:
    written = _written()
    differs = or_(
        written.c.key.is_(None),
        written.c.amount_fen != Credit.amount_fen,
        written.c.book != "account:" + Credit.account_no,
    )
    return (
        select(Credit.credit_no, written.c.amount_fen)
        .outerjoin(written, written.c.key == "credit:" + Credit.credit_no)
        .where(Credit.status == CreditStatus.CREDITED, differs)
        .limit(FINDINGS_MAX)
    )


@cache
def _unwanted_entries() -> Select[Any]:
    written = _written()
    return (
        select(written.c.key, Credit.status)
        .outerjoin(Credit, written.c.key == "credit:" + Credit.credit_no)
        .where(or_(Credit.id.is_(None), Credit.status.not_in(_HOLDING)))
        .limit(FINDINGS_MAX)
    )


def _fen(total: Any) -> int:
    # PostgreSQL sums 64-bit integers into a decimal.
    return int(total or 0)
