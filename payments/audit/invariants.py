"""Where every paid fen is, from the states alone: credited, refunded, on its way, or with a person.

The sum is an equation between two independent readings, the recorded payments and the states of
credits and refunds; `check` then compares both with the allocation and with the billing ledger.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Select, Subquery, and_, case, cast, func, or_, select, text
from sqlalchemy.orm import Session

from models.adjustment import HOLDING, Adjustment, AdjustmentStatus
from models.adjustment import UNDER_WAY as ADJUSTING
from models.allocation import Allocation
from models.ledger import Entry, Posting
from models.order import CREDIT_VOID, Credit, CreditStatus, Order, OrderStatus, PaymentFact
from models.payout import PartStatus, PayoutPart
from models.refund import Refund, RefundStatus, ReversalStatus
from payments.audit.adjustments import check_adjustments, put_back_keys
from payments.audit.late_calls import LATE_CREDITS, check_late_calls, check_repairs, undo_keys
from payments.audit.review_money import check_review
from payments.confirm import COUNTER
from payments.payouts.books import check_withdrawals

# The embedded engine's entries: `credit:<credit_no>` and `reversal:v<out_refund_no>`.
CREDIT_KIND, CREDIT_KEY = "credit", "credit:"
REVERSAL_KIND, REVERSAL_KEY = "reversal", "reversal:v"
FINDINGS_MAX = 20

_IN_FLIGHT = (CreditStatus.PENDING, CreditStatus.SENDING, CreditStatus.UNKNOWN)
# The credit speaks for the money: sent, or perhaps sent.
_HOLDING = (CreditStatus.SENDING, CreditStatus.UNKNOWN, CreditStatus.MANUAL, CreditStatus.CREDITED)
_BEING_REVERSED = (ReversalStatus.SENDING, ReversalStatus.UNKNOWN)
_PLACES = ("paid", "credited", "refunded", "in_flight", "review")
_BOOKED = ("paid_fen", "credit_fen", "reversed_fen", "refund_fen", "restored_fen", "bank_fen")


@dataclass(frozen=True)
class Conservation:
    """All recorded payments in fen, each fen in one of the four places.

    `counter_fen` is what of `paid_fen` came over the counter or by a bank list: WeChat's bill has none of it.
    """

    paid_fen: int
    credited_fen: int
    refunded_fen: int
    in_flight_fen: int
    review_fen: int
    counter_fen: int = 0

    @property
    def missing_fen(self) -> int:
        """What was paid and is in none of the places; negative: more is placed than was paid."""
        placed = self.credited_fen + self.refunded_fen + self.in_flight_fen + self.review_fen
        return self.paid_fen - placed


def conservation(session: Session) -> Conservation:
    """The sums now, over all orders."""
    _hold_still(session)
    payments = money_by_payment().subquery()
    sums = select(*(func.sum(payments.c[place]) for place in _PLACES))
    paid, credited, refunded, in_flight, review = (_fen(total) for total in session.execute(sums).one())
    counter = session.scalar(select(func.sum(PaymentFact.amount_fen)).where(PaymentFact.provider == COUNTER))
    return Conservation(paid, credited, refunded, in_flight, review, _fen(counter))


def check(session: Session, *, embedded: bool = True) -> list[str]:
    """Every disagreement between facts, states, allocation and ledger in words; empty when all is well.

    Args:
        embedded: also compare with the ledger of the embedded billing engine; a vendor's books are
            compared by reconciliation instead.
    """
    _hold_still(session)
    found = [*_check_places(session), *_check_states(session), *_check_allocation(session)]
    found += check_review(session, money_by_payment())
    found += check_late_calls(session)
    if not embedded:
        return found
    return [*found, *_check_ledger(session), *check_withdrawals(session), *check_adjustments(session)]


def _hold_still(session: Session) -> None:
    # Several statements must see one moment. SQLite's transactions always do; PostgreSQL has to be
    # told before its first statement, later it would refuse.
    if not session.in_transaction() and session.get_bind().dialect.name == "postgresql":
        session.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))


@cache
def money_by_payment() -> Select[Any]:
    """One row a payment: its fen, and how many of them each place has, by the states alone.

    The credit is for the payment that paid the order. What a voided or reversed credit has set free
    and no refund holds waits for a person, as does a second payment of the same order.
    """
    held, refunded, stopped = (_refunds(column) for column in ("held", "refunded", "stopped"))
    reversed_fen, reversing = (_refunds(column) for column in ("reversed", "reversing"))
    restored, restoring = (_restored(column) for column in ("restored", "restoring"))
    paid_out, paying_out = (_by_bank(column) for column in ("paid_out", "paying_out"))
    gone = held + restored + restoring + paid_out + paying_out
    amount, credit = PaymentFact.amount_fen, Credit.amount_fen
    is_credited = Credit.status == CreditStatus.CREDITED
    free = case(
        (
            or_(Order.transaction_id != PaymentFact.transaction_id, Credit.status.in_(CREDIT_VOID)),
            amount - gone,
        ),
        (is_credited, reversed_fen - gone),
        else_=0,
    )
    waiting = case((Credit.status.in_((CreditStatus.REJECTED, CreditStatus.MANUAL)), credit), else_=0)
    return (
        select(
            Order.id.label("order_id"),
            Order.order_no,
            amount.label("paid"),
            (case((is_credited, credit - reversed_fen - reversing), else_=0) + restored).label("credited"),
            (refunded + paid_out).label("refunded"),
            (
                case((Credit.status.in_(_IN_FLIGHT), credit), (is_credited, reversing), else_=0)
                + (held - refunded - stopped)
                + restoring
                + paying_out
            ).label("in_flight"),
            (free + waiting + stopped).label("review"),
        )
        .join(Order, Order.id == PaymentFact.order_id)
        .outerjoin(
            Credit,
            and_(Credit.order_id == Order.id, Order.transaction_id == PaymentFact.transaction_id),
        )
        .outerjoin(_refund_sums(), _refund_sums().c.out_trade_no == PaymentFact.out_trade_no)
        .outerjoin(_restored_sums(), _restored_sums().c.out_trade_no == PaymentFact.out_trade_no)
        .outerjoin(_bank_sums(), _bank_sums().c.out_trade_no == PaymentFact.out_trade_no)
    )


def _refunds(name: str) -> ColumnElement[int]:
    return func.coalesce(_refund_sums().c[name], 0)


@cache
def _refund_sums() -> Subquery:
    """Fen of a payment's refunds: held, arrived, stopped half-way; taken back from billing, or perhaps."""
    stopped = and_(Refund.held, Refund.status == RefundStatus.ABNORMAL)
    conditions: dict[str, ColumnElement[bool]] = {
        "held": Refund.held.expression,
        "refunded": and_(Refund.held, Refund.status == RefundStatus.SUCCESS),
        "stopped": stopped,
        "reversed": Refund.reversal == ReversalStatus.DONE,
        "reversing": Refund.reversal.in_(_BEING_REVERSED),
    }
    sums = _sums_where(Refund.amount_fen, conditions)
    return select(Refund.out_trade_no, *sums).group_by(Refund.out_trade_no).subquery("refund_sums")


