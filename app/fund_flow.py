"""`campusnet reconcile funds`: compare a month with the fund-flow bills, sign it, hand it to finance."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any, TextIO

import click

from app.opening import config_option
from app.signing_off import show_signature
from app.till import by_option, cell, opened_house, spreadsheet
from models.money import yuan
from models.statement import Difference
from models.values.actor import Actor
from payments.reconcile import monthly, runs, sign_off
from payments.reconcile.result import FUNDFLOW, FundKind
from payments.reconcile.runs import Summary

KINDS = {
    FundKind.INCOME_MISSING: "我方已收款，资金账单没有",
    FundKind.INCOME_UNKNOWN: "资金账单有收款，我方没有",
    FundKind.INCOME_DIFFERS: "收款的金额或单号不一致",
    FundKind.REFUND_MISSING: "我方已退款，资金账单没有",
    FundKind.REFUND_UNKNOWN: "资金账单有退款，我方没有",
    FundKind.REFUND_DIFFERS: "退款的金额、单号或状态不一致",
    FundKind.DUPLICATE_ROW: "资金账单重复记账",
    FundKind.OTHER_DAY: "记账日与业务日不同",
    FundKind.FOREIGN: "其他系统的收支",
    FundKind.OTHER_BUSINESS: "其他业务类型的收支",
    FundKind.BALANCE_BREAKS: "账户结余不连续",
    FundKind.OPENING_DIFFERS: "期初与上一日期末不一致",
    FundKind.DAY_DIFFERS: "与当日交易账单的合计不一致",
    FundKind.FEES_DIFFER: "手续费与交易账单不一致",
    FundKind.DAY_OPEN: "有未完成日对账的日期",
    FundKind.ROW_REPAIRED: "含换行或分隔符的行，已拼接",
}
COLUMNS = ("月份", "差异类型", "说明", "编号", "订单号", "金额（元）", "处理", "详情")
DAY_COLUMNS = (
    "日期", "期初结余", "收入笔数", "收入", "退款笔数", "退款", "退款退回", "手续费", "提现", "其他",
    "期末结余", "交易账单收款", "交易账单退款", "账单 SHA-1",
)  # fmt: skip
UNKNOWN = "未知"

month_option = click.option(
    "--month", type=click.DateTime(formats=["%Y-%m"]), required=True, help="The campus month."
)
csv_option = click.option(
    "--csv", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write a file for a spreadsheet."
)


@click.group("funds", invoke_without_command=True)
@config_option
@click.option("--month", type=click.DateTime(formats=["%Y-%m"]), help="The campus month.")
@click.option(
    "--file",
    "bills",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A fund-flow bill (basic account) that was downloaded by hand; all days of the month.",
)
@click.option("--foreign-prefix", "prefixes", multiple=True, help="As of `reconcile`.")
@csv_option
@click.pass_context
def funds_group(
    context: click.Context,
    *,
    config_path: Path,
    month: datetime | None,
    bills: tuple[Path, ...],
    prefixes: tuple[str, ...],
    target: Path | None,
) -> None:
    """Compare WeChat's fund-flow bills of a month with our books and with the daily results."""
    if context.invoked_subcommand is not None:
        return
    if month is None:
        raise click.UsageError("--month is needed")
    with opened_house(config_path) as house:
        services, known = house.web, (*house.config.pay.foreign_prefixes, *prefixes)
        if bills:
            result = monthly.run_files(services, month.date(), bills, foreign_prefixes=known)
        else:
            result = monthly.run_month(services, month.date(), foreign_prefixes=known)
        show(result)
        if target is not None:
            with services.reading() as session:
                write_file(target, result, runs.differences_of(session, result.on, FUNDFLOW))


@funds_group.command("sign")
@config_option
@month_option
@by_option
def sign(config_path: Path, month: datetime, actor: str) -> None:
    """Sign off a finished month; its result is kept as it is from then on.

    A month with open questions takes two operators.
    """
    with opened_house(config_path) as house:
        on = month.date()
        signature = sign_off.sign(house.web, on=on, actor=Actor.from_name(actor), kind=FUNDFLOW)
        show_signature(f"{_month(on)} 资金对账", signature, actor)


