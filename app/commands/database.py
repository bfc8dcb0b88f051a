"""`campusnet db`."""

from __future__ import annotations

from pathlib import Path

import click
from sqlalchemy import make_url

from app import wiring
from app.account_check import equal_accounts
from app.opening import config_option, open_config
from billing.embedded import seed
from models import schema
from models.db import roles
from models.db.engine import Database


@click.group("db")
def database_group() -> None:
    """The database."""


@database_group.command()
@config_option
def upgrade(config_path: Path) -> None:
    """Create or upgrade the tables, and the catalogue of the fee table where there is none.

    With [database] owner_url it runs as the owner, and gives the role of the service its privileges.
    """
    config = open_config(config_path)
    section = config.database
    database = Database(section.owner_url or section.url)
    try:
        schema.upgrade(database)
        with database.transaction() as session:
            seed.seed_catalogue(session)
        if section.owner_url and database.dialect == "postgresql":
            role = make_url(section.url).username or ""
            roles.grant(database, role)
            click.echo(f"privileges of {role} are up to date")
        for line in equal_accounts(database, wiring.account_rules_of(config)):
            click.echo(line, err=True)
    except roles.RoleMissing as error:
        raise click.ClickException(f"{error} (deploy/README.md)") from None
    finally:
        database.dispose()
    click.echo("database is up to date")
