"""`campusnet import`: accounts, balances and running packages of the system before."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from app.opening import config_option, open_config
from billing.embedded.importing import import_accounts
from models.clock import utc_now
from models.db.engine import Database
from models.errors import ServiceError
from models.money import yuan


@click.command("import")
@config_option
@click.option("--dry-run", is_flag=True, help="Only check, and say what would happen.")
@click.argument("path", type=click.Path(exists=True, dir_okay=False, path_type=Path))
def import_command(config_path: Path, path: Path, *, dry_run: bool) -> None:
    """Open accounts from CSV; again changes nothing.

    Columns: 学号, 姓名, 类别, 余额; where there are any 部门, 套餐, 剩余流量, 到期日.
    """
    config = open_config(config_path)
    if config.billing.backend != "embedded":
        raise click.ClickException("only the embedded billing engine keeps accounts of its own")
    database = Database(config.database.url)
    try:
        report = import_accounts(database, path, now=utc_now(), dry_run=dry_run)
    except ServiceError as error:
        raise click.ClickException(str(error)) from None
    finally:
        database.dispose()
    for fault in report.faults:
        click.echo(fault, err=True)
    click.echo(
        f"{'试运行：' if dry_run else ''}开户 {report.opened}，期初余额合计 {yuan(report.balance_fen)} 元，"
        f"在用套餐 {report.packages}，此前已导入 {report.known}，有误 {report.faulty}"
    )
    if report.faulty:
        click.echo("有误的行须先更正：什么都没有写入", err=True)
        sys.exit(1)