@funds_group.command("report")
@config_option
@month_option
@csv_option
def report(config_path: Path, month: datetime, target: Path | None) -> None:
    """Show the result of a month, or write it as CSV."""
    with opened_house(config_path) as house, house.web.reading() as session:
        result = runs.summary_of(session, month.date(), FUNDFLOW)
        if result is None:
            raise click.ClickException(f"{month:%Y-%m} 还没有资金对账结果")
        show(result)
        if target is not None:
            write_file(target, result, runs.differences_of(session, result.on, FUNDFLOW))


def write_file(target: Path, result: Summary, differences: Iterator[Difference]) -> None:
    """Write the month for finance."""
    with spreadsheet(target) as file:
        write_csv(file, result, differences)


def write_csv(file: TextIO, result: Summary, differences: Iterator[Difference]) -> None:
    """Its days, its sums, its differences and who signed it; no cell can run as a formula."""
    writer = csv.writer(file)

    def write(*values: object) -> None:
        writer.writerow([cell(value) for value in values])

    write(*DAY_COLUMNS)
    for day in result.totals.get("days", ()):
        write(*_day_row(day))
    write("合计", *_day_row({**result.totals, "on": None, **_trade(result.totals)})[1:])
    write()
    write(*COLUMNS)
    for one in differences:
        amount = "" if one.amount_fen is None else yuan(one.amount_fen)
        facts = json.dumps(one.facts, ensure_ascii=False)
        word = KINDS.get(FundKind(one.kind), "")
        write(_month(result.on), one.kind, word, one.key, one.order_no or "", amount, one.action, facts)
    write()
    write("签字", *(result.signers or ("",)))


def show(result: Summary) -> None:
    """The sums of a month in lines."""
    totals = result.totals
    signed = f"，签字：{'、'.join(result.signers)}" if result.signers else ""
    click.echo(f"{_month(result.on)} 资金对账 {result.status}{signed}")
    if totals:
        _show_sums(totals)
    for kind, count in sorted(result.differences.items()):
        click.echo(f"{kind}：{count}（{KINDS[FundKind(kind)]}）")
    if not result.differences:
        click.echo("没有差异")


def _show_sums(totals: dict[str, Any]) -> None:
    trade = totals["trade"]
    click.echo(f"期初结余 {_sum(totals['opening_fen'])}，期末结余 {_sum(totals['closing_fen'])}")
    click.echo(f"资金账单：收入 {_tally(totals['income'])}，退款 {_tally(totals['refunds'])}")
    click.echo(
        f"手续费 {yuan(totals['fees_fen'])} 元，提现 {_tally(totals['withdrawn'])}，"
        f"退款退回 {_tally(totals['returned'])}，其他 {yuan(totals['other_fen'])} 元"
    )
    click.echo(f"本系统：  收款 {_tally(totals['ours'])}，退款 {_tally(totals['our_refunds'])}")
    click.echo(f"交易账单：收款 {yuan(trade['settled'])} 元，退款 {yuan(trade['refunded'])} 元")
    for name, side in (("已知其他系统", totals["known_foreign"]), ("未知其他系统", totals["foreign"])):
        incomes, refunds = side["incomes"], side["refunds"]
        if incomes["rows"] or refunds["rows"]:
            click.echo(f"{name}：收款 {_tally(incomes)}，退款 {_tally(refunds)}")


def _day_row(day: dict[str, Any]) -> list[object]:
    return [
        day["on"],
        _sum(day["opening_fen"]),
        day["income"]["rows"],
        yuan(day["income"]["fen"]),
        day["refunds"]["rows"],
        yuan(day["refunds"]["fen"]),
        yuan(day["returned"]["fen"]),
        yuan(day["fees_fen"]),
        yuan(day["withdrawn"]["fen"]),
        yuan(day["other_fen"]),
        _sum(day["closing_fen"]),
        _sum(day["trade_settled_fen"]),
        _sum(day["trade_refunded_fen"]),
        day.get("sha1") or "",
    ]


def _trade(totals: dict[str, Any]) -> dict[str, Any]:
    return {
        "trade_settled_fen": totals["trade"]["settled"],
        "trade_refunded_fen": totals["trade"]["refunded"],
    }


def _tally(tally: dict[str, int]) -> str:
    return f"{tally['rows']} 笔 {yuan(tally['fen'])} 元"


def _sum(fen: int | None) -> str:
    return UNKNOWN if fen is None else yuan(fen)


def _month(on: date) -> str:
    return f"{on:%Y-%m}"
