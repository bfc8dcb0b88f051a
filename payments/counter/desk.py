"""The counter (room 110): a clerk takes money for a student number and a name, and closes the day.

A top-up is an order without WeChat: the same `confirm_paid`, the same credit.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import date

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from billing.interface import AccountName
from models import journal
from models.clock import campus_date
from models.counter import Channel, CounterBooking, CounterDay, CounterMiss, ReturnItem, ReturnReason, Way
from models.errors import AmountInvalid, AmountOutOfRange, Refused
from models.money import yuan
from models.values.actor import Actor
from models.values.tables.text import clean
from payments.counter.steps import (
    NAME_MAX,
    Booked,
    ClosedAccount,
    DayClosed,
    Money,
    NameMismatch,
    ReceiptUsed,
    book_order,
    book_return,
    check_bound,
    check_misses,
    check_price,
    find_booking,
    lock_day,
    open_day,
)
from payments.counter.transfers import (
    BY_CLERK,
    booked_before,
    lock_transfers,
    parse_reference,
    reference_key,
)
from payments.services import Services

# A clerk's receipts are shorter than those of the bank's list, so the two never meet.
RECEIPT_NO = re.compile(r"[0-9A-Za-z][0-9A-Za-z-]{3,27}")


@dataclass(frozen=True)
class DaySums:
    """A clerk's day in fen. `expected_cash_fen` is what must lie in the till for this day."""

    clerk: str
    on: date
    booked_cash_fen: int
    booked_transfer_fen: int
    held_cash_fen: int
    returned_cash_fen: int
    counted_cash_fen: int | None
    closed: bool

    @property
    def expected_cash_fen(self) -> int:
        """Cash booked or held, without what was handed back."""
        return self.booked_cash_fen + self.held_cash_fen - self.returned_cash_fen

    @property
    def difference_fen(self) -> int:
        """Counted minus expected: positive is too much. 0 while nobody has counted."""
        counted = self.counted_cash_fen
        return 0 if counted is None else counted - self.expected_cash_fen


def take(
    services: Services,
    *,
    clerk: Actor,
    receipt_no: str,
    account_no: str,
    name: str,
    amount_fen: int,
    way: Way,
    reference: str | None = None,
) -> Booked:
    """Book money that a student paid at the counter; the same receipt again gives the same booking.

    Args:
        reference: the bank's number of a transfer; needed for one, and only for one. What a bank list or
            another booking may hold already, under whatever spelling or number, is refused.
    Returns: the booking: of an order whose credit is on its way, or, for an amount that is no package
        price, of a return item.
    Raises: NameMismatch - number and name do not belong together; LimitReached - too many of those;
        ClosedAccount; DayClosed; ReceiptUsed; Refused; Unavailable - billing cannot be asked now.
    """
    money = _checked(
        Money(receipt_no.strip(), Channel.COUNTER, way, reference, amount_fen, clean(account_no))
    )
    check_bound(amount_fen, services.counter_rules)
    known = _known(services, money, clerk)
    if known is not None:
        if not services.billing.name_matches(money.account_no or "", name):
            raise ReceiptUsed("该收据号已用于另一笔收款")
        return known
    person = find_person(services, actor=clerk, account_no=account_no, name=name)
    money = replace(money, account_no=person.account_no)
    if money.reference is not None:
        money = replace(money, payer_key=services.account_rules.key(person.account_no))
    try:
        check_price(services.billing.catalogue(), amount_fen)
        returned = False
    except AmountOutOfRange:
        returned = True
    booked = _book(services, money, clerk, person.masked_name, returned=returned)
    services.wake()
    return booked


def find_person(
    services: Services, *, actor: Actor, account_no: str, name: str, closed: bool = False
) -> AccountName:
    """Return the account by the number under which billing keeps it, if the name is its owner's.

    Args:
        closed: accept a closed account as well.
    Raises: NameMismatch, also for an account that does not exist; ClosedAccount; LimitReached; Unavailable.
    """
    with services.reading() as session:
        check_misses(session, actor.name, services.clock())
    number = services.account_rules.parse(account_no) or clean(account_no)
    fits = 0 < len(clean(name)) <= NAME_MAX
    if not fits or not services.billing.name_matches(number, name, closed=closed):
        if fits and not closed and services.billing.name_matches(number, name, closed=True):
            raise ClosedAccount
        with services.transaction() as session:
            session.add(CounterMiss(clerk=actor.name, clerk_key=actor.key, at=services.clock()))
        raise NameMismatch
    if closed:
        found = services.billing.balance(number)
        return AccountName(found.account_no, found.masked_name)
    return services.billing.find_account(number)


