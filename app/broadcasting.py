"""`campusnet broadcast`: write a notice, look at it on one phone, send it to many, see what came of it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from app import wiring
from app.opening import config_option, open_config
from bot.audience import read_openids
from bot.broadcast import Broadcaster, Draft, Progress
from models.errors import Refused, ServiceError


@click.group("broadcast")
def broadcast_group() -> None:
    """Notices: shown under 公告, and sent to everybody, a tag or a list."""


@broadcast_group.command()
@config_option
@click.option("--title", required=True, help="One line, 64 characters at most.")
@click.option("--body", required=True, help="The text.")
def write(config_path: Path, title: str, body: str) -> None:
    """Publish a notice under 公告 and print its number; nothing is sent."""
    with broadcasting(config_path) as broadcaster:
        click.echo(broadcaster.write_notice(title, body))


@broadcast_group.command()
@config_option
@click.argument("notice_id", type=int)
@click.option("--openid", required=True, help="Who shall see it.")
def preview(config_path: Path, notice_id: int, openid: str) -> None:
    """Show a notice to one person, as it would arrive."""
    with broadcasting(config_path) as broadcaster:
        broadcaster.preview(notice_id, openid)
        click.echo("previewed")


@broadcast_group.command()
@config_option
@click.argument("notice_id", type=int)
@click.option(
    "--key", help="Name of this sending; the same name goes on where it stopped. Default: notice-<id>."
)
@click.option("--all", "everybody", is_flag=True, help="All followers.")
@click.option("--tag", "tag_id", type=int, help="The followers with this tag.")
@click.option(
    "--list", "list_file", type=click.Path(exists=True, path_type=Path), help="A file, one openid a line."
)
@click.option("--yes", is_flag=True, help="Do not ask before sending.")
def send(  # noqa: PLR0917 - click passes options by name
    config_path: Path,
    notice_id: int,
    key: str | None,
    everybody: bool,  # noqa: FBT001 - a flag of the command line
    tag_id: int | None,
    list_file: Path | None,
    yes: bool,  # noqa: FBT001 - a flag of the command line
) -> None:
    """Send a notice; stopped at any point, the same command goes on without sending anything twice."""
    if sum((everybody, tag_id is not None, list_file is not None)) != 1:
        raise click.UsageError("choose one of --all, --tag, --list")
    audience = "all" if everybody else "tag" if tag_id is not None else "list"
    with broadcasting(config_path) as broadcaster:
        name = key or f"notice-{notice_id}"
        # Read twice: shown first, and stored only when confirmed, if it still is the same list.
        draft = broadcaster.draft(name, notice_id, audience, tag_id=tag_id, openids=_openids(list_file))
        quota = broadcaster.quota(audience)
        click.echo(draft.content)
        click.echo(
            f"{name}: {_whom(draft)}, {draft.calls} calls, {draft.to_go} to go; "
            f"quota today: {quota.remain} left"
        )
        if draft.to_go and not yes:
            click.confirm("send?", abort=True)
        _send(broadcaster, name, broadcaster.freeze(draft, _openids(list_file)))


@broadcast_group.command()
@config_option
@click.argument("key")
def status(config_path: Path, key: str) -> None:
    """Ask WeChat for results that have not come by themselves, and show where the sending stands."""
    with broadcasting(config_path) as broadcaster:
        _show(broadcaster.poll(key))


@broadcast_group.command()
@config_option
def quota(config_path: Path) -> None:
    """How many mass messages are left today."""
    with broadcasting(config_path) as broadcaster:
        left = broadcaster.quota()
        click.echo(f"{left.remain} of {left.daily_limit} left today")


@contextmanager
def broadcasting(config_path: Path) -> Iterator[Broadcaster]:
    """A broadcaster on the configured house; named errors become one line on standard error."""
    house = wiring.build(open_config(config_path))
    try:
        yield Broadcaster(house.database, house.wechat, house.web.clock)
    except Refused as refused:
        raise click.ClickException(f"{refused.code} {refused.text}") from None
    except ServiceError as error:
        raise click.ClickException(f"{type(error).__name__}: {error}") from None
    finally:
        house.close()


def _openids(list_file: Path | None) -> Iterable[str]:
    return read_openids(list_file) if list_file else ()


def _whom(draft: Draft) -> str:
    if draft.audience == "list":
        return f"{draft.openids.count} people"
    return "all followers" if draft.audience == "all" else f"tag {draft.tag_id}"


def _send(broadcaster: Broadcaster, name: str, plan: Progress) -> None:
    with click.progressbar(length=plan.total, label="sending") as bar:
        bar.update(plan.total - plan.planned)

        def report(progress: Progress) -> None:
            bar.update(progress.total - progress.planned - bar.pos)

        done = broadcaster.send(name, report)
    _show(done)


def _show(progress: Progress) -> None:
    click.echo(
        f"{progress.key}: {progress.status}; calls: {progress.submitted} submitted, "
        f"{progress.sent} sent, {progress.failed} failed, {progress.planned} to go"
    )
