"""`campusnet reconcile`: compare a day, sign it off, hand it to finance."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import TextIO

import click

from app.fund_flow import funds_group
from app.opening import config_option
from app.signing_off import show_signature
from app.till import by_option, cell, opened_house, spreadsheet
from models.clock import campus_date
from models.money import yuan
from models.statement import Difference
from models.values.actor import Actor
from payments.reconcile import daily as reconcile
from payments.reconcile import runs as reconcile_runs
from payments.reconcile import sign_off
from payments.reconcile.catch_up import Gaps, missing_days
from payments.reconcile.runs import Summary

COLUMNS = ("对账日期", "差异类型", "编号", "订单号", "金额（元）", "处理", "详情")

DAYS_SHOWN = 10

day_type = click.DateTime(formats=["%Y-%m-%d"])
date_option = click.option("--date", "day", type=day_type, required=True, help="The campus day.")


@click.group("reconcile", invoke_without_command=True)
@config_option
@click.option("--date", "day", type=day_type, help="The campus day; yesterday by default.")
@click.option(
    "--file",
    "bill",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A trade bill (ALL) that was downloaded by hand.",
)
@click.option(
    "--foreign-prefix",
    "prefixes",
    multiple=True,
    help="How numbers of another, known system begin; more than the configuration names.",
)
@click.pass_context
def reconcile_group(
    context: click.Context,
    config_path: Path,
    day: datetime | None,
    bill: Path | None,
    prefixes: tuple[str, ...],
) -> None:
    """Compare WeChat's bill, our orders and billing's credits of one day."""
    if context.invoked_subcommand is not None:
        return
    with opened_house(config_path) as house:
        services, known = house.web, (*house.config.pay.foreign_prefixes, *prefixes)
        on = day.date() if day else campus_date(services.clock()) - timedelta(days=1)
        if bill is None:
            result = reconcile.run_daily(services, on, foreign_prefixes=known)
        else:
            result = reconcile.run_file(services, on, bill, foreign_prefixes=known)
        _show(result)
        with services.reading() as session:
            _show_gaps(missing_days(session, services.clock()))


@reconcile_group.command()
@config_option
@date_option
@by_option
def sign(config_path: Path, day: datetime, actor: str) -> None:
    """Sign off a finished day; its result is kept as it is from then on.

    A day with open questions takes two operators.
    """
    with opened_house(config_path) as house:
        on = day.date()
        show_signature(f"{on} 对账", sign_off.sign(house.web, on=on, actor=Actor.from_name(actor)), actor)


@reconcile_group.command()
@config_option
@date_option
@click.option(
    "--csv", "target", type=click.Path(dir_okay=False, path_type=Path), help="Write a file for a spreadsheet."
)
def report(config_path: Path, day: datetime, target: Path | None) -> None:
    """Show the result of a day, or write its differences as CSV."""
    with opened_house(config_path) as house, house.web.reading() as session:
        result = reconcile_runs.summary_of(session, day.date())
        if result is None:
            raise click.ClickException(f"{day:%Y-%m-%d} was not reconciled yet")
        _show(result)
        if target is not None:
            with spreadsheet(target) as file:
                write_csv(file, result, reconcile_runs.differences_of(session, day.date()))


def write_csv(file: TextIO, result: Summary, differences: Iterator[Difference]) -> None:
    """The differences of a day, then its totals; no cell can run as a formula."""
    writer = csv.writer(file)
    writer.writerow(COLUMNS)
    for one in differences:
        facts = json.dumps(one.facts, ensure_ascii=False)
        amount = "" if one.amount_fen is None else yuan(one.amount_fen)
        row = (result.on, one.kind, one.key, one.order_no or "", amount, one.action, facts)
        writer.writerow([cell(value) for value in row])
    writer.writerow([])
    for name, value in result.totals.items():
        writer.writerow(["合计", cell(name), cell(json.dumps(value, ensure_ascii=False))])
    writer.writerow(["签字", *map(cell, result.signers or ("",))])


def _show(result: Summary) -> None:
    ours, promised, billing = (result.totals.get(name) or {} for name in ("ours", "promised", "billing"))
    counter = result.totals.get("counter") or {}
    signers = " and ".join(result.signers)
    click.echo(f"{result.on} {result.status}{f' by {signers}' if signers else ''}")
    if bill := result.totals.get("bill"):
        click.echo(
            f"bill:    {bill['rows']} rows, {yuan(bill['order'])} paid, {yuan(bill['asked_back'])} back"
        )
    moved, listed = (result.totals.get(name) or {} for name in ("moved", "billing_moved"))
    tallies = (
        ("orders", ours),
        ("counter", counter),
        ("credits", promised),
        ("billing", billing),
        # Reversals, withdrawals and package purchases.
        ("moved", moved),
        ("listed", listed),
    )
    for name, tally in tallies:
        click.echo(f"{name + ':':8} {tally.get('rows', 0)} rows, {yuan(tally.get('fen', 0))}")
    for name, words in (("known_foreign", "other systems"), ("foreign", "not ours")):
        if (tally := result.totals.get(name) or {}).get("rows"):
            click.echo(f"{words}: {tally['rows']} rows, {yuan(tally['fen'])}")
    for kind, count in sorted(result.differences.items()):
        click.echo(f"{kind}: {count}")
    if not result.differences:
        click.echo("no differences")


def _show_gaps(gaps: Gaps) -> None:
    """Print the days that have no result."""
    for words, days in (("尚未对账", gaps.due), ("微信支付已不再提供账单，无法对账", gaps.lost)):
        if days:
            shown = "、".join(map(str, days[:DAYS_SHOWN]))
            more = "" if len(days) <= DAYS_SHOWN else f" …… {days[-1]}"
            click.echo(f"{words} {len(days)} 天：{shown}{more}")


reconcile_group.add_command(funds_group)
