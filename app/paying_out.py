"""`campusnet payouts`: refunds of a balance at graduation."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import click

from app.opening import config_option
from app.private_file import private_text
from app.till import by_option, cell, opened
from app.typed_in import Asked, personal, read_typed
from models.money import yuan
from models.values.actor import Actor
from payments.payouts import approval as payouts
from payments.payouts import plan as payout_plan
from payments.payouts import transfer_list as payout_list
from payments.payouts.approval import PayoutView
from payments.payouts.transfer_list import ListRow
from payments.services import Services

OWNER = Asked("--name", "户名")
OWNERS_CARD = Asked("--card", "银行卡号", blank="全部原路退回的留空")
PAYEE = Asked("--name", "户名", blank="已有户名的留空")
CARD = Asked("--card", "银行卡号")

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
@personal(OWNER, OWNERS_CARD)
@click.option("--bank", "bank_name", default="", help="Bank and branch, for what WeChat cannot give back.")
@click.argument("account_no")
def request(config_path: Path, actor: str, bank_name: str, account_no: str) -> None:
    """Ask for all that is refundable to be paid out.

    Asks for the full name and the card number of the account's owner, or reads them from standard input.
    """
    payee, bank_account = read_typed(OWNER, OWNERS_CARD)
    with opened(config_path) as services:
        view = payouts.request(
            services,
            account_no=account_no,
            payee=payee,
            actor=Actor.from_name(actor),
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
        show(payouts.approve(services, payout_no=payout_no, actor=Actor.from_name(actor)))


@payouts_group.command("reject")
@config_option
@by_option
@click.argument("payout_no")
def reject(config_path: Path, actor: str, payout_no: str) -> None:
    """End a request; no money moves."""
    with opened(config_path) as services:
        show(payouts.reject(services, payout_no=payout_no, actor=Actor.from_name(actor)))


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
    """Write everything that is owed as CSV for finance; only what was written counts as handed out."""
    with opened(config_path) as services:
        if list_no is None:
            list_no = _make_list(services, path, Actor.from_name(actor))
        else:
            _write(path, list_no, payout_list.rows_of(services, list_no))
        if list_no is None:
            click.echo("没有待付的退费")
            return
        # Before anything else may fail: `--again` needs the number.
        click.echo(f"名单号 {list_no}")
        rows = payout_list.rows_of(services, list_no)
    click.echo(f"{len(rows)} 笔，{yuan(sum(row.amount_fen for row in rows))} 元，已写入 {path}")


@payouts_group.command("lists")
@config_option
@click.option("--limit", default=20, show_default=True)
def lists(config_path: Path, limit: int) -> None:
    """The lists that were handed out, newest first."""
    with opened(config_path) as services:
        for made in payout_list.newest_lists(services, limit=limit):
            click.echo(
                f"{made.list_no}  {made.created_at:%Y-%m-%d %H:%M}Z  {made.rows} 笔  "
                f"{yuan(made.amount_fen):>10}  {made.made_by}"
            )


def _make_list(services: Services, path: Path, actor: Actor) -> str | None:
    """Make a list and its file; a file whose list did not come about is taken away again."""
    written: list[str] = []

    def write(list_no: str, rows: Sequence[ListRow]) -> None:
        _write(path, list_no, rows)
        written.append(list_no)

    try:
        return payout_list.make_list(services, actor=actor, write=write)
    except BaseException:
        if written:
            path.unlink(missing_ok=True)
            click.echo(f"名单 {written[0]} 未确认，请用 payouts lists 查看", err=True)
        raise


def _write(path: Path, list_no: str, rows: Sequence[ListRow]) -> None:
    try:
        write_list(path, list_no, rows)
    except OSError as error:
        raise click.ClickException(f"{path} 无法写入（{error.strerror}），没有生成名单") from None


def write_list(path: Path, list_no: str, rows: Sequence[ListRow]) -> None:
    """Write a list to `path` durably, readable by its owner only."""
    with private_text(path, encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["名单号", "编号", "学号", "户名", "开户行", "银行卡号", "金额", "结果"])
        for row in rows:
            owner = [cell(word) for word in (row.account_no, row.payee, row.bank_name)]
            # A tab keeps a spreadsheet from rounding the card number; `bank-result` does not mind it.
            card_no = f"\t{row.bank_account}"
            writer.writerow([list_no, row.part_no, *owner, card_no, yuan(row.amount_fen), ""])


@payouts_group.command("bank-result")
@config_option
@by_option
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def bank_result(config_path: Path, actor: str, path: Path) -> None:
    """Read the list back with its column 结果 filled in (成功 or 失败)."""
    with opened(config_path) as services:
        result = payout_list.read_result(services, path, actor=Actor.from_name(actor))
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
        payout_list.mark_paid(services, part_no=part_no, actor=Actor.from_name(actor))
    click.echo(f"{part_no} 已付")


@payouts_group.command("failed")
@config_option
@by_option
@click.option("--reason", required=True, help="What the bank says.")
@click.argument("part_no")
def failed(config_path: Path, actor: str, reason: str, part_no: str) -> None:
    """Mark one part as not paid: another operator puts it on the next list."""
    with opened(config_path) as services:
        payout_list.mark_failed(services, part_no=part_no, actor=Actor.from_name(actor), reason=reason)
    click.echo(f"{part_no} 由另一位同事列入下一份名单")


@payouts_group.command("card")
@config_option
@by_option
@click.option("--bank", "bank_name", required=True)
@personal(PAYEE, CARD)
@click.argument("part_no")
def card(config_path: Path, actor: str, bank_name: str, part_no: str) -> None:
    """Enter the bank details of a part that waits for the next list; another operator lists it.

    Asks for the payee's name (of money that a refund could not return) and the card number, or reads them
    from standard input.
    """
    payee, bank_account = read_typed(PAYEE, CARD)
    with opened(config_path) as services:
        payout_list.correct_bank(
            services,
            part_no=part_no,
            bank_name=bank_name,
            bank_account=bank_account,
            actor=Actor.from_name(actor),
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
        on_list = f"  名单 {part.list_no}" if part.list_no else ""
        click.echo(f"  {part.part_no}  {WAYS[part.way]}  {yuan(part.amount_fen):>8}  {part.state}{on_list}")
