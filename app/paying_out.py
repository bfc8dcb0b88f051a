"""`campusnet payouts`: refunds of a balance at graduation."""

from __future__ import annotations

import csv
from pathlib import Path

import click

from app.opening import config_option
from app.till import by_option, cell, opened
from models.money import yuan
from payments.payouts import approval as payouts
from payments.payouts import plan as payout_plan
from payments.payouts import transfer_list as payout_list
from payments.payouts.approval import PayoutView

WAYS = {"wechat": "微信原路", "bank": "银行名单"}


@click.group("payouts")
def payouts_group() -> None:
    """Money out: previewed, requested by one person, approved by another."""


@payouts_group.command("preview")
@config_option
@click.argument("account_no")
def preview(config_path: Path, account_no: str) -> None:
    """What would be paid out of an account now, and how."""
    with opened(config_path) as services:
        plan = payout_plan.preview(services, account_no)
    formula = plan.formula
    click.echo(
        f"余额 {yuan(formula.balance_fen)} - 当期费用 {yuan(formula.cycle_fen)} "
        f"- 退款处理中 {yuan(formula.pending_fen)} = 可退 {yuan(formula.refundable_fen)} 元"
    )
    for back in plan.by_wechat:
        click.echo(f"微信原路退回 {yuan(back.amount_fen)} 元（订单 {back.order_no}）")
    if plan.by_bank_fen:
        click.echo(f"银行名单 {yuan(plan.by_bank_fen)} 元")


@payouts_group.command("request")
@config_option
@by_option
@click.option("--name", "payee", required=True, help="The account owner's full name, who gets the money.")
@click.option("--bank", "bank_name", default="", help="Bank and branch, for what WeChat cannot give back.")
@click.option("--card", "bank_account", default="", help="Number of the owner's bank card.")
@click.argument("account_no")
def request(
    *, config_path: Path, actor: str, payee: str, bank_name: str, bank_account: str, account_no: str
) -> None:
    """Ask for all that is refundable to be paid out."""
    with opened(config_path) as services:
        view = payouts.request(
            services,
            account_no=account_no,
            payee=payee,
            actor=actor,
            bank_name=bank_name,
            bank_account=bank_account,
        )
    show(view)


@payouts_group.command("approve")
@config_option
@by_option
@click.argument("payout_no")
def approve(config_path: Path, actor: str, payout_no: str) -> None:
    """Let a payout happen; the workers do it. What the owner asked for needs two of these."""
    with opened(config_path) as services:
        show(payouts.approve(services, payout_no=payout_no, actor=actor))


@payouts_group.command("reject")
@config_option
@by_option
@click.argument("payout_no")
def reject(config_path: Path, actor: str, payout_no: str) -> None:
    """End a request; no money moves."""
    with opened(config_path) as services:
        show(payouts.reject(services, payout_no=payout_no, actor=actor))


@payouts_group.command("list")
@config_option
@click.option("--limit", default=20, show_default=True)
@click.option("--waiting", is_flag=True, help="Only those that wait for approval.")
def list_payouts(config_path: Path, limit: int, *, waiting: bool) -> None:
    """The newest payouts and how far their parts are."""
    with opened(config_path) as services:
        for view in payouts.newest(services, limit=limit, waiting=waiting):
            show(view)


@payouts_group.command("bank-list")
@config_option
@by_option
@click.option("--again", "list_no", help="Write this list again instead of making a new one.")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
def bank_list(config_path: Path, actor: str, list_no: str | None, path: Path) -> None:
    """Write everything that is owed as CSV for finance."""
    with opened(config_path) as services:
        list_no = list_no or payout_list.make_list(services, actor=actor)
        if list_no is None:
            click.echo("没有待付的退费")
            return
        rows = payout_list.rows_of(services, list_no)
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["名单号", "编号", "学号", "户名", "开户行", "银行卡号", "金额", "结果"])
        for row in rows:
            owner = [cell(word) for word in (row.account_no, row.payee, row.bank_name)]
            # A tab keeps a spreadsheet from rounding the card number; `bank-result` does not mind it.
            card_no = f"\t{row.bank_account}"
            writer.writerow([list_no, row.part_no, *owner, card_no, yuan(row.amount_fen), ""])
    click.echo(f"{list_no}：{len(rows)} 笔，{yuan(sum(row.amount_fen for row in rows))} 元，已写入 {path}")


@payouts_group.command("bank-result")
@config_option
@by_option
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def bank_result(config_path: Path, actor: str, path: Path) -> None:
    """Read the list back with its column 结果 filled in (成功 or 失败)."""
    with opened(config_path) as services:
        result = payout_list.read_result(services, path, actor=actor)
    for fault in result.faults:
        click.echo(fault, err=True)
    click.echo(
        f"已付 {result.paid}，失败 {result.failed}，此前已处理 {result.known}，无法处理 {len(result.faults)}"
    )


@payouts_group.command("paid")
@config_option
@by_option
@click.argument("part_no")
def paid(config_path: Path, actor: str, part_no: str) -> None:
    """Mark one part as paid by the bank."""
    with opened(config_path) as services:
        payout_list.mark_paid(services, part_no=part_no, actor=actor)
    click.echo(f"{part_no} 已付")


@payouts_group.command("failed")
@config_option
@by_option
@click.option("--reason", required=True, help="What the bank says.")
@click.argument("part_no")
def failed(config_path: Path, actor: str, reason: str, part_no: str) -> None:
    """Mark one part as not paid: it stands on the next list."""
    with opened(config_path) as services:
        payout_list.mark_failed(services, part_no=part_no, actor=actor, reason=reason)
    click.echo(f"{part_no} 将列入下一份名单")


@payouts_group.command("card")
@config_option
@by_option
@click.option("--name", "payee", help="The owner's full name, where the payout was rebuilt after a restore.")
@click.option("--bank", "bank_name", required=True)
@click.option("--card", "bank_account", required=True)
@click.argument("part_no")
def card(
    *, config_path: Path, actor: str, payee: str | None, bank_name: str, bank_account: str, part_no: str
) -> None:
    """Correct the bank details of a part that waits for the next list."""
    with opened(config_path) as services:
        payout_list.correct_bank(
            services,
            part_no=part_no,
            bank_name=bank_name,
            bank_account=bank_account,
            actor=actor,
            payee=payee,
        )
    click.echo(f"{part_no} 银行信息已更正")


def show(view: PayoutView) -> None:
    """One payout in lines."""
    bank = f"  卡号 {view.bank_account}" if view.bank_account else ""
    checked = f"  初审 {view.checked_by}" if view.checked_by else ""
    click.echo(
        f"{view.payout_no}  {view.account_no}  {yuan(view.amount_fen):>8}  {view.status}  "
        f"申请人 {view.requested_by}{checked}{bank}"
    )
    for part in view.parts:
        click.echo(f"  {part.part_no}  {WAYS[part.way]}  {yuan(part.amount_fen):>8}  {part.state}")
