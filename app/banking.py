"""`campusnet counter bank`: lists of transfers from the bank."""

from __future__ import annotations

from pathlib import Path

import click

from app.opening import config_option
from app.till import by_option, opened
from models.money import yuan
from payments.counter import bank_list
from payments.counter.receipts import receipt_text


@click.group("bank")
def bank_group() -> None:
    """Transfers from the bank: read a list, decide what a person must decide."""


@bank_group.command("import")
@config_option
@by_option
@click.option("--dry-run", is_flag=True, help="Only say what would happen.")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def read(config_path: Path, actor: str, path: Path, *, dry_run: bool) -> None:
    """Book a list (CSV with 流水号, 金额, 学号, 姓名); what was booked before is left alone."""
    with opened(config_path) as services:
        report = bank_list.read_list(services, path, actor=actor, dry_run=dry_run)
    for fault in report.faults:
        click.echo(fault, err=True)
    click.echo(
        f"{'试运行：' if dry_run else ''}入账 {report.credited}，待人工核对 {report.queued}，"
        f"待退回 {report.returning}，此前已处理 {report.known}，无法处理 {len(report.faults)}"
    )


@bank_group.command("queue")
@config_option
@click.option("--after", "after_id", default=0, help="Continue after this number.")
def queue(config_path: Path, after_id: int) -> None:
    """Transfers whose number and name do not belong together, oldest first."""
    with opened(config_path) as services:
        for line in bank_list.queue(services, after_id=after_id):
            click.echo(
                f"{line.id}  {line.reference}  {yuan(line.amount_fen):>8}  "
                f"{line.account_no or '-'}  {line.noted_name or '-'}  {line.reason}"
            )


@bank_group.command("assign")
@config_option
@by_option
@click.option("--name", required=True, help="The full name of the account's owner.")
@click.argument("line_id", type=int)
@click.argument("account_no")
def assign(config_path: Path, actor: str, name: str, line_id: int, account_no: str) -> None:
    """Credit a queued transfer to this account."""
    with opened(config_path) as services:
        booked = bank_list.assign(services, line_id=line_id, account_no=account_no, name=name, actor=actor)
        click.echo(receipt_text(booked, site_name=services.site.name))


@bank_group.command("accept")
@config_option
@by_option
@click.argument("line_id", type=int)
def accept(config_path: Path, actor: str, line_id: int) -> None:
    """Keep what a clerk booked of a queued transfer, although the list says another amount."""
    with opened(config_path) as services:
        bank_list.accept_booked(services, line_id=line_id, actor=actor)
    click.echo(f"{line_id} 以窗口登记为准")


@bank_group.command("send-back")
@config_option
@by_option
@click.argument("line_id", type=int)
def send_back(config_path: Path, actor: str, line_id: int) -> None:
    """Put a queued transfer on the list of what goes back."""
    with opened(config_path) as services:
        booked = bank_list.send_back(services, line_id=line_id, actor=actor)
        click.echo(receipt_text(booked, site_name=services.site.name))
