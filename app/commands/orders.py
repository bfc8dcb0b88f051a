"""`campusnet orders`."""

from __future__ import annotations

from pathlib import Path

import click

from app.listing import describe_order, list_orders
from app.opening import config_option, open_config
from models.db.engine import Database


@click.group("orders")
def orders_group() -> None:
    """Orders and what became of them."""


@orders_group.command("list")
@config_option
@click.option("--limit", default=20, show_default=True)
def orders_list(config_path: Path, limit: int) -> None:
    """The newest orders."""
    for line in list_orders(Database(open_config(config_path).database.url), limit):
        click.echo(line)


@orders_group.command("show")
@config_option
@click.argument("number")
def orders_show(config_path: Path, number: str) -> None:
    """One order from prepay to the ledger, by order, payment, transaction or refund number."""
    found = describe_order(Database(open_config(config_path).database.url), number)
    if found is None:
        raise click.ClickException(f"no order {number}")
    click.echo("\n".join(found))
