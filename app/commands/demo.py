"""`campusnet demo` and `campusnet sandbox`."""

from __future__ import annotations

import runpy
import sys

import click

from app import demo as demonstration


@click.command(context_settings={"ignore_unknown_options": True, "allow_extra_args": True})
@click.pass_context
def sandbox(context: click.Context) -> None:
    """Run the simulated WeChat by itself (arguments as of `python -m sandbox`)."""
    sys.argv = ["sandbox", *context.args]
    runpy.run_module("sandbox", run_name="__main__")


@click.command()
def demo() -> None:
    """Run everything on this machine, with a simulated WeChat; settings by environment (see README)."""
    sys.exit(demonstration.run(demonstration.Options.from_environment()))
