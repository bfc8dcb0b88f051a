"""What may be hidden in a month of fund-flow bills: each case fills its days and says what must be found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta

from models.clock import CAMPUS_ZONE, campus_date
from models.refund import RefundStatus
from payments.reconcile.runs import Summary
from tests.payments.reconcile.fund_maker import Books, FundWorld

MARCH = date(2026, 3, 1)
Expected = set[tuple[str, str, str]]


def on(day: int) -> date:
    return MARCH.replace(day=day)


def over(world: FundWorld) -> None:
    """The month is over, and its days are reconciled."""
    for number in range(31):
        world.trade.setdefault(MARCH + timedelta(days=number), Books())
    world.clock.now = datetime(2026, 4, 1, 10, 40, tzinfo=CAMPUS_ZONE)
    world.reconciled()


def agrees(world: FundWorld, fen: int) -> Expected:
    view = world.took(fen)
    world.income(view)
    world.expense(world.gave_back(view, fen - 100))
    return set()


def income_missing(world: FundWorld, fen: int) -> Expected:
    view, day = world.took(fen), campus_date(world.clock())
    return {("INCOME_MISSING", f"{view.order_no}01", "asked"), ("DAY_DIFFERS", f"{day}:income", "listed")}


def income_unknown(world: FundWorld, fen: int) -> Expected:
    view = world.prepaid(fen)
    world.today.settled += fen
    world.income(view)
    return {("INCOME_UNKNOWN", f"{view.order_no}01", "asked")}


def income_differs(world: FundWorld, fen: int) -> Expected:
    view, day = world.took(fen), campus_date(world.clock())
    world.income(view, fen=fen + 1)
    return {("INCOME_DIFFERS", f"{view.order_no}01", "asked"), ("DAY_DIFFERS", f"{day}:income", "listed")}


def other_transaction(world: FundWorld, fen: int) -> Expected:
    view = world.took(fen)
    world.income(view, business_no="4300")
    return {("INCOME_DIFFERS", f"{view.order_no}01", "asked")}


def income_twice(world: FundWorld, fen: int) -> Expected:
    view, day = world.took(fen), campus_date(world.clock())
    world.income(view)
    world.income(view)
    return {("DUPLICATE_ROW", f"{view.order_no}01", "asked"), ("DAY_DIFFERS", f"{day}:income", "listed")}


def booked_after_midnight(world: FundWorld, fen: int) -> Expected:
    world.day(campus_date(world.clock()), hour=23)
    view = world.took(fen)
    world.day(campus_date(world.clock()) + timedelta(days=1), hour=0)
    world.income(view)
    return {("OTHER_DAY", f"{view.order_no}01", "none")}


def booked_a_week_later(world: FundWorld, fen: int) -> Expected:
    view, day = world.took(fen), campus_date(world.clock())
    later = day + timedelta(days=1)
    world.income(view, at=world.clock() + timedelta(days=3))
    return {
        ("OTHER_DAY", f"{view.order_no}01", "asked"),
        ("DAY_DIFFERS", f"{day}:income", "listed"),
        ("DAY_DIFFERS", f"{later + timedelta(days=2)}:income", "listed"),
    }


def refund_missing(world: FundWorld, fen: int) -> Expected:
    view, day = world.took(fen), campus_date(world.clock())
    world.income(view)
    refund = world.gave_back(view, 100)
    return {("REFUND_MISSING", refund.out_refund_no, "asked"), ("DAY_DIFFERS", f"{day}:refunds", "listed")}


def refund_unknown(world: FundWorld, fen: int) -> Expected:
    view = world.took(fen)
    world.income(view)
    world.today.refunded += 100
    world.income(view, business="退款", business_no="509", fen=-100, voucher=f"console{view.order_no}")
    return {("REFUND_UNKNOWN", f"console{view.order_no}", "asked")}


def refund_differs(world: FundWorld, fen: int) -> Expected:
    view, day = world.took(fen), campus_date(world.clock())
    world.income(view)
    refund = world.gave_back(view, 100)
    world.expense(refund, fen=-101)
    return {("REFUND_DIFFERS", refund.out_refund_no, "asked"), ("DAY_DIFFERS", f"{day}:refunds", "listed")}


def refund_twice(world: FundWorld, fen: int) -> Expected:
    view, day = world.took(fen), campus_date(world.clock())
    world.income(view)
    refund = world.gave_back(view, 100)
    world.expense(refund)
    world.expense(refund)
    return {("DUPLICATE_ROW", refund.out_refund_no, "asked"), ("DAY_DIFFERS", f"{day}:refunds", "listed")}


def refund_of_a_poor_account(world: FundWorld, fen: int) -> Expected:
    """WeChat takes the money days after it accepted the refund."""
    view = world.took(fen)
    world.income(view)
    refund = world.gave_back(view, 100)
    world.day(campus_date(world.clock()) + timedelta(days=2))
    world.expense(refund)
    return {("OTHER_DAY", refund.out_refund_no, "none")}


def refund_closed(world: FundWorld, fen: int) -> Expected:
    view = world.took(fen)
    world.income(view)
    world.gave_back(view, 100, status=RefundStatus.CLOSED, success_at=None)
    return set()


def refund_closed_and_taken(world: FundWorld, fen: int) -> Expected:
    view = world.took(fen)
    world.income(view)
    refund = world.gave_back(view, 100, status=RefundStatus.CLOSED, success_at=None)
    world.expense(refund)
    return {("REFUND_DIFFERS", refund.out_refund_no, "asked")}


def refund_closed_and_returned(world: FundWorld, fen: int) -> Expected:
    view = world.took(fen)
    world.income(view)
    refund = world.gave_back(view, 100, status=RefundStatus.CLOSED, success_at=None)
    world.expense(refund)
    world.expense(refund, fen=100)
    return set()


def refund_returned(world: FundWorld, fen: int) -> Expected:
    view = world.took(fen)
    world.income(view)
    refund = world.gave_back(view, 100)
    world.expense(refund)
    world.expense(refund, fen=100)
    return {("REFUND_DIFFERS", refund.out_refund_no, "asked")}


def fees_agree(world: FundWorld, fen: int) -> Expected:
    """A fee in a row of its own, and a refund that was booked without its part of it."""
    view = world.took(fen)
    world.income(view)
    world.income(view, business="扣除交易手续费", fen=-6)
    refund = world.gave_back(view, 100)
    world.expense(refund, fen=-98, remark="退款总金额1.00元;含手续费0.02元")
    world.today.fee += 4000
    return set()


def known_foreign(world: FundWorld, fen: int) -> Expected:
    world.income(world.took(fen))
    world.today.settled += 300
    row = world.rows[-1]
    world.rows.append(replace(row, business_no="1", flow_no="1", fen=300, voucher=f"BOOK{len(world.rows)}"))
    return set()


def withdrawal(world: FundWorld, fen: int) -> Expected:
    world.rows.append(replace(world.income(world.took(fen)), business="提现", fen=-fen, voucher="w"))
    return set()


def balance_breaks(world: FundWorld, fen: int) -> Expected:
    day = campus_date(world.clock())
    world.income(world.took(fen))
    world.income(world.took(fen + 100), balance_fen=7)
    world.income(world.took(fen + 200))
    return {("BALANCE_BREAKS", str(day), "asked")}


def opening_differs(world: FundWorld, fen: int) -> Expected:
    world.income(world.took(fen))
    world.day(campus_date(world.clock()) + timedelta(days=1))
    world.income(world.took(fen + 100), balance_fen=123_456)
    return {("OPENING_DIFFERS", str(campus_date(world.clock())), "asked")}


def day_differs(world: FundWorld, fen: int) -> Expected:
    world.income(world.took(fen))
    world.today.settled += 1
    return {("DAY_DIFFERS", f"{campus_date(world.clock())}:income", "asked")}


CASES: list[Callable[[FundWorld, int], Expected]] = [
    agrees,
    income_missing,
    income_unknown,
    income_differs,
    other_transaction,
    income_twice,
    booked_after_midnight,
    booked_a_week_later,
    refund_missing,
    refund_unknown,
    refund_differs,
    refund_twice,
    refund_of_a_poor_account,
    refund_closed,
    refund_closed_and_taken,
    refund_closed_and_returned,
    refund_returned,
    fees_agree,
    known_foreign,
    withdrawal,
    balance_breaks,
    opening_differs,
    day_differs,
]
# Each has four days of its own, as some of them go on for some days.
CASES_A_MONTH = 7


def hide(world: FundWorld, cases: Sequence[Callable[[FundWorld, int], Expected]], apart: int) -> Expected:
    expected: Expected = set()
    for number, case in enumerate(cases):
        world.day(on(2 + number * apart))
        expected |= case(world, 1000 + number * 100)
    world.rows.sort(key=lambda row: row.at)
    return {(f"FUND_{kind}", key, action) for kind, key, action in expected}


def run(world: FundWorld) -> Summary:
    over(world)
    return world.run(MARCH, foreign_prefixes=["BOOK"])