def print_receipt(services: Services, receipt_no: str, *, clerk: Actor) -> Booked:
    """Return the booking of a receipt for printing, counting this print in. Raises: Refused.

    The journal keeps who printed it again.
    """
    with services.transaction() as session:
        found = find_booking(session, receipt_no=receipt_no)
        if found is None:
            raise Refused("没有这张收据")
        printed = update(CounterBooking).where(CounterBooking.id == found.booking.id)
        session.execute(printed.values(prints=CounterBooking.prints + 1))
        session.refresh(found.booking)
        if found.booking.prints > 1:
            journal.note(
                session,
                "receipt-reprinted",
                order_no=None if found.order is None else found.order.order_no,
                actor=clerk.name,
                now=services.clock(),
                receipt_no=receipt_no,
                prints=found.booking.prints,
            )
    return found


def day(services: Services, *, clerk: Actor, on: date | None = None) -> DaySums:
    """How the clerk's day stands, today by default."""
    on = on or campus_date(services.clock())
    with services.reading() as session:
        query = select(CounterDay).where(CounterDay.clerk_key == clerk.key, CounterDay.business_on == on)
        found = session.scalar(query)
        if found is not None and found.closed_at is not None:
            return _sums_of(found)
        shown = clerk.name if found is None else found.clerk
        return DaySums(shown, on, *_sums(session, clerk, on), None, closed=False)


def open_days(services: Services, *, before: date | None = None) -> list[DaySums]:
    """Return the days that are not closed, oldest first; those before today by default."""
    before = before or campus_date(services.clock())
    query = select(CounterDay).where(CounterDay.closed_at.is_(None), CounterDay.business_on < before)
    with services.reading() as session:
        days = list(session.scalars(query.order_by(CounterDay.business_on, CounterDay.id)))
        return [
            DaySums(
                day.clerk,
                day.business_on,
                *_sums(session, Actor(day.clerk), day.business_on),
                None,
                closed=False,
            )
            for day in days
        ]


def close_day(services: Services, *, clerk: Actor, counted_cash_fen: int, on: date | None = None) -> DaySums:
    """Close the clerk's day, today by default; nothing is booked into it any more.

    A closed day is answered as it was closed.
    Raises: AmountInvalid; DayClosed - it was closed with another count; Refused - a day to come.
    """
    now = services.clock()
    on = on or campus_date(now)
    if on > campus_date(now):
        raise Refused("不能提前结账")
    if counted_cash_fen < 0:
        raise AmountInvalid("实点现金不能为负数")
    with services.transaction() as session:
        row = lock_day(session, clerk.name, on)
        if row.closed_at is not None:
            if row.counted_cash_fen != counted_cash_fen:
                raise DayClosed("该日已结账，实点现金与这次的不同")
            return _sums_of(row)
        (
            row.booked_cash_fen,
            row.booked_transfer_fen,
            row.held_cash_fen,
            row.returned_cash_fen,
        ) = _sums(session, clerk, on)
        row.counted_cash_fen, row.closed_at = counted_cash_fen, now
        sums = _sums_of(row)
        journal.note(
            session,
            "counter-closed",
            order_no=None,
            actor=clerk.name,
            now=now,
            business_on=on.isoformat(),
            expected_cash_fen=sums.expected_cash_fen,
            counted_cash_fen=counted_cash_fen,
        )
    return sums


def _checked(money: Money) -> Money:
    if RECEIPT_NO.fullmatch(money.receipt_no) is None:
        raise Refused("收据号为 4 至 28 位数字、字母或短横线")
    if money.amount_fen <= 0:
        raise AmountInvalid("金额须大于 0")
    if (money.way == Way.TRANSFER) != (money.reference is not None):
        raise Refused("转账须填写银行流水号，现金不填")
    if money.reference is None:
        return money
    reference = parse_reference(money.reference)
    return replace(
        money,
        reference=reference,
        transfer_key=f"{BY_CLERK}{reference_key(reference)}",
    )


