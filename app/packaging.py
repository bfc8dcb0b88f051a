"""`campusnet packages`: look at the catalogue, put a package on sale, take one off."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import Any

import click

from app import wiring
from app.opening import config_option, open_books, open_config
from app.till import MINUTE, by_option, campus, fen_of, moment
from billing.embedded import exchange, selling
from billing.embedded.quota import gigabytes_to_bytes
from models.clock import CAMPUS_ZONE, utc_now
from models.money import gigabytes, traffic, yuan
from models.package import Package
from models.values.actor import Actor


@click.group("packages")
def packages_group() -> None:
    """Packages and specials of the embedded billing engine; times are campus time."""


@packages_group.command("list")
@config_option
def list_packages(config_path: Path) -> None:
    """Every package there is or was."""
    with open_books(config_path) as session:
        for package in selling.all_packages(session):
            click.echo(_line(package))


_SOLD = (
    click.option("--name", required=True, help="What a person reads."),
    click.option("--price", required=True, help="In yuan, such as 9.90."),
    click.option("--gb", required=True, type=click.IntRange(1), help="High-speed traffic as printed."),
    click.option("--from", "sale_from", required=True, type=moment, help="First moment of sale."),
    click.option("--stock", type=click.IntRange(1), help="How many there are; none: any number."),
    click.option("--each", "limit_each", type=click.IntRange(1), help="How many one account may buy."),
    click.option("--kind", "kinds", multiple=True, help="Only for this user group; may be repeated."),
    click.option("--department", "departments", multiple=True, help="Only for this one; may be repeated."),
    click.option("--months", "validity_months", default=1, show_default=True, type=click.IntRange(1)),
)


def sold(command: Callable[..., None]) -> Callable[..., None]:
    """The options that every new package has."""
    return reduce(lambda decorated, option: option(decorated), reversed(_SOLD), command)


@packages_group.command("special")
@config_option
@by_option
@sold
@click.option("--until", "sale_until", required=True, type=moment, help="From then on it is not sold.")
@click.argument("code")
def add_special(**entered: Any) -> None:
    """Put a special on sale under a CODE of its own."""
    _put_on_sale(special=True, **entered)


@packages_group.command("add")
@config_option
@by_option
@sold
@click.option("--until", "sale_until", type=moment, help="From then on it is not sold; none: open-ended.")
@click.argument("code")
def add_standard(**entered: Any) -> None:
    """Put a standard package on sale; the counter then takes its price and multiples of it."""
    _put_on_sale(special=False, **entered)


@packages_group.command("retire")
@config_option
@by_option
@click.argument("code")
def retire_package(config_path: Path, actor: str, code: str) -> None:
    """Sell no more of a package from now on; what was bought runs on."""
    with open_books(config_path) as session:
        selling.retire(session, code, actor=Actor.from_name(actor).name, now=utc_now())
    click.echo(f"{code} 已停售")


@packages_group.command("close")
@config_option
@by_option
@click.argument("account_no")
def close_ended(config_path: Path, actor: str, account_no: str) -> None:
    """Give up the rest of an ended package that blocks the next one (rule `ended_is_used_up` off)."""
    account_rules = wiring.account_rules_of(open_config(config_path))
    with open_books(config_path) as session:
        lot = exchange.close_ended(
            session,
            account_no,
            actor=Actor.from_name(actor).name,
            now=utc_now(),
            account_rules=account_rules,
        )
        click.echo(
            f"{account_no} 的到期套餐已关闭，未用完的 {traffic(lot.total_bytes - lot.used_bytes)} 作废"
        )


def _put_on_sale(
    *,
    config_path: Path,
    actor: str,
    price: str,
    gb: int,
    sale_from: datetime,
    sale_until: datetime | None,
    **entered: Any,
) -> None:
    new = selling.NewPackage(
        price_fen=fen_of(price),
        quota_bytes=gigabytes_to_bytes(gb),
        sale_from=campus(sale_from),
        sale_until=campus(sale_until) if sale_until else None,
        **entered,
    )
    with open_books(config_path) as session:
        selling.put_on_sale(session, new, actor=Actor.from_name(actor).name, now=utc_now())
    until = f"{sale_until:{MINUTE}} 停售" if sale_until else "长期有效"
    click.echo(f"{new.code} 已上架：{sale_from:{MINUTE}} 开售，{until}")


def _line(package: Package) -> str:
    since = package.sale_from.astimezone(CAMPUS_ZONE)
    until = package.sale_until.astimezone(CAMPUS_ZONE) if package.sale_until else None
    stock = "any" if package.stock_left is None else str(package.stock_left)
    each = "" if package.limit_each is None else f"each {package.limit_each}  "
    return (
        f"{package.code:<8}  {yuan(package.price_fen):>7}  {gigabytes(package.quota_bytes):>6} GB  "
        f"{since:{MINUTE}} .. {until.strftime(MINUTE) if until else 'open':<16}  "
        f"left {stock:<5}  {each}{package.name}"
    )
