"""`campusnet doctor`."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from app import doctor as diagnosis
from app import doctor_books
from app.opening import config_option


@click.command()
@config_option
@click.option("--books", is_flag=True, help="Only the books, with the consequences of the nightly check.")
@click.option(
    "--anchors",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with anchor lines that were kept elsewhere (a mailbox, a remote log).",
)
def doctor(config_path: Path, anchors: Path | None, *, books: bool) -> None:
    """Check configuration, database, books, Redis, keys and WeChat, and say how to repair what is wrong.

    With --books a finding becomes a review item and holds the payouts and refunds of its accounts.
    """
    sys.exit(doctor_books.run(config_path, anchors) if books else diagnosis.run(config_path, anchors))
