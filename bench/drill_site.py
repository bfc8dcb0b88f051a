"""The ground of `python -m bench.drill`: one site on loopback that can be shut down and started elsewhere."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from sqlalchemy import make_url

from app import wiring
from app.config import Config
from app.factory import create_app
from app.phone import Phone
from app.redis_server import RedisServer
from app.server import web_settings
from bench.own_postgres import own_postgres
from sandbox.credentials import issue
from sandbox.engine import Site as SiteAddress
from sandbox.server import Sandbox
from sandbox.students import DEFAULT
from tests.journeys.town import MovableClock
from tests.listening import listen
from tests.postgres import PostgresServer, find_programs
from tests.rig import make_config, prepare

WORKERS = 2


class Running:
    """Web side and workers of one configuration; `stop` leaves nothing of them."""

    def __init__(self, ground: Ground, config: Config) -> None:
        self.house = wiring.build(config, clock=ground.clock)
        app = create_app(self.house.web, web_settings(config))
        ground.answer = app
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self.house.worker().run, args=(self._stopped,), daemon=True)
            for _ in range(WORKERS)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End workers and connections."""
        self.stop_workers()
        self.house.close()

    def stop_workers(self) -> None:
        """End the workers only."""
        self._stopped.set()
        for _ in self._threads:
            self.house.web.wake()
        for thread in self._threads:
            thread.join(timeout=30)


@dataclass
class Ground:
    """The simulated WeChat, PostgreSQL and Redis; the site's address stays the same all the time."""

    folder: Path
    sandbox: Sandbox
    postgres: PostgresServer
    clock: MovableClock
    config: Config
    answer: Any = None

    def new_database(self) -> Config:
        """Return the configuration, now for a new and empty database."""
        url = self.postgres.url(self.postgres.create())
        section = self.config.database.model_copy(update={"url": url})
        self.config = self.config.model_copy(update={"database": section})
        return self.config

    def destroy_database(self) -> None:
        """Remove the database with everything in it."""
        self.postgres.drop(str(make_url(self.config.database.url).database))

    def move(self, **how_long: float) -> None:
        """Move the time of everybody forward."""
        step = timedelta(**how_long)
        self.sandbox.engine.scheduler.advance(step.total_seconds())
        self.clock.offset += step


@contextmanager
def ground() -> Iterator[Ground]:
    """Everything but the site, in a folder of its own that is gone afterwards."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="cn-drill-"))
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        postgres = stack.enter_context(own_postgres())
        redis = RedisServer(folder / "redis")
        stack.callback(redis.stop)
        made: list[Ground] = []
        server = listen(lambda environ, start: _answer(made, environ, start))
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        origin = f"http://127.0.0.1:{server.port}"
        credentials = issue()
        sandbox = Sandbox(credentials, SiteAddress(origin, f"{origin}/wechat"))
        sandbox.start()
        stack.callback(sandbox.stop)
        url = postgres.url(postgres.create())
        prepare(url, list(DEFAULT))
        programs = find_programs()
        config = make_config(
            folder,
            credentials,
            site=origin,
            platform=sandbox.url,
            database_url=url,
            redis_url=redis.url,
            recharge={"daily_limit_fen": 10**12, "max_fen": 10**9},
            backup={
                "dir": folder / "backups",
                "journal": folder / "journal.jsonl",
                "pg_dump": str((programs or Path()) / "pg_dump"),
            },
        )
        for student in sandbox.students:
            Phone(sandbox.url, student.identity.id).follow()
        made.append(Ground(folder, sandbox, postgres, MovableClock(), config))
        yield made[0]


def _answer(made: list[Ground], environ: dict[str, Any], start_response: Any) -> Any:
    if not made or made[0].answer is None:
        start_response("503 Service Unavailable", [("Content-Length", "0")])
        return []
    return made[0].answer(environ, start_response)


def until(probe: Callable[[], object], what: str, timeout_s: float) -> None:
    """Return once `probe()` is true. Raises: TimeoutError."""
    deadline = time.monotonic() + timeout_s
    while not probe():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {timeout_s:g} s")
        time.sleep(0.1)