def _restored(name: str) -> ColumnElement[int]:
    return func.coalesce(_restored_sums().c[name], 0)


@cache
def _restored_sums() -> Subquery:
    """Fen of a payment that were put back on the account after a refund, or are on their way there."""
    conditions = {
        "restored": Adjustment.status == AdjustmentStatus.DONE,
        "restoring": Adjustment.status.in_(ADJUSTING),
    }
    query = select(Adjustment.out_trade_no, *_sums_where(Adjustment.amount_fen, conditions))
    query = query.where(Adjustment.out_trade_no.is_not(None))
    return query.group_by(Adjustment.out_trade_no).subquery("restored_sums")


def _by_bank(name: str) -> ColumnElement[int]:
    return func.coalesce(_bank_sums().c[name], 0)


@cache
def _bank_sums() -> Subquery:
    """Fen of a payment that the bank has paid instead of a refund, or is going to pay."""
    conditions = {
        "paid_out": PayoutPart.status == PartStatus.PAID,
        "paying_out": PayoutPart.status != PartStatus.PAID,
    }
    query = select(PayoutPart.out_trade_no, *_sums_where(PayoutPart.amount_fen, conditions))
    query = query.where(PayoutPart.out_trade_no.is_not(None))
    return query.group_by(PayoutPart.out_trade_no).subquery("bank_sums")


def _sums_where(amount: Any, conditions: Mapping[str, ColumnElement[bool]]) -> list[Any]:
    return [
        cast(func.sum(case((condition, amount), else_=0)), BigInteger).label(name)
        for name, condition in conditions.items()
    ]


def _check_places(session: Session) -> Iterator[str]:
    """Payment by payment: the places add up, and none of them owes anything."""
    for order_no, paid, *placed in session.execute(_misplaced()):
        places = ", ".join(f"{name} {_fen(fen)}" for name, fen in zip(_PLACES[1:], placed, strict=True))
        yield f"order {order_no}: {paid} fen paid are not where they should be: {places}"


@cache
def _misplaced() -> Select[Any]:
    payments = money_by_payment().subquery()
    paid, *places = (payments.c[name] for name in _PLACES)
    wrong = or_(paid != places[0] + places[1] + places[2] + places[3], *(place < 0 for place in places))
    return select(payments.c.order_no, paid, *places).where(wrong).limit(FINDINGS_MAX)


