"""`campusnet import`: accounts, balances and running packages of the previous system."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import click

from app import wiring
from app.opening import config_option, open_config
from app.till import by_option
from billing.embedded import importing
from billing.embedded.importing import ImportRules, Report
from models.clock import CAMPUS_ZONE, utc_now
from models.db.engine import Database
from models.errors import Refused, ServiceError
from models.money import yuan
from models.values.actor import Actor

STATES = {"PREPARED": "待批准", "APPLYING": "开户中", "APPLIED": "已开户", "WITHDRAWN": "已放弃"}


class ImportGroup(click.Group):
    """`campusnet import FILE` without a word between them imports the file."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the subcommand before a file or an option."""
        if args and args[0] not in {*self.commands, "--help"}:
            args = ["file", *args]
        return super().parse_args(ctx, args)


@click.group("import", cls=ImportGroup)
def import_command() -> None:
    """Open accounts from a table: `campusnet import FILE --by NAME`.

    CSV or .xlsx. Columns: 学号, 姓名, 类别, 余额; where there are any 部门, 套餐, 剩余流量, 到期日.
    """


@import_command.command("file")
@config_option
@by_option
@click.option("--dry-run", is_flag=True, help="Only check, and say what would happen.")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def from_file(config_path: Path, actor: str, path: Path, *, dry_run: bool) -> None:
    """Open the accounts of a table; again changes nothing."""
    with _opened(config_path) as here:
        report = importing.import_accounts(
            here.database,
            path,
            actor=Actor.from_name(actor),
            now=utc_now(),
            rules=here.rules,
            dry_run=dry_run,
        )
    _show(report, "试运行：" if dry_run else "")
    if report.needs_approval:
        click.echo(
            f"期初余额合计超过限额，尚未开户：导入编号 {report.import_id}，"
            f"请另一位同事核对后运行 campusnet import approve {report.import_id} --by 姓名"
        )
    _stop_if_faulty(report)


@import_command.command("approve")
@config_option
@by_option
@click.argument("import_id", type=int)
def approve(config_path: Path, actor: str, import_id: int) -> None:
    """Approve an import that another operator prepared, and open its accounts."""
    with _opened(config_path) as here:
        report = importing.approve(
            here.database, import_id, actor=Actor.from_name(actor), now=utc_now(), rules=here.rules
        )
    _show(report, "")
    _stop_if_faulty(report)


@import_command.command("withdraw")
@config_option
@by_option
@click.argument("import_id", type=int)
def withdraw(config_path: Path, actor: str, import_id: int) -> None:
    """Give up an import that waits for approval."""
    with _opened(config_path) as here:
        importing.withdraw(here.database, import_id, actor=Actor.from_name(actor), now=utc_now())
    click.echo(f"导入 {import_id} 已放弃")


@import_command.command("list")
@config_option
def show_imports(config_path: Path) -> None:
    """List the newest imports: who prepared and approved them, and what they opened."""
    with _opened(config_path) as here:
        for row in importing.imports(here.database):
            click.echo(
                f"{row.id}  {row.prepared_at.astimezone(CAMPUS_ZONE):%Y-%m-%d %H:%M}  {STATES[row.status]}  "
                f"{row.rows} 户  {yuan(row.total_fen)} 元  {row.prepared_by}  {row.approved_by or '-'}  "
                f"{row.file_name or '-'}  {row.file_sha256[:12] or '-'}"
            )


@dataclass(frozen=True)
class _Here:
    database: Database
    rules: ImportRules


@contextmanager
def _opened(config_path: Path) -> Iterator[_Here]:
    config = open_config(config_path)
    if config.billing.backend != "embedded":
        raise click.ClickException("only the embedded billing engine keeps accounts of its own")
    database = Database(config.database.url)
    try:
        yield _Here(database, wiring.import_rules_of(config))
    except Refused as refusal:
        raise click.ClickException(f"{refusal.code} {refusal.text}") from None
    except ServiceError as error:
        raise click.ClickException(str(error)) from None
    finally:
        database.dispose()


def _show(report: Report, prefix: str) -> None:
    for fault in report.faults:
        click.echo(fault, err=True)
    click.echo(
        f"{prefix}开户 {report.opened}，期初余额合计 {yuan(report.balance_fen)} 元，"
        f"在用套餐 {report.packages}，此前已导入 {report.known}，有误 {report.faulty}"
    )


def _stop_if_faulty(report: Report) -> None:
    if report.faulty:
        nothing = report.import_id is None
        click.echo(
            "有误的行须先更正：什么都没有写入" if nothing else "有误的行没有开户，其余已开户", err=True
        )
        sys.exit(1)
