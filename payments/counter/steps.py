"""Booking money that did not come through WeChat: the steps that counter and bank list share."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.dialects.postgresql import insert as postgres_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.orm import InstrumentedAttribute, Session

from billing.interface import Offer
from models import journal
from models.clock import campus_date
from models.counter import (
    Channel,
    CounterBooking,
    CounterDay,
    CounterMiss,
    ReturnItem,
    ReturnReason,
    ReturnStatus,
    Way,
)
from models.errors import AmountOutOfRange, IllegalTransition, LimitReached, Refused
from models.money import yuan_short
from models.order import Order, OrderAction, OrderEvent, OrderStatus, PaymentAttempt
from models.site import CounterRules
from models.values.actor import Actor
from payments import numbers
from payments.confirm import COUNTER, PaidFact, confirm_paid
from payments.counter.transfers import reference_key

# So many wrong names in this time stop a clerk: nobody finds out names by trying.
MISSES_MAX = 10
MISSES_WITHIN = timedelta(minutes=10)
NAME_MAX = 64


class NameMismatch(Refused):
    """Number and name do not belong together, or there is no such account: the same words for both."""

    status = 404
    code = "E-NAME"

    def __init__(self, text: str = "学号与姓名不符，请核对后重试") -> None:
        super().__init__(text)


class ClosedAccount(Refused):
    """Number and name belong together, but the account takes no money any more."""

    status = 409
    code = "E-CLOSED"

    def __init__(self, text: str = "该账号已销户，不能充值") -> None:
        super().__init__(text)


class ReceiptUsed(Refused):
    """This receipt number, or this bank reference, stands for something else."""

    status = 409
    code = "E-RECEIPT"


class DayClosed(IllegalTransition):
    """The clerk has closed this day."""

    code = "E-DAY"

    def __init__(self, text: str = "当日已结账，不能再记账") -> None:
        super().__init__(text)


@dataclass(frozen=True)
class Money:
    """What came in: `reference` is the bank's number of a transfer, None for cash.

    `transfer_key` is unique among all bookings: one booking per row of a list, or number that a clerk typed.
    `payer_key` is the account of a transfer as it is compared.
    """

    receipt_no: str
    channel: Channel
    way: Way
    reference: str | None
    amount_fen: int
    account_no: str | None
    transfer_key: str | None = None
    payer_key: str | None = None


@dataclass(frozen=True)
class Booked:
    """A booking as it stands: of an order, or of money that goes back. Times aware UTC, fen."""

    booking: CounterBooking
    order: Order | None
    return_item: ReturnItem | None


def check_price(offers: Sequence[Offer], amount_fen: int) -> None:
    """Whether an amount is a package's price, or a multiple of one; specials do not count.

    Raises: AmountOutOfRange, saying which prices there are.
    """
    prices = sorted({offer.price_fen for offer in offers if not offer.special})
    if amount_fen <= 0 or not any(amount_fen % price == 0 for price in prices):
        told = "、".join(yuan_short(price) for price in prices)
        raise AmountOutOfRange(f"金额须为套餐价格（{told} 元）或其倍数")


def check_bound(amount_fen: int, rules: CounterRules) -> None:
    """Raises: AmountOutOfRange - more than is booked at once."""
    if amount_fen > rules.max_fen:
        raise AmountOutOfRange(f"单笔金额不能超过 {yuan_short(rules.max_fen)} 元，请核对")


def check_misses(session: Session, clerk: str, now: datetime) -> None:
    """Raises: LimitReached - this clerk has just typed too many wrong names, under whatever spelling."""
    query = select(func.count()).select_from(CounterMiss)
    recent = query.where(CounterMiss.clerk_key == Actor(clerk).key, CounterMiss.at > now - MISSES_WITHIN)
    if (session.scalar(recent) or 0) >= MISSES_MAX:
        raise LimitReached("核对失败次数过多，请十分钟后再试")


def same_receipt(column: InstrumentedAttribute[str], number: str) -> ColumnElement[bool]:
    """Return the condition for a receipt or return number, however it is written: case, hyphens, width."""
    plain = unicodedata.normalize("NFKC", number).casefold()
    return func.lower(func.replace(column, "-", "")) == "".join(c for c in plain if c.isalnum())


def find_booking(session: Session, *, receipt_no: str) -> Booked | None:
    """The booking with this receipt, else the first whose number is another spelling of it, or None."""
    found = session.scalar(select(CounterBooking).where(CounterBooking.receipt_no == receipt_no))
    if found is None:
        alike = select(CounterBooking).where(same_receipt(CounterBooking.receipt_no, receipt_no))
        found = session.scalar(alike.order_by(CounterBooking.id).limit(1))
    if found is None:
        return None
    order = None if found.order_id is None else session.get(Order, found.order_id)
    item = None if found.return_item_id is None else session.get(ReturnItem, found.return_item_id)
    return Booked(found, order, item)


def lock_day(session: Session, clerk: str, on: date) -> CounterDay:
    """The clerk's day, opened when new, locked until the transaction ends."""
    insert = postgres_insert if session.get_bind().dialect.name == "postgresql" else sqlite_insert
    zeros = dict.fromkeys(("booked_cash_fen", "booked_transfer_fen", "held_cash_fen", "returned_cash_fen"), 0)
    key = Actor(clerk).key
    session.execute(
        insert(CounterDay)
        .values(clerk=clerk, clerk_key=key, business_on=on, **zeros)
        .on_conflict_do_nothing(index_elements=["clerk_key", "business_on"])
    )
    query = select(CounterDay).where(CounterDay.clerk_key == key, CounterDay.business_on == on)
    return session.scalars(query.with_for_update().execution_options(populate_existing=True)).one()


