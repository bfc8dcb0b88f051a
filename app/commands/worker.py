"""`campusnet worker`."""

from __future__ import annotations

import signal
import threading
from functools import partial
from pathlib import Path
from types import FrameType

import click

from app import metrics, wiring
from app.opening import config_option, open_config


@click.command()
@config_option
def worker(config_path: Path) -> None:
    """Run one background worker; start as many as you like."""
    house = wiring.build(open_config(config_path), background=True)
    stopped = threading.Event()

    def stop(_signal: int, _frame: FrameType | None) -> None:
        stopped.set()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if house.config.metrics.bind:
        metrics.serve(
            house.database,
            house.web.clock,
            house.config.metrics.bind,
            partial(wiring.security_counts, house.redis),
        )
    house.worker().run(stopped)
    house.close()
