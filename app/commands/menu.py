"""`campusnet menu`."""

from __future__ import annotations

from pathlib import Path

import click

from app import wiring
from app.opening import config_option, open_config
from models.errors import ServiceError


@click.group("menu")
def menu_group() -> None:
    """The menu of the official account."""


@menu_group.command()
@config_option
def push(config_path: Path) -> None:
    """Replace the menu by ours; phones show it within five minutes."""
    house = wiring.build(open_config(config_path))
    try:
        house.push_menu()
    except ServiceError as error:
        raise click.ClickException(f"{type(error).__name__}: {error}") from None
    finally:
        house.close()
    click.echo("menu pushed")
