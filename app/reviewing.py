"""`campusnet review`: the queue of what only a person can decide."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from app import wiring
from app.opening import config_option, open_config
from models.errors import Refused, ServiceError
from models.money import yuan
from models.outbox import WORK
from models.review import ReviewItem
from models.values.actor import Actor
from models.write_off import WriteOff
from payments.review import bulk
from payments.review import queue as reviews
from payments.review.actions import ACTIONS
from payments.review.write_offs import list_write_offs
from payments.services import Services

actor_option = click.option(
    "--as", "actor", required=True, envvar="CAMPUSNET_ACTOR", help="Who you are; kept in the journal."
)


@click.group("review")
def review_group() -> None:
    """What only a person can decide; two persons for anything that moves money."""


@review_group.command("list")
@config_option
@click.option("--after", default=0, help="Go on after this number.")
def show_list(config_path: Path, after: int) -> None:
    """What waits, oldest first."""
    with reviewing(config_path) as services, services.reading() as session:
        found = reviews.list_items(session, after_id=after)
        for item in found:
            click.echo(_line(item))
        if not found:
            click.echo("没有待办")


@review_group.command()
@config_option
@click.argument("item_id", type=int)
def show(config_path: Path, item_id: int) -> None:
    """One item with its facts and what may be done."""
    with reviewing(config_path) as services, services.reading() as session:
        item = session.get(ReviewItem, item_id)
        if item is None:
            raise reviews.NoSuchItem
        click.echo(_line(item))
        click.echo(json.dumps(item.facts, ensure_ascii=False, indent=1))
        for name, action in ACTIONS.items():
            if item.kind in action.kinds:
                asked = "".join(f" --detail {word}=…" for word in action.details)
                two = "（须两人）" if action.needs_two(session, item) else ""
                click.echo(f"  {name}{asked}{two}")


@review_group.command()
@config_option
@actor_option
@click.argument("item_id", type=int)
def take(config_path: Path, item_id: int, actor: str) -> None:
    """Become the owner of an item."""
    with reviewing(config_path) as services:
        reviews.take(services, item_id, actor=Actor.from_name(actor))


@review_group.command()
@config_option
@actor_option
@click.argument("item_id", type=int)
@click.argument("action", type=click.Choice(sorted(ACTIONS)))
@click.option("--evidence", required=True, help="What the decision rests on; it will be checked.")
@click.option("--detail", "details", multiple=True, help="name=value; what the action asks for, see `show`.")
def propose(
    *, config_path: Path, item_id: int, action: str, actor: str, evidence: str, details: tuple[str, ...]
) -> None:
    """Decide; what moves or holds money then waits for a second operator."""
    told = {name.strip(): value for name, _, value in (detail.partition("=") for detail in details)}
    with reviewing(config_path) as services:
        done = reviews.propose(
            services,
            item_id,
            action=action,
            actor=Actor.from_name(actor),
            evidence=evidence,
            details=told,
        )
        click.echo(
            "已处理" if done else f"已登记，待另一人确认：campusnet review approve {item_id} --as 姓名"
        )


@review_group.command()
@config_option
@actor_option
@click.argument("item_id", type=int)
def approve(config_path: Path, item_id: int, actor: str) -> None:
    """Carry out what another operator proposed."""
    with reviewing(config_path) as services:
        reviews.approve(services, item_id, actor=Actor.from_name(actor))
        click.echo("已处理")


@review_group.command()
@config_option
@actor_option
@click.argument("item_id", type=int)
def reject(config_path: Path, item_id: int, actor: str) -> None:
    """Put a proposal back; the item stays open."""
    with reviewing(config_path) as services:
        reviews.reject(services, item_id, actor=Actor.from_name(actor))


@review_group.command("run-again")
@config_option
@actor_option
@click.option("--kind", "job", required=True, type=click.Choice(sorted(WORK)), help="The kind of job.")
@click.option("--evidence", default="", help="Why they work now; needed to propose.")
@click.option("--approve", "approves", is_flag=True, help="Approve what another operator proposed.")
@click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
def run_again(
    *, config_path: Path, actor: str, job: str, evidence: str, approves: bool, limit: int | None
) -> None:
    """Run all given-up jobs of a kind again: one operator proposes, another one approves."""
    who = Actor.from_name(actor)
    with reviewing(config_path) as services:
        if approves:
            done = bulk.approve_run_again(services, job=job, actor=who, limit=limit)
        else:
            done = bulk.propose_run_again(services, job=job, actor=who, evidence=evidence, limit=limit)
        click.echo(f"{'已确认' if approves else '已登记，待另一人确认'}：{done.items} 项")
        for reason, count in sorted(done.left.items()):
            click.echo(f"未处理：{count} 项（{reason}）")


@review_group.command("written-off")
@config_option
@click.option("--after", default=0, help="Go on after this number.")
def written_off(config_path: Path, after: int) -> None:
    """Money of dismissed items that is written off or still owed, oldest first."""
    with reviewing(config_path) as services, services.reading() as session:
        found = list_write_offs(session, after_id=after)
        for row in found:
            click.echo(_kept_line(row))
        if not found:
            click.echo("没有核销或挂账的款项")


@review_group.command()
@config_option
@actor_option
@click.argument("item_id", type=int)
def reopen(config_path: Path, item_id: int, actor: str) -> None:
    """Ask again about an item whose money was written off or kept as owed."""
    with reviewing(config_path) as services:
        reviews.reopen(services, item_id, actor=Actor.from_name(actor))
        click.echo("已重新打开")


@contextmanager
def reviewing(config_path: Path) -> Iterator[Services]:
    """The services of the configured house; named errors become one line on standard error."""
    house = wiring.build(open_config(config_path))
    try:
        yield house.web
    except Refused as refused:
        raise click.ClickException(f"{refused.code} {refused.text}") from None
    except ServiceError as error:
        raise click.ClickException(f"{type(error).__name__}: {error}") from None
    finally:
        house.close()


def _line(item: ReviewItem) -> str:
    amount = "" if item.amount_fen is None else yuan(item.amount_fen)
    return (
        f"{item.id:>6}  {item.opened_at:%Y-%m-%d %H:%M}Z  {item.kind:<18} {item.status:<9} {amount:>9}  "
        f"{item.facts.get('order_no') or item.key}  {item.owner or '-'}"
    )


def _kept_line(row: WriteOff) -> str:
    return (
        f"{row.id:>6}  {row.created_at:%Y-%m-%d}  {'核销' if row.kind == 'WRITTEN_OFF' else '挂账待付'}  "
        f"{yuan(row.amount_fen):>9}  {row.subject}  待办 {row.item_id}  "
        f"{row.proposed_by}、{row.approved_by}  {row.evidence}"
    )
