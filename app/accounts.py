"""`campusnet accounts`: adjusting entries (调账), and closing an account; each needs two operators."""

from __future__ import annotations

from pathlib import Path

import click

from app.opening import config_option
from app.till import by_option, fen_of, opened
from models.adjustment import Adjustment
from models.money import yuan
from models.values.actor import Actor
from models.values.tables.text import clean, half_width
from payments import account_closing
from payments.adjustments import approval as adjustments

MINUS = ("-", "\N{MINUS SIGN}")


@click.group("accounts")
def accounts_group() -> None:
    """Accounts: adjusting entries and closings, requested by one operator, approved by another."""


@accounts_group.group("adjust")
def adjust_group() -> None:
    """Adjusting entries (调账): money onto or off an account for a reason that the student reads."""


@adjust_group.command("request")
@config_option
@by_option
@click.option("--amount", required=True, help="In yuan; negative takes money off the account.")
@click.option("--reason", required=True, help="Shown in the student's statement; up to 80 characters.")
@click.option("--evidence", required=True, help="What it rests on; it will be checked.")
@click.argument("account_no")
def request_adjustment(
    *, config_path: Path, actor: str, amount: str, reason: str, evidence: str, account_no: str
) -> None:
    """Request an adjusting entry."""
    wanted = adjustments.Wanted(account_no.strip(), signed_fen_of(amount), reason, evidence)
    with opened(config_path) as services:
        entry = adjustments.request(services, wanted, actor=Actor.from_name(actor))
    click.echo(_line(entry))


@adjust_group.command("approve")
@config_option
@by_option
@click.argument("adjustment_no")
def approve_adjustment(config_path: Path, actor: str, adjustment_no: str) -> None:
    """Let an entry happen; the workers do it."""
    with opened(config_path) as services:
        entry = adjustments.approve(services, adjustment_no=adjustment_no, actor=Actor.from_name(actor))
    click.echo(_line(entry))


@adjust_group.command("reject")
@config_option
@by_option
@click.argument("adjustment_no")
def reject_adjustment(config_path: Path, actor: str, adjustment_no: str) -> None:
    """End a requested entry; no money moves."""
    with opened(config_path) as services:
        entry = adjustments.reject(services, adjustment_no=adjustment_no, actor=Actor.from_name(actor))
    click.echo(_line(entry))


@adjust_group.command("list")
@config_option
@click.option("--limit", default=20, show_default=True)
@click.option("--waiting", is_flag=True, help="Only those that wait for approval.")
def list_adjustments(config_path: Path, limit: int, *, waiting: bool) -> None:
    """The newest entries, one line each."""
    with opened(config_path) as services:
        found = adjustments.newest(services, limit=limit, waiting=waiting)
    for entry in found:
        click.echo(_line(entry))
    if not found:
        click.echo("没有待批准的调账" if waiting else "没有调账")


@accounts_group.command("close")
@config_option
@by_option
@click.argument("account_no")
def close(config_path: Path, actor: str, account_no: str) -> None:
    """Request that an account takes no more money; what is on it can still be paid out."""
    with opened(config_path) as services:
        account_closing.request(services, account_no=account_no, actor=Actor.from_name(actor))
    click.echo(f"{account_no} 的销户申请待另一人批准")


@accounts_group.command("approve-close")
@config_option
@by_option
@click.argument("account_no")
def approve_close(config_path: Path, actor: str, account_no: str) -> None:
    """Close the account that another operator asked to close."""
    with opened(config_path) as services:
        account_closing.approve(services, account_no=account_no, actor=Actor.from_name(actor))
    click.echo(f"{account_no} 已销户")


@accounts_group.command("reject-close")
@config_option
@by_option
@click.argument("account_no")
def reject_close(config_path: Path, actor: str, account_no: str) -> None:
    """End a request to close an account."""
    with opened(config_path) as services:
        account_closing.reject(services, account_no=account_no, actor=Actor.from_name(actor))
    click.echo(f"{account_no} 的销户申请已驳回")


@accounts_group.command("closings")
@config_option
def closings(config_path: Path) -> None:
    """Requests to close an account that wait for approval, oldest first."""
    with opened(config_path) as services:
        found = account_closing.waiting(services)
    for closing in found:
        click.echo(
            f"{closing.account_no}  {closing.created_at:%Y-%m-%d %H:%M}Z  申请人 {closing.requested_by}"
        )
    if not found:
        click.echo("没有待批准的销户申请")


def signed_fen_of(amount: str) -> int:
    """As `fen_of`, with one minus in front for money off the account. Raises: click.BadParameter."""
    text = clean(half_width(amount))
    return -fen_of(text[1:]) if text.startswith(MINUS) else fen_of(text)


def _line(entry: Adjustment) -> str:
    decided = f"  批准 {entry.decided_by}" if entry.decided_by else ""
    return (
        f"{entry.adjustment_no}  {entry.account_no}  {yuan(entry.amount_fen):>10}  {entry.status:<9}  "
        f"{entry.kind}  申请 {entry.requested_by}{decided}  {entry.reason}"
    )
