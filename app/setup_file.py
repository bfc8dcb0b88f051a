"""Writing a configuration file to start from."""

from __future__ import annotations

import secrets
from pathlib import Path

import click

EXAMPLE = Path(__file__).parent.parent / "config.example.toml"


def write_example(target: Path) -> None:
    """Copy the commented example with random secrets where nobody else decides them.

    Raises: click.ClickException - the file exists (it is never overwritten), or cannot be written.
    """
    if target.exists():
        raise click.ClickException(f"{target} exists already")
    text = EXAMPLE.read_text(encoding="utf-8")
    while '"<random>"' in text:
        text = text.replace('"<random>"', f'"{secrets.token_hex(32)}"', 1)
    try:
        target.touch(mode=0o600)
        target.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{target} cannot be written: {error.strerror}") from None
