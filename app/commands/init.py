"""`campusnet init`."""

from __future__ import annotations

from pathlib import Path

import click

from app import setup_file
from app.opening import DEFAULT_CONFIG


@click.command()
@click.option("--to", "target", type=click.Path(path_type=Path), default=DEFAULT_CONFIG, show_default=True)
@click.option("--audit-key", is_flag=True, help="Make a new audit key for the installation of this file.")
@click.option("--lost-key", is_flag=True, help="With --audit-key: the present key is gone with all copies.")
def init(target: Path, *, audit_key: bool, lost_key: bool) -> None:
    """Write a configuration file to start from, with fresh random secrets."""
    if audit_key:
        path, named = setup_file.begin_audit_key(target, is_lost=lost_key)
        click.echo(f"wrote {path}: keep a copy away from this machine")
        if not named:
            click.echo(f'write into the table [audit] of {target}: key_file = "{path.name}"')
        click.echo("then restart web and workers: they seal nothing until they have the new key")
        return
    setup_file.write_example(target)
    click.echo(f"wrote {target}: fill in the values marked with <…>, then run: campusnet doctor")
    click.echo(f"wrote {target.parent / setup_file.KEY_FILE}: keep a copy away from this machine")
