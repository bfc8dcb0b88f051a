"""What all commands for money share: the services, amounts and dates as people type them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TextIO

import click

from app import wiring
from app.opening import open_config
from app.private_file import private_text
from models.clock import CAMPUS_ZONE
from models.errors import Refused, ServiceError
from models.values.tables.amounts import parse_amount_fen
from models.values.tables.errors import CellError
from payments.services import Services

# A spreadsheet would take a cell that begins like this for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")

MINUTE = "%Y-%m-%d %H:%M"
moment = click.DateTime(["%Y-%m-%d", MINUTE])
by_option = click.option("--by", "actor", required=True, help="Your name, for the journal.")


# Use cases have bounds of their own from the configuration; no sum in a command is beyond this.
TYPED_MAX_FEN = 10**12


def fen_of(amount: str) -> int:
    """Yuan as typed, in fen, read as strictly as a cell of a table. Raises: click.BadParameter."""
    try:
        return parse_amount_fen(amount, max_fen=TYPED_MAX_FEN)
    except CellError as error:
        raise click.BadParameter(error.text) from None


def campus(typed: datetime) -> datetime:
    """A `moment` as typed, which is campus time, as an aware instant."""
    return typed.replace(tzinfo=CAMPUS_ZONE)


def cell(value: object) -> str:
    """A value for a spreadsheet, harmless as a formula."""
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA) else text


@contextmanager
def spreadsheet(path: Path) -> Iterator[TextIO]:
    """Write a CSV file for Excel, which only its owner can read. Raises: click.ClickException.

    With a BOM: without it Excel takes the file for something else than UTF-8.
    """
    try:
        with private_text(path, encoding="utf-8-sig", newline="") as file:
            yield file
    except OSError as error:
        raise click.ClickException(f"{path} 无法写入（{error.strerror}）") from None


@contextmanager
def opened(config_path: Path) -> Iterator[Services]:
    """The services of the configuration; what a person can act on becomes one line of error."""
    with opened_house(config_path) as house:
        yield house.web


@contextmanager
def opened_house(config_path: Path) -> Iterator[wiring.House]:
    """As `opened`, for commands that need the configuration, too."""
    house = wiring.build(open_config(config_path))
    try:
        yield house
    except Refused as refusal:
        raise click.ClickException(f"{refusal.code} {refusal.text}") from None
    except ServiceError as error:
        raise click.ClickException(f"{type(error).__name__}: {error}") from None
    finally:
        house.close()
