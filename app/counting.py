"""`campusnet counter`: book money, print receipts, give money back, close the day."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from app.banking import bank_group, unconfirmed
from app.opening import config_option
from app.till import by_option, fen_of, opened
from app.typed_in import Asked, personal, read_typed
from models.counter import ReturnReason, Way
from models.money import yuan
from models.values.actor import Actor
from payments.counter import desk as counter
from payments.counter import returns as counter_returns
from payments.counter.receipts import REASONS, WAYS, receipt_text

NAME = Asked("--name", "学生姓名")

on_option = click.option(
    "--on", type=click.DateTime(["%Y-%m-%d"]), help="The day, in campus time; today by default."
)


@click.group("counter")
def counter_group() -> None:
    """The counter: top-ups in cash or by transfer, what goes back, the day's end."""


@counter_group.command("book")
@config_option
@by_option
@click.option("--receipt", "receipt_no", required=True, help="The number of your receipt; used once.")
@personal(NAME)
@click.option("--amount", required=True, help="In yuan: a package's price, or a multiple of one.")
@click.option("--way", type=click.Choice([str(way) for way in Way]), default="cash", show_default=True)
@click.option("--reference", help="The bank's number, for a transfer.")
@click.argument("account_no")
def book(
    *,
    config_path: Path,
    actor: str,
    receipt_no: str,
    amount: str,
    way: str,
    reference: str | None,
    account_no: str,
) -> None:
    """Book a top-up and print the receipt; the same receipt number again books nothing more.

    Asks for the student's name, or reads it from standard input.
    """
    amount_fen = fen_of(amount)
    (name,) = read_typed(NAME)
    with opened(config_path) as services:
        booked = counter.take(
            services,
            clerk=Actor.from_name(actor),
            receipt_no=receipt_no,
            account_no=account_no,
            name=name,
            amount_fen=amount_fen,
            way=Way(way),
            reference=reference,
        )
        clerk = Actor.from_name(actor)
        printed = counter.print_receipt(services, booked.booking.receipt_no, clerk=clerk)
        click.echo(receipt_text(printed, site_name=services.site.name))


@counter_group.command("receipt")
@config_option
@by_option
@click.argument("receipt_no")
def receipt(config_path: Path, actor: str, receipt_no: str) -> None:
    """Print a receipt again; it says 补打, and the journal keeps who did it."""
    with opened(config_path) as services:
        printed = counter.print_receipt(services, receipt_no, clerk=Actor.from_name(actor))
        click.echo(receipt_text(printed, site_name=services.site.name))


@counter_group.command("returns")
@config_option
@click.option("--after", "after_id", default=0, help="Continue after this number.")
def returns(config_path: Path, after_id: int) -> None:
    """What must still go back the way it came (原路退回), oldest first."""
    with opened(config_path) as services:
        found = counter_returns.open_items(services, after_id=after_id)
        for item in found:
            click.echo(
                f"{item.id}  {item.return_no}  {yuan(item.amount_fen):>8}  {WAYS[Way(item.way)]}  "
                f"{item.reference or '-'}  {item.account_no or '-'}  {REASONS[ReturnReason(item.reason)]}"
            )
    if not found:
        click.echo("没有待退回的款项")


@counter_group.command("return")
@config_option
@by_option
@click.option("--evidence", required=True, help="The signed slip, or the number of the transfer back.")
@click.argument("return_no")
def give_back(config_path: Path, actor: str, evidence: str, return_no: str) -> None:
    """Record that you have handed the money back."""
    with opened(config_path) as services:
        clerk = Actor.from_name(actor)
        item = counter_returns.give_back(services, return_no=return_no, clerk=clerk, evidence=evidence)
        click.echo(f"{item.return_no} 已退回 {yuan(item.amount_fen)} 元")


@counter_group.command("day")
@config_option
@by_option
@on_option
def day(config_path: Path, actor: str, on: datetime | None) -> None:
    """How your day stands."""
    with opened(config_path) as services:
        show_day(counter.day(services, clerk=Actor.from_name(actor), on=on.date() if on else None))


@counter_group.command("close")
@config_option
@by_option
@on_option
@click.option("--counted", required=True, help="The cash in the till for this day, in yuan.")
def close(config_path: Path, actor: str, on: datetime | None, counted: str) -> None:
    """Close your day: nothing is booked into it any more. Again shows the same."""
    counted_fen = fen_of(counted)
    with opened(config_path) as services:
        on_day = on.date() if on else None
        clerk = Actor.from_name(actor)
        show_day(counter.close_day(services, clerk=clerk, counted_cash_fen=counted_fen, on=on_day))


@counter_group.command("open")
@config_option
def open_days(config_path: Path) -> None:
    """Days before today that are not closed, oldest first."""
    with opened(config_path) as services:
        days = counter.open_days(services)
    for sums in days:
        show_day(sums)
    if not days:
        click.echo("此前各日均已结账")


def show_day(sums: counter.DaySums) -> None:
    """A clerk's day in lines."""
    click.echo(f"{sums.on} {sums.clerk} {'已结账' if sums.closed else '未结账'}")
    click.echo(f"现金充值 {yuan(sums.booked_cash_fen)} 元，转账充值 {yuan(sums.booked_transfer_fen)} 元")
    click.echo(f"待退现金收入 {yuan(sums.held_cash_fen)} 元，现金退出 {yuan(sums.returned_cash_fen)} 元")
    click.echo(f"应有现金 {yuan(sums.expected_cash_fen)} 元")
    if sums.counted_cash_fen is not None:
        click.echo(f"实点现金 {yuan(sums.counted_cash_fen)} 元，差额 {yuan(sums.difference_fen)} 元")


counter_group.add_command(bank_group)
counter_group.add_command(unconfirmed)
