"""`campusnet rules` and `campusnet grants`: what the fee rules leave open, answered from a date on."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from app.opening import config_option, open_books
from app.till import MINUTE, by_option, campus, moment
from billing.embedded import policies
from billing.embedded.grants import EVERYBODY
from billing.embedded.quota import gigabytes_to_bytes
from billing.embedded.rules import rule_in_force
from models.clock import CAMPUS_ZONE, utc_now
from models.money import BYTES_PER_GB, gigabytes
from models.package import Counted, GrantPolicy, MonthRule, TrafficRule
from models.values.actor import Actor

MONTHS = {MonthRule.SAME_DAY: "次月同日同时到期", MonthRule.CALENDAR: "购买当月月底到期"}
COUNTED = {Counted.BOTH: "上下行都计", Counted.DOWN: "只计下行", Counted.UP: "只计上行"}
GB = {"1000": BYTES_PER_GB, "1024": 2**30}

on_option = click.option("--on", "on", type=moment, help="What is in force then; none: now.")
from_option = click.option(
    "--from", "effective_from", required=True, type=moment, help="In force from then on; in the future."
)


@click.group("rules")
def rules_group() -> None:
    """What the fee rules leave open (docs/policy.md); times are campus time."""


@rules_group.command("show")
@config_option
@on_option
def show_rule(config_path: Path, on: datetime | None) -> None:
    """The rule in force."""
    with open_books(config_path) as session:
        click.echo(_rule_line(rule_in_force(session, campus(on) if on else utc_now())))


@rules_group.command("list")
@config_option
def list_rules(config_path: Path) -> None:
    """Every rule, past and future."""
    with open_books(config_path) as session:
        for rule in policies.all_rules(session):
            click.echo(_rule_line(rule))


@rules_group.command("add")
@config_option
@by_option
@from_option
@click.option("--gb", type=click.Choice(list(GB)), help="1 GB = 1000^3 or 1024^3 bytes.")
@click.option("--month", type=click.Choice([rule.value for rule in MonthRule]), help="What a month is.")
@click.option("--counted", type=click.Choice([way.value for way in Counted]), help="Which direction counts.")
@click.option("--ended-is-used-up/--ended-blocks", default=None, help="Whether an ended package makes room.")
@click.option("--carry-over/--no-carry-over", default=None, help="Whether its rest goes into the next.")
def add_rule(
    *,
    config_path: Path,
    actor: str,
    effective_from: datetime,
    gb: str | None,
    month: str | None,
    counted: str | None,
    ended_is_used_up: bool | None,
    carry_over: bool | None,
) -> None:
    """Answer some questions anew from a date on; what is not named stays as it is then."""
    changes = policies.Changes(
        bytes_per_gb=GB[gb] if gb else None,
        month_rule=MonthRule(month) if month else None,
        counted=Counted(counted) if counted else None,
        ended_is_used_up=ended_is_used_up,
        rest_carries_over=carry_over,
    )
    with open_books(config_path) as session:
        rule = policies.add_rule(
            session,
            changes,
            effective_from=campus(effective_from),
            actor=Actor.from_name(actor).name,
            now=utc_now(),
        )
        click.echo(_rule_line(rule))


@click.group("grants")
def grants_group() -> None:
    """The free traffic of each month, by user group; times are campus time."""


@grants_group.command("show")
@config_option
@on_option
def show_grants(config_path: Path, on: datetime | None) -> None:
    """The policies in force; one of a group goes before that of everybody (`*`)."""
    with open_books(config_path) as session:
        found = policies.grants_on(session, campus(on) if on else utc_now())
        for line in map(_grant_line, found):
            click.echo(line)
        if not found:
            click.echo("没有赠送规则")


@grants_group.command("list")
@config_option
def list_grants(config_path: Path) -> None:
    """Every policy, past and future."""
    with open_books(config_path) as session:
        for policy in policies.all_grants(session):
            click.echo(_grant_line(policy))


@grants_group.command("add")
@config_option
@by_option
@from_option
@click.option("--kind", default=EVERYBODY, show_default=True, help="User group; `*` is everybody.")
@click.option("--gb", required=True, type=click.IntRange(0), help="High-speed traffic of a month.")
@click.option("--kbps", required=True, type=click.IntRange(1), help="How fast the line is after it.")
@click.option("--example", is_flag=True, help="An invented figure: people are told that it is one.")
def add_grant(
    *, config_path: Path, actor: str, effective_from: datetime, kind: str, gb: int, kbps: int, example: bool
) -> None:
    """Another grant from the first campus month that begins on or after a date."""
    with open_books(config_path) as session:
        policy = policies.add_grant(
            session,
            kind=kind,
            quota_bytes=gigabytes_to_bytes(gb),
            throttled_kbps=kbps,
            example=example,
            effective_from=campus(effective_from),
            actor=Actor.from_name(actor).name,
            now=utc_now(),
        )
        click.echo(_grant_line(policy))


def _rule_line(rule: TrafficRule) -> str:
    ended = "到期即可再换购" if rule.ended_is_used_up else "到期未用完须处理后再换购"
    rest = "余量转入下一个套餐" if rule.rest_carries_over else "余量作废"
    answers = [
        f"1 GB = {rule.bytes_per_gb} 字节",
        MONTHS[MonthRule(rule.month_rule)],
        COUNTED[Counted(rule.counted)],
        ended,
        rest,
    ]
    return f"{_since(rule.effective_from)}  {'，'.join(answers)}"


def _grant_line(policy: GrantPolicy) -> str:
    example = "（示例）" if policy.example else ""
    return (
        f"{_since(policy.effective_from)}  {policy.kind:<14} 每月 {gigabytes(policy.quota_bytes)} GB，"
        f"用完后 {policy.throttled_kbps} kbit/s{example}"
    )


def _since(at: datetime) -> str:
    return f"自 {at.astimezone(CAMPUS_ZONE):{MINUTE}}"
