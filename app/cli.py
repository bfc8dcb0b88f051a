"""The `campusnet` command; `app/commands` holds the table of its subcommands."""

from __future__ import annotations

import os

import click

from app.commands import COMMANDS, LazyGroup


@click.group(cls=LazyGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="campusnet")
def main() -> None:
    """桂电校园网 on WeChat: balance, recharge, packages, notices."""
    # Databases, lists and backups hold names, openids and card numbers: for this user alone.
    os.umask(0o077)


if __name__ == "__main__":
    main()