def _known(services: Services, money: Money, clerk: Actor) -> Booked | None:
    with services.reading() as session:
        found = find_booking(session, receipt_no=money.receipt_no)
    if found is None:
        return None
    row = found.booking
    same_account = services.account_rules.is_same(row.account_no or "", money.account_no or "")
    if not same_account or (row.receipt_no, row.clerk_key, row.amount_fen, row.way, row.reference) != (
        money.receipt_no,
        clerk.key,
        money.amount_fen,
        money.way,
        money.reference,
    ):
        raise ReceiptUsed("该收据号已用于另一笔收款")
    return found


def _book(services: Services, money: Money, clerk: Actor, masked_name: str, *, returned: bool) -> Booked:
    now = services.clock()
    try:
        with services.transaction() as session:
            open_day(session, clerk.name, campus_date(now))
            if _is_new(services, session, money):
                if returned:
                    return book_return(session, money, ReturnReason.AMOUNT, clerk=clerk.name, now=now)
                return book_order(session, money, clerk=clerk.name, masked_name=masked_name, now=now)
    except IntegrityError:
        if _known(services, money, clerk) is None:
            raise
    # The same receipt was committed between our look and our insert.
    known = _known(services, money, clerk)
    if known is None:
        raise ReceiptUsed("该收据号已用于另一笔收款")
    return known


def _is_new(services: Services, session: Session, money: Money) -> bool:
    """Return False if this receipt is booked by now. Raises: ReceiptUsed - the transfer may be on record."""
    lock_transfers(session)
    if find_booking(session, receipt_no=money.receipt_no) is not None:
        return False
    if money.reference is None:
        return True
    known = booked_before(
        session,
        reference=money.reference,
        payer_key=money.payer_key or "",
        amount_fen=money.amount_fen,
        on=campus_date(services.clock()),
        confirm_days=services.counter_rules.confirm_transfers_days,
    )
    if known is None:
        return True
    where = "窗口" if known.line_id is None else f"银行清单（编号 {known.line_id}）"
    when = known.day or known.seen_on
    raise ReceiptUsed(
        f"{where}已有流水号 {known.reference} 的转账 {yuan(known.amount_fen)} 元（{when}），可能是同一笔，"
        "请勿重复登记；如确为另一笔，由银行清单入账"
    )


def _sums(session: Session, clerk: Actor, on: date) -> tuple[int, int, int, int]:
    """Booked cash, booked transfers, held cash, returned cash."""
    booked = CounterBooking.order_id.is_not(None)
    cash = CounterBooking.way == Way.CASH
    returned = session.scalar(
        select(func.coalesce(func.sum(ReturnItem.amount_fen), 0)).where(
            ReturnItem.returned_key == clerk.key, ReturnItem.returned_on == on, ReturnItem.way == Way.CASH
        )
    )
    return (
        _taken(session, clerk, on, booked, cash),
        _taken(session, clerk, on, booked, ~cash),
        _taken(session, clerk, on, ~booked, cash),
        int(returned or 0),
    )


def _taken(session: Session, clerk: Actor, on: date, *which: ColumnElement[bool]) -> int:
    query = select(func.coalesce(func.sum(CounterBooking.amount_fen), 0)).where(
        CounterBooking.clerk_key == clerk.key,
        CounterBooking.business_on == on,
        CounterBooking.channel == Channel.COUNTER,
        *which,
    )
    return int(session.scalar(query) or 0)


def _sums_of(row: CounterDay) -> DaySums:
    return DaySums(
        clerk=row.clerk,
        on=row.business_on,
        booked_cash_fen=row.booked_cash_fen,
        booked_transfer_fen=row.booked_transfer_fen,
        held_cash_fen=row.held_cash_fen,
        returned_cash_fen=row.returned_cash_fen,
        counted_cash_fen=row.counted_cash_fen,
        closed=row.closed_at is not None,
    )
