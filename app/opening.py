"""How commands get at the configuration and the database."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pydantic
from sqlalchemy.orm import Session

from app import config as configuration
from app import logs
from app.config import Config
from models.db.engine import Database
from models.errors import Refused

DEFAULT_CONFIG = "config.toml"

config_option = click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    default=DEFAULT_CONFIG,
    envvar="CAMPUSNET_CONFIG",
    show_default=True,
    help="The configuration file.",
)


def open_config(path: Path) -> Config:
    """The configuration, or one line a mistake on standard error."""
    try:
        config = configuration.load(path)
    except FileNotFoundError as error:
        if Path(error.filename) != path:
            raise click.ClickException(f"{error.filename} is missing; {path} names it") from None
        raise click.ClickException(f"{path} is missing; `campusnet init` writes one") from None
    except OSError as error:
        raise click.ClickException(f"{error.filename} cannot be read: {error.strerror}") from None
    except pydantic.ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'config'}: {e['msg']}" for e in error.errors()]
        raise click.ClickException(f"{path} is not usable:\n  " + "\n  ".join(lines)) from None
    except UnicodeDecodeError:
        raise click.ClickException(f"{path}, or a file it names, is not saved as UTF-8") from None
    except tomllib.TOMLDecodeError as error:
        raise click.ClickException(f"{path} is no TOML: {error}") from None
    logs.configure(json=config.mode == "production")
    return config


@contextmanager
def open_books(path: Path) -> Iterator[Session]:
    """One transaction on the configured database; what a person can act on becomes one line of error."""
    database = Database(open_config(path).database.url)
    try:
        with database.transaction() as session:
            yield session
    except Refused as refusal:
        raise click.ClickException(f"{refusal.code} {refusal.text}") from None
    finally:
        database.dispose()
