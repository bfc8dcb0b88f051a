"""`campusnet counter bank`: lists of transfers from the bank."""

from __future__ import annotations

from pathlib import Path

import click

from app.opening import config_option
from app.till import by_option, opened
from app.typed_in import Asked, personal, read_typed
from models.money import yuan
from models.values.actor import Actor
from payments.counter import bank_list, bank_queue, confirmation
from payments.counter.bank_queue import Waiting
from payments.counter.receipts import receipt_text

NAME = Asked("--name", "学生姓名")
SECOND = "已登记，等待另一位同事用同样的命令确认"
REASONS = {
    "mismatch": "学号与姓名不符",
    "closed": "该账号已销户",
    "number": "流水号与另一笔转账相同",
    "spelling": "流水号与另一笔转账只是写法不同",
    "double": "与另一笔转账同人、同日、同金额",
    "booked": "可能是窗口已登记的转账",
    "old": "交易日期在一年以前",
    "reversed": "清单里有冲正、失败或支出",
}


@click.group("bank")
def bank_group() -> None:
    """Transfers from the bank: read a list, decide what an operator must decide."""


@bank_group.command("import")
@config_option
@by_option
@click.option("--dry-run", is_flag=True, help="Only say what would happen.")
@click.option("--source", default="", help="The bank account of the list, where the file does not name it.")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def read(config_path: Path, actor: str, path: Path, *, dry_run: bool, source: str) -> None:
    """Book a list (CSV or .xlsx with 交易日期, 流水号, 金额, 学号, 姓名); what is on record is left alone."""
    with opened(config_path) as services:
        operator = Actor.from_name(actor)
        report = bank_list.read_list(services, path, actor=operator, dry_run=dry_run, source=source)
    for fault in report.faults:
        click.echo(fault, err=True)
    click.echo(
        f"{'试运行：' if dry_run else ''}入账 {report.credited}，待人工核对 {report.queued}，"
        f"待退回 {report.returning}，此前已处理 {report.known}，无法处理 {report.rejected}"
    )


@bank_group.command("queue")
@config_option
@click.option("--after", "after_id", default=0, help="Continue after this number.")
def queue(config_path: Path, after_id: int) -> None:
    """Transfers that an operator must decide, oldest first, each with the one that it resembles."""
    with opened(config_path) as services:
        found = bank_queue.queue(services, after_id=after_id)
        for waiting in found:
            line = waiting.line
            proposed = f"  {line.proposed_by} 已提出 {line.proposal}" if line.proposal else ""
            click.echo(
                f"{line.id}  {line.reference}  {yuan(line.amount_fen):>8}  {line.occurred_on or '-'}  "
                f"{line.account_no or '-'}  {line.noted_name or '-'}  {REASONS.get(line.reason, line.reason)}"
                f"{_resembled(waiting)}{proposed}"
            )
    if not found:
        click.echo("没有待人工核对的转账")


@bank_group.command("assign")
@config_option
@by_option
@personal(NAME)
@click.argument("line_id", type=int)
@click.argument("account_no")
def assign(config_path: Path, actor: str, line_id: int, account_no: str) -> None:
    """Credit a queued transfer to this account; where the list does not say so, two operators do it.

    Asks for the full name of the account's owner, or reads it from standard input.
    """
    (name,) = read_typed(NAME)
    with opened(config_path) as services:
        operator = Actor.from_name(actor)
        booked = bank_queue.assign(
            services, line_id=line_id, account_no=account_no, name=name, actor=operator
        )
        click.echo(SECOND if booked is None else receipt_text(booked, site_name=services.site.name))


@bank_group.command("accept")
@config_option
@by_option
@click.argument("line_id", type=int)
def accept(config_path: Path, actor: str, line_id: int) -> None:
    """Close a queued transfer whose money is booked already; two operators where the amounts differ."""
    with opened(config_path) as services:
        closed = bank_queue.accept_booked(services, line_id=line_id, actor=Actor.from_name(actor))
    click.echo(f"{line_id} 不再入账，以已有的登记为准" if closed else SECOND)


@bank_group.command("send-back")
@config_option
@by_option
@click.argument("line_id", type=int)
def send_back(config_path: Path, actor: str, line_id: int) -> None:
    """Put a queued transfer on the list of what goes back; another operator returns it."""
    with opened(config_path) as services:
        booked = bank_queue.send_back(services, line_id=line_id, actor=Actor.from_name(actor))
        click.echo(receipt_text(booked, site_name=services.site.name))


@click.command("unconfirmed")
@config_option
@click.option("--after", "after_id", default=0, help="Continue after this number.")
def unconfirmed(config_path: Path, after_id: int) -> None:
    """Transfers that a clerk booked and no bank list has confirmed, oldest first."""
    with opened(config_path) as services:
        found = confirmation.unconfirmed(services, after_id=after_id)
        for row in found:
            click.echo(
                f"{row.booking_id}  {row.booked_on}  {row.receipt_no}  {row.reference}  "
                f"{yuan(row.amount_fen):>8}  {row.account_no}  {row.clerk}"
                f"{'  逾期未见于银行清单' if row.is_overdue else ''}"
            )
    if not found:
        click.echo("没有等待银行清单确认的转账")


def _resembled(waiting: Waiting) -> str:
    if waiting.like_booking is not None:
        booking = waiting.like_booking
        return (
            f"：收据 {booking.receipt_no}，流水号 {booking.reference}，{yuan(booking.amount_fen)} 元，"
            f"{booking.business_on}，学号 {booking.account_no}，经办人 {booking.clerk}"
        )
    if waiting.like_line is None:
        return ""
    line = waiting.like_line
    return (
        f"：编号 {line.id}，流水号 {line.reference}，{yuan(line.amount_fen)} 元，"
        f"{line.occurred_on or '日期不明'}，学号 {line.account_no or '未注明'}"
    )
