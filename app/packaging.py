"""`campusnet packages`: look at the catalogue, put a special on sale, take a package off."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import click
from sqlalchemy.orm import Session

from app.opening import config_option, open_config
from app.till import fen_of
from billing.embedded import selling
from billing.embedded.quota import gigabytes_to_bytes
from models.clock import CAMPUS_ZONE, utc_now
from models.db import Database
from models.errors import Refused
from models.money import gigabytes, yuan
from models.package import Package

MINUTE = "%Y-%m-%d %H:%M"
moment = click.DateTime(["%Y-%m-%d", MINUTE])


@click.group("packages")
def packages_group() -> None:
    """Packages and specials of the embedded billing engine; times are campus time."""


@packages_group.command("list")
@config_option
def list_packages(config_path: Path) -> None:
    """Every package there is or was."""
    with _session(config_path) as session:
        for package in selling.all_packages(session):
            click.echo(_line(package))


@packages_group.command("special")
@config_option
@click.option("--name", required=True, help="What a person reads.")
@click.option("--price", required=True, help="In yuan, such as 9.90.")
@click.option("--gb", required=True, type=click.IntRange(1), help="High-speed traffic as printed.")
@click.option("--from", "sale_from", required=True, type=moment, help="First moment of sale.")
@click.option("--until", "sale_until", required=True, type=moment, help="From then on it is not sold.")
@click.option("--stock", type=click.IntRange(1), help="How many there are; none: any number.")
@click.option("--each", type=click.IntRange(1), help="How many one account may buy; none: any number.")
@click.option("--kind", "kinds", multiple=True, help="Only for this user group; may be repeated.")
@click.option("--department", "departments", multiple=True, help="Only for this one; may be repeated.")
@click.option("--months", default=1, show_default=True, type=click.IntRange(1), help="How long it runs.")
@click.argument("code")
def add_special(
    *,
    config_path: Path,
    name: str,
    price: str,
    gb: int,
    sale_from: datetime,
    sale_until: datetime,
    stock: int | None,
    each: int | None,
    kinds: tuple[str, ...],
    departments: tuple[str, ...],
    months: int,
    code: str,
) -> None:
    """Put a special on sale under a CODE of its own."""
    special = selling.Special(
        code=code,
        name=name,
        price_fen=fen_of(price),
        quota_bytes=gigabytes_to_bytes(gb),
        sale_from=sale_from.replace(tzinfo=CAMPUS_ZONE),
        sale_until=sale_until.replace(tzinfo=CAMPUS_ZONE),
        stock=stock,
        limit_each=each,
        kinds=kinds,
        departments=departments,
        validity_months=months,
    )
    with _session(config_path) as session:
        selling.put_on_sale(session, special)
    click.echo(f"{code} is on sale from {sale_from:{MINUTE}} until {sale_until:{MINUTE}}")


@packages_group.command("retire")
@config_option
@click.argument("code")
def retire_package(config_path: Path, code: str) -> None:
    """Sell no more of a package from now on; what was bought runs on."""
    with _session(config_path) as session:
        selling.retire(session, code, utc_now())
    click.echo(f"{code} is off sale")


@contextmanager
def _session(config_path: Path) -> Iterator[Session]:
    database = Database(open_config(config_path).database.url)
    try:
        with database.transaction() as session:
            yield session
    except Refused as refusal:
        raise click.ClickException(refusal.text) from None
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    finally:
        database.dispose()


def _line(package: Package) -> str:
    since = package.sale_from.astimezone(CAMPUS_ZONE)
    until = package.sale_until.astimezone(CAMPUS_ZONE) if package.sale_until else None
    stock = "any" if package.stock_left is None else str(package.stock_left)
    return (
        f"{package.code:<8}  {yuan(package.price_fen):>7}  {gigabytes(package.quota_bytes):>6} GB  "
        f"{since:{MINUTE}} .. {until.strftime(MINUTE) if until else 'open':<16}  "
        f"left {stock:<5}  {package.name}"
    )