def _check_states(session: Session) -> Iterator[str]:
    """PAID, a payment fact and a credit of the paid amount go together; an idle refund holds nothing."""
    for order_no, status in session.execute(_contradicting_orders()):
        yield f"order {order_no} is {status}, but its payment and credit say otherwise"
    idle = Refund.status.in_((RefundStatus.REQUESTED, RefundStatus.CLOSED))
    holding = select(Refund.out_refund_no, Refund.status).where(Refund.held, idle)
    for out_refund_no, state in session.execute(holding.limit(FINDINGS_MAX)):
        yield f"refund {out_refund_no} is {state} and still holds its money"


@cache
def _contradicting_orders() -> Select[str, OrderStatus]:
    has_fact = select(PaymentFact.id).where(PaymentFact.order_id == Order.id).exists()
    contradiction = or_(
        and_(Order.status == OrderStatus.PAID, or_(~has_fact, Credit.id.is_(None))),
        and_(Order.status != OrderStatus.PAID, or_(has_fact, Credit.id.is_not(None))),
        Credit.amount_fen != Order.amount_fen,
        Credit.account_no != Order.account_no,
    )
    query = select(Order.order_no, Order.status)
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
        _sum_of(Adjustment.amount_fen, Adjustment.order_id, Adjustment.status.in_(HOLDING)),
        _sum_of(PayoutPart.amount_fen, PayoutPart.order_id, None),
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
    """Each credit and each reversal has its one entry, and each entry its credit or refund."""
    for credit_no, fen in session.execute(_unwritten_credits()):
        yield f"credit {credit_no} is CREDITED, the ledger has {fen} fen for it"
    for out_refund_no, fen in session.execute(_unwritten_reversals()):
        yield f"refund {out_refund_no} is reversed, the ledger has {fen} fen for it"
    yield from check_repairs(session)
    for key, status in (*session.execute(_unwanted_credits()), *session.execute(_unwanted_reversals())):
        yield f"the ledger has {key}, our side says {status or 'nothing'}"


def _written(kind: str) -> Subquery:
    query = (
        select(Entry.key, Posting.book, Posting.amount_fen)
        .join(Posting, Posting.entry_id == Entry.id)
        .where(Entry.kind == kind, Posting.book.like("account:%"))
    )
    return query.subquery("written")


@cache
def _unwritten_credits() -> Select[Any]:
    written = _written(CREDIT_KIND)
    differs = or_(
        written.c.key.is_(None),
        written.c.amount_fen != Credit.amount_fen,
        written.c.book != "account:" + Credit.account_no,
    )
    return (
        select(Credit.credit_no, written.c.amount_fen)
        .outerjoin(written, written.c.key == CREDIT_KEY + Credit.credit_no)
        .where(Credit.status == CreditStatus.CREDITED, differs)
        .limit(FINDINGS_MAX)
    )


@cache
def _unwritten_reversals() -> Select[Any]:
    written = _written(REVERSAL_KIND)
    return (
        select(Refund.out_refund_no, written.c.amount_fen)
        .outerjoin(written, written.c.key == REVERSAL_KEY + Refund.out_refund_no)
        .where(
            Refund.reversal == ReversalStatus.DONE,
            or_(written.c.key.is_(None), written.c.amount_fen != -Refund.amount_fen),
        )
        .limit(FINDINGS_MAX)
    )


@cache
def _unwanted_credits() -> Select[Any]:
    written = _written(CREDIT_KIND)
    return (
        select(written.c.key, Credit.status)
        .outerjoin(Credit, written.c.key == CREDIT_KEY + Credit.credit_no)
        .where(
            or_(Credit.id.is_(None), Credit.status.not_in((*_HOLDING, *LATE_CREDITS))),
            written.c.key.not_in(undo_keys()),
            written.c.key.not_in(put_back_keys()),
        )
        .limit(FINDINGS_MAX)
    )


@cache
def _unwanted_reversals() -> Select[Any]:
    written = _written(REVERSAL_KIND)
    expected = (*_BEING_REVERSED, ReversalStatus.DONE)
    return (
        select(written.c.key, Refund.reversal)
        .outerjoin(Refund, written.c.key == REVERSAL_KEY + Refund.out_refund_no)
        .where(
            or_(Refund.id.is_(None), Refund.reversal.not_in(expected)),
            written.c.key.not_in(undo_keys()),
        )
        .limit(FINDINGS_MAX)
    )


def _fen(total: Any) -> int:
    # PostgreSQL sums 64-bit integers into a decimal.
    return int(total or 0)
