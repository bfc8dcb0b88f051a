"""A month's fund-flow bills as sums: the balance, the trade bills of the same days, fees, other business."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from typing import Any

from payments.reconcile.bill import FEE_PER_FEN
from payments.reconcile.decide import Foreign
from payments.reconcile.fund_days import Break, FundDay, FundMonth
from payments.reconcile.fund_lines import Explained
from payments.reconcile.result import Action, Finding, FundKind

TradeBills = Mapping[date, dict[str, Any] | None]


@dataclass
class Sides:
    """What is known about single rows, for incomes and for refunds."""

    income: Explained = field(default_factory=Explained)
    refunds: Explained = field(default_factory=Explained)

    def moved_over_the_edge(self, account: FundMonth) -> bool:
        """Whether rows that are no trouble stand in the bill of another month."""
        both = (self.income.moved, self.refunds.moved)
        return any(sum(moved[on] for on in account.days) for moved in both)


def findings_of_days(
    account: FundMonth, trade: TradeBills, sides: Sides, *, since: date | None
) -> Iterator[Finding]:
    """Everything that is wrong with days and with the month.

    Args:
        trade: sums of the trade bills, as the daily reconciliation kept them.
        since: the first day that was ever reconciled; from it on every day should have such sums.
    """
    for day in account.days.values():
        yield from _balance(day)
        if day.on in trade:
            yield from _against_trade(day, trade[day.on] or {}, sides)
    month = f"{min(account.days):%Y-%m}"
    open_days = [str(on) for on in account.days if on not in trade and (since is None or on >= since)]
    if open_days:
        facts = {"days": open_days}
        yield Finding(kind=FundKind.DAY_OPEN, key=month, action=Action.ASKED, facts=facts)
    elif account.fees:
        yield from _fees(month, account, trade, sides)
    for business, seen in account.others.items():
        yield Finding(
            kind=FundKind.OTHER_BUSINESS,
            key=f"{month}:{business}",
            action=Action.ASKED,
            amount_fen=seen.in_fen - seen.out_fen,
            facts={"business": business, **asdict(seen)},
        )


def foreign_rows(month: date, incomes: Foreign, refunds: Foreign) -> Iterator[Finding]:
    """One question a month, however many rows: is this other system on our merchant number known?"""
    if incomes.rows or refunds.rows:
        yield Finding(
            kind=FundKind.FOREIGN,
            key=f"{month:%Y-%m}",
            action=Action.ASKED,
            amount_fen=incomes.fen - refunds.fen,
            facts={"incomes": asdict(incomes), "refunds": asdict(refunds)},
        )


def sums_of_days(account: FundMonth, trade: TradeBills) -> list[dict[str, Any]]:
    """Each day for the report, in fen; what the trade bill says is None where nobody reconciled the day."""
    return [
        {
            "on": str(day.on),
            "sha1": day.sha1,
            "income": asdict(day.income),
            "refunds": asdict(day.refunds),
            "returned": asdict(day.returned),
            "withdrawn": asdict(day.withdrawn),
            "fees_fen": day.fees_fen,
            "other_fen": day.other_fen,
            "opening_fen": day.opening_fen,
            "closing_fen": day.closing_fen,
            "trade_settled_fen": _said(trade, day.on, "settled"),
            "trade_refunded_fen": _said(trade, day.on, "refunded"),
        }
        for day in account.days.values()
    ]


def _said(trade: TradeBills, on: date, name: str) -> int | None:
    if on not in trade:
        return None
    return int((trade[on] or {}).get(name) or 0)


def _balance(day: FundDay) -> Iterator[Finding]:
    for kind, found in ((FundKind.OPENING_DIFFERS, day.gap), (FundKind.BALANCE_BREAKS, day.broken)):
        if found is not None:
            yield _broken(kind, day.on, found)


def _broken(kind: FundKind, on: date, found: Break) -> Finding:
    return Finding(
        kind=kind,
        key=str(on),
        action=Action.ASKED,
        amount_fen=found.said_fen - found.expected_fen,
        facts=asdict(found),
    )


def _against_trade(day: FundDay, bill: Mapping[str, Any], sides: Sides) -> Iterator[Finding]:
    sums = (
        ("income", day.income.fen, bill.get("settled") or 0, sides.income),
        ("refunds", day.refunds.fen, bill.get("refunded") or 0, sides.refunds),
    )
    for name, fund_fen, trade_fen, explained in sums:
        over_fen = fund_fen - trade_fen
        moved_fen = explained.moved[day.on]
        if over_fen in (0, moved_fen):
            continue
        # The single rows are asked about already.
        told = over_fen == moved_fen + explained.asked[day.on]
        yield Finding(
            kind=FundKind.DAY_DIFFERS,
            key=f"{day.on}:{name}",
            action=Action.LISTED if told else Action.ASKED,
            amount_fen=over_fen,
            facts={"fund_flow_fen": fund_fen, "trade_bill_fen": trade_fen, "moved_fen": moved_fen},
        )


def _fees(month: str, account: FundMonth, trade: TradeBills, sides: Sides) -> Iterator[Finding]:
    fund_fen = sum(day.fees_fen for day in account.days.values())
    thousandths = sum((bill or {}).get("fee") or 0 for bill in trade.values())
    trade_fen = (thousandths + FEE_PER_FEN // 2) // FEE_PER_FEN
    if fund_fen != trade_fen:
        yield Finding(
            kind=FundKind.FEES_DIFFER,
            key=month,
            # A trade that stands in the bill next door has its fee there.
            action=Action.LISTED if sides.moved_over_the_edge(account) else Action.ASKED,
            amount_fen=fund_fen - trade_fen,
            facts={"fund_flow_fen": fund_fen, "trade_bill_fen": trade_fen},
        )
