"""`campusnet backup`, `campusnet restore` and `campusnet recover`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import click

from app import wiring
from app.backup.archive import BackupFailed, read_manifest
from app.backup.make import make_backup
from app.backup.restore import restore_backup
from app.opening import config_option, open_config
from app.till import by_option, campus, opened_house
from app.worker import Worker
from models.clock import CAMPUS_ZONE, utc_now
from models.money import yuan
from models.recovery import Recovery, RecoveryStatus
from models.values.actor import Actor
from payments.recovery import opening
from payments.recovery.report import Report
from payments.recovery.run import recover

DONE_ROWS = {
    "payment_known": "付款：已有记录",
    "payment_recorded": "付款：补记到已有订单",
    "payment_rebuilt": "付款：订单已重建",
    "refund_known": "退款：已有记录",
    "refund_rebuilt": "退款：已重建",
    "package_rebuilt": "换购：已重新换购",
    "payout_rebuilt": "银行退费：已重建，待确认是否已付",
    "foreign": "其他系统的付款（未处理）",
    "foreign_refund": "其他系统的退款（未处理）",
    "unexplained": "无法解释（已列入待办）",
}
WHATS = {"payment": "付款", "refund": "退款", "bill": "账单"}


@click.command("backup")
@config_option
@click.option(
    "--to",
    "parent",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder; [backup] dir by default.",
)
def backup_command(config_path: Path, parent: Path | None) -> None:
    """Back up the database and the configuration without secrets, and verify it."""
    config = open_config(config_path)
    try:
        made = make_backup(config, clock=utc_now, parent=parent)
    except BackupFailed as failed:
        raise click.ClickException(str(failed)) from None
    size = sum(part.size_bytes for part in made.manifest.parts.values())
    click.echo(f"{made.folder}：{size} 字节，已校验")
    for path in made.removed:
        click.echo(f"已删除旧备份 {path}")


@click.command("restore")
@config_option
@by_option
@click.argument("source", type=click.Path(path_type=Path))
def restore_command(config_path: Path, actor: str, source: Path) -> None:
    """Fill the configured, empty database from a backup; then run `campusnet recover`."""
    config = open_config(config_path)
    try:
        restored = restore_backup(config, source, by=actor.strip(), clock=utc_now)
    except BackupFailed as failed:
        raise click.ClickException(str(failed)) from None
    at = restored.manifest.started_at.astimezone(CAMPUS_ZONE)
    click.echo(f"已恢复 {restored.manifest.backup_no}（{at:%Y-%m-%d %H:%M:%S} 的数据）")
    for finding in restored.findings:
        click.echo(f"账目不一致：{finding}", err=True)
    click.echo("充值、退费和后台任务暂停，直到运行 campusnet recover")


@click.command("recover")
@config_option
@by_option
@click.option(
    "--since", help="Time of the backup (YYYY-MM-DD HH:MM), or its folder; by default the restored one."
)
@click.option("--skip", is_flag=True, help="Go on without rebuilding; two operators, one after the other.")
@click.option("--reason", default="", help="Why nothing has to be rebuilt; with --skip.")
def recover_command(config_path: Path, actor: str, since: str | None, *, skip: bool, reason: str) -> None:
    """Rebuild what happened after the backup from what WeChat Pay has; again changes nothing."""
    with opened_house(config_path) as house:
        by = Actor.from_name(actor)
        if skip:
            done = opening.skip(house.web, actor=by, reason=reason)
            click.echo("不再恢复，系统已开放" if done else "已登记，须由另一位同事再次运行 --skip 确认")
            return
        report = recover(
            house.web,
            since=_time(since),
            actor=by,
            work=lambda kinds: work(house, kinds),
            copy=house.config.backup.journal,
        )
        show(report)
        with house.web.reading() as session:
            status = _status(opening.newest(session))
    click.echo(status)
    if report.findings:
        raise click.ClickException("账目不一致，系统仍暂停：处理后再次运行 campusnet recover")


def _time(typed: str | None) -> datetime | None:
    if typed is None:
        return None
    for pattern in ("%Y-%m-%d %H:%M:%S", "%Y-%m-%d %H:%M", "%Y-%m-%d"):
        try:
            return campus(datetime.strptime(typed, pattern))  # noqa: DTZ007 - campus time, made aware
        except ValueError:
            continue
    try:
        aware = datetime.fromisoformat(typed)
        return aware if aware.tzinfo else campus(aware)
    except ValueError:
        pass
    try:
        return read_manifest(Path(typed)).started_at
    except BackupFailed as failed:
        raise click.ClickException(str(failed)) from None


def work(house: wiring.House, kinds: Sequence[str]) -> None:
    """Carry out what is due of these kinds; nothing else works meanwhile."""
    chosen = {kind: house.deliveries[kind] for kind in kinds}
    worker = Worker(
        house.web, chosen, wait=lambda _seconds: None, lease_s=house.config.worker.lease_s, recovers=True
    )
    while worker.run_once():
        pass


def show(report: Report) -> None:
    """The table, then everything that could not be explained."""
    for name, label in DONE_ROWS.items():
        if report.rows[name]:
            click.echo(f"{label}：{report.rows[name]} 笔，{yuan(report.fen[name])} 元")
    if report.payouts_held:
        click.echo(f"银行退费待确认是否已付：{report.payouts_held} 笔（campusnet review list）")
    for one in report.unexplained:
        amount = f"{yuan(one.amount_fen)} 元，" if one.amount_fen else ""
        click.echo(f"  {WHATS.get(one.what, one.what)} {one.number}：{amount}{one.reason}")
    for on in report.days_missing:
        click.echo(f"  {on} 的账单还没有生成，生成后由后台任务补读")
    for finding in report.findings:
        click.echo(f"  账目不一致：{finding}", err=True)


def _status(recovery: Recovery | None) -> str:
    status = None if recovery is None else recovery.status
    return {
        RecoveryStatus.DONE: "恢复完成，系统已开放",
        RecoveryStatus.WATCHING: "充值已开放；退费在补读账单后开放",
        RecoveryStatus.OPEN: "恢复未完成，系统仍暂停",
    }.get(RecoveryStatus(status) if status else RecoveryStatus.OPEN, "")