def open_day(session: Session, clerk: str, on: date) -> None:
    """Hold the clerk's day so that nobody closes it meanwhile. Raises: DayClosed."""
    if lock_day(session, clerk, on).closed_at is not None:
        raise DayClosed


def book_order(session: Session, money: Money, *, clerk: str, masked_name: str, now: datetime) -> Booked:
    """Write an order that is paid already, and promise its credit. Raises: IntegrityError - receipt used."""
    if money.account_no is None:
        raise ValueError("an order needs an account")
    order = Order(
        order_no=numbers.new_order_no(now),
        source=COUNTER,
        # Nobody in WeChat: no chat lists it, no message tells of it.
        payer_openid="",
        account_no=money.account_no,
        masked_name=masked_name,
        amount_fen=money.amount_fen,
        status=OrderStatus.CREATED,
        late=False,
        created_at=now,
        expires_at=now,
    )
    session.add(order)
    session.flush()  # the id is needed by the attempt, the event and the booking
    number = numbers.out_trade_no(order.order_no, 1)
    session.add(PaymentAttempt(order_id=order.id, seq=1, out_trade_no=number, created_at=now))
    session.add(
        OrderEvent(
            order_id=order.id, status=OrderStatus.CREATED, action=OrderAction.CREATE, cause=COUNTER, at=now
        )
    )
    booking = _booking(money, clerk=clerk, now=now)
    booking.order_id = order.id
    session.add(booking)
    session.flush()  # a second booking of this receipt must fail before its money is counted
    fact = PaidFact(
        provider=COUNTER,
        out_trade_no=number,
        transaction_id=f"counter:{money.receipt_no}",
        amount_fen=money.amount_fen,
        currency="CNY",
        openid=None,
        paid_at=now,
    )
    order = confirm_paid(session, fact, cause=money.channel, now=now)
    _note(session, booking, "counter-booked", order_no=order.order_no, now=now)
    return Booked(booking, order, None)


def book_return(session: Session, money: Money, reason: ReturnReason, *, clerk: str, now: datetime) -> Booked:
    """Write that this money goes back the way it came. Raises: IntegrityError - receipt used."""
    item = ReturnItem(
        return_no=f"t{money.receipt_no}",
        way=money.way,
        reference=money.reference,
        account_no=money.account_no,
        amount_fen=money.amount_fen,
        reason=reason,
        status=ReturnStatus.OPEN,
        opened_by=clerk,
        opened_at=now,
    )
    session.add(item)
    session.flush()  # the id is needed by the booking
    booking = _booking(money, clerk=clerk, now=now)
    booking.return_item_id = item.id
    session.add(booking)
    _note(session, booking, "counter-held", order_no=None, now=now, return_no=item.return_no)
    return Booked(booking, None, item)


def _booking(money: Money, *, clerk: str, now: datetime) -> CounterBooking:
    return CounterBooking(
        receipt_no=money.receipt_no,
        channel=money.channel,
        clerk=clerk,
        clerk_key=Actor(clerk).key,
        business_on=campus_date(now),
        way=money.way,
        reference=money.reference,
        reference_key=None if money.reference is None else reference_key(money.reference),
        transfer_key=money.transfer_key,
        payer_key=money.payer_key,
        account_no=money.account_no,
        amount_fen=money.amount_fen,
        booked_at=now,
    )


def _note(
    session: Session, booking: CounterBooking, what: str, *, order_no: str | None, now: datetime, **facts: str
) -> None:
    journal.note(
        session,
        what,
        order_no=order_no,
        actor=booking.clerk,
        now=now,
        receipt_no=booking.receipt_no,
        channel=booking.channel,
        way=booking.way,
        reference=booking.reference,
        account_no=booking.account_no,
        amount_fen=booking.amount_fen,
        **facts,
    )
