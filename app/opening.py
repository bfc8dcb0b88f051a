"""How commands get at the configuration."""

from __future__ import annotations

from pathlib import Path

import click
import pydantic

from app import config as configuration
from app import logs
from app.config import Config

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
        raise click.ClickException(f"{error.filename} is missing; `campusnet init` writes one") from None
    except pydantic.ValidationError as error:
        lines = [f"{'.'.join(map(str, e['loc'])) or 'config'}: {e['msg']}" for e in error.errors()]
        raise click.ClickException(f"{path} is not usable:\n  " + "\n  ".join(lines)) from None
    logs.configure(json=config.mode == "production")
    return config
