"""`campusnet serve`."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from app import config as configuration
from app.opening import config_option, open_config
from app.server import Server


@click.command()
@config_option
@click.option("--bind", default="127.0.0.1:8000", show_default=True, help="Address and port to listen on.")
@click.option("--processes", default=2, show_default=True, help="How many processes.")
@click.option("--threads", default=8, show_default=True, help="Threads in each process.")
def serve(config_path: Path, bind: str, processes: int, threads: int) -> None:
    """Run the web side: WeChat pushes, payment callbacks, pages."""
    open_config(config_path)
    Server(partial(configuration.load, config_path), bind=bind, processes=processes, threads=threads).run()
