"""The processes of `python -m bench.chaos`: each can be killed or frozen, and its links swallow packets.

What was killed comes back as its supervisor would bring it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg

from app.redis_server import RedisServer
from bench.links import Link
from tests.postgres import PostgresServer

ROOT = Path(__file__).parent.parent
UP_TIMEOUT_S = 60.0
# Longer than a lease of these processes.
FROZEN_S = 8.0
SWALLOWED_S = 4.0
POLL_S = 0.05


class Process:
    """A command of ours that is started again after it was killed."""

    def __init__(self, arguments: list[str], log: Path) -> None:
        self._command = [sys.executable, "-m", *arguments]
        self._log = log
        self.start()

    def start(self) -> None:
        """Start it, again or for the first time."""
        with self._log.open("ab") as out:
            self.running = subprocess.Popen(
                self._command, cwd=ROOT, stdout=out, stderr=out, stdin=subprocess.DEVNULL
            )

    def kill(self) -> None:
        """SIGKILL."""
        self.running.kill()
        self.running.wait()

    def stop(self) -> None:
        """Ask it to end."""
        self.running.terminate()
        try:
            self.running.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.kill()

    def children(self) -> list[int]:
        """The processes it has started (Linux)."""
        listed = Path(f"/proc/{self.running.pid}/task/{self.running.pid}/children")
        return [int(pid) for pid in listed.read_text(encoding="ascii").split()]


class Parts:
    """Everything that may be killed, by name, with how to do it."""

    def __init__(
        self,
        web: Process,
        workers: list[Process],
        postgres: PostgresServer,
        redis: RedisServer,
        wechat: Callable[[], None],
        *,
        links: Mapping[str, Link],
    ) -> None:
        self._web = web
        self._workers = workers
        self._postgres = postgres
        self._redis = redis
        self._links = links
        self._next_child = 0
        self._frozen: dict[int, threading.Timer] = {}
        self.kinds: dict[str, Callable[[], None]] = {
            "web": self.kill_web,
            "web master": self.kill_master,
            "worker 1": lambda: self._kill_worker(0),
            "worker 2": lambda: self._kill_worker(1),
            "redis": self.kill_redis,
            "database": self.kill_database,
            "wechat": wechat,
            "worker 1 frozen": lambda: self._freeze(self._workers[0].running.pid),
            "worker 2 frozen": lambda: self._freeze(self._workers[1].running.pid),
            "web frozen": self._freeze_web,
            "database link swallows": lambda: self._links["database"].swallow(SWALLOWED_S),
            "wechat link swallows": lambda: self._links["wechat"].swallow(SWALLOWED_S),
            "connections cut": self._cut,
        }

    def thaw(self) -> None:
        """Let everything run that is frozen."""
        for pid, timer in list(self._frozen.items()):
            timer.cancel()
            self._continue(pid)

    def _freeze(self, pid: int) -> None:
        """Stop a process for longer than its lease: a host that paused, a virtual machine that moved."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGSTOP)
            timer = threading.Timer(FROZEN_S, self._continue, (pid,))
            timer.daemon = True
            self._frozen[pid] = timer
            timer.start()

    def _continue(self, pid: int) -> None:
        self._frozen.pop(pid, None)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)

    def _freeze_web(self) -> None:
        """One of the two web processes; the master kills it only when it is silent for longer."""
        children = self._web.children()
        if children:
            self._freeze(children[0])

    def _cut(self) -> None:
        """The database ends every session, wherever its client is."""
        cut = (
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        target = f"host={self._postgres.folder} user=postgres dbname=postgres"
        with contextlib.suppress(psycopg.Error), psycopg.connect(target, autocommit=True) as connection:
            connection.execute(cut)

    def kill_web(self) -> None:
        """One of the two web processes; gunicorn's master starts another one."""
        until(lambda: len(self._web.children()) >= 2, "two web processes")
        children = self._web.children()
        self._next_child += 1
        with contextlib.suppress(ProcessLookupError):
            os.kill(children[self._next_child % len(children)], signal.SIGKILL)

    def kill_master(self) -> None:
        """Gunicorn itself; what it leaves behind is ended as a service manager ends a whole service."""
        children = self._web.children()
        self._web.kill()
        for child in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self._web.start()

    def kill_redis(self) -> None:
        """SIGKILL, then a start from what its append-only file kept."""
        self._redis.kill()
        self._redis.restart()

    def kill_database(self) -> None:
        """SIGKILL to the postmaster: no checkpoint, no good-bye; the start replays what was committed."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._postmaster(), signal.SIGKILL)
        # Its backends notice by themselves; until the last one is gone a new server refuses to start.
        until(self._started, "the database")

    def _started(self) -> bool:
        try:
            self._postgres.start()
        except RuntimeError:
            return False
        return True

    def _postmaster(self) -> int:
        first, _, _ = (self._postgres.folder / "data" / "postmaster.pid").read_text().partition("\n")
        return int(first)

    def _kill_worker(self, index: int) -> None:
        self._workers[index].kill()
        self._workers[index].start()


def until(probe: Callable[[], object], what: str, timeout_s: float = UP_TIMEOUT_S) -> None:
    """Return once `probe` is true. Raises: TimeoutError."""
    deadline = time.monotonic() + timeout_s
    while not probe():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what} did not come within {timeout_s:g} s")
        time.sleep(POLL_S)
