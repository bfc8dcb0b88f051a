"""`campusnet refunds`: ask for money back, approve or reject it, see what became of it."""

from __future__ import annotations

from pathlib import Path

import click

from app.opening import config_option
from app.till import by_option, fen_of, opened
from models.money import yuan
from models.refund import Refund
from models.values.actor import Actor
from payments.refunds import approval as refunds


@click.group("refunds")
def refunds_group() -> None:
    """Money back: requested by one person, approved by another."""


@refunds_group.command("request")
@config_option
@by_option
@click.option("--amount", required=True, help="In yuan, such as 5 or 5.50.")
@click.option("--reason", required=True, help="The payer sees it in WeChat; up to 80 characters.")
@click.option("--payment", "out_trade_no", help="Which payment, where the order was paid twice.")
@click.argument("order_no")
def request_refund(
    *, config_path: Path, actor: str, amount: str, reason: str, out_trade_no: str | None, order_no: str
) -> None:
    """Ask for (part of) a payment to go back."""
    amount_fen = fen_of(amount)
    with opened(config_path) as services:
        refund = refunds.request(
            services,
            order_no=order_no,
            amount_fen=amount_fen,
            reason=reason,
            actor=Actor.from_name(actor),
            out_trade_no=out_trade_no,
        )
    click.echo(f"{refund.out_refund_no} 待 {refund.requested_by} 以外的另一人批准")


@refunds_group.command("approve")
@config_option
@by_option
@click.argument("out_refund_no")
def approve_refund(config_path: Path, actor: str, out_refund_no: str) -> None:
    """Let a requested refund happen; the workers do it."""
    with opened(config_path) as services:
        refunds.approve(services, out_refund_no=out_refund_no, actor=Actor.from_name(actor))
    click.echo(f"{out_refund_no} 已批准")


@refunds_group.command("reject")
@config_option
@by_option
@click.argument("out_refund_no")
def reject_refund(config_path: Path, actor: str, out_refund_no: str) -> None:
    """End a requested refund; no money moves."""
    with opened(config_path) as services:
        refunds.reject(services, out_refund_no=out_refund_no, actor=Actor.from_name(actor))
    click.echo(f"{out_refund_no} 已驳回")


@refunds_group.command("list")
@config_option
@click.option("--limit", default=20, show_default=True)
@click.option("--waiting", is_flag=True, help="Only those that wait for approval.")
def list_refunds(config_path: Path, limit: int, *, waiting: bool) -> None:
    """The newest refunds, one line each."""
    with opened(config_path) as services:
        found = refunds.newest(services, limit=limit, waiting=waiting)
    for refund, order_no in found:
        click.echo(line_of(refund, order_no))
    if not found:
        click.echo("没有待批准的退款" if waiting else "没有退款")


def line_of(refund: Refund, order_no: str) -> str:
    """One refund for the list, time in UTC."""
    return (
        f"{refund.out_refund_no}  {refund.created_at:%Y-%m-%d %H:%M:%S}Z  {yuan(refund.amount_fen):>8}  "
        f"{refund.status:<10}  {refund.origin:<8}  {order_no}  {refund.last_error or ''}"
    ).rstrip()
