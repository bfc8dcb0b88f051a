"""The same server for every contestant, each in a process of its own on loopback."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from app.redis_server import free_port
from bench.scene import Scene

ROOT = Path(__file__).parent.parent
THREADS = 8
START_TIMEOUT_S = 40.0
STOP_TIMEOUT_S = 10.0
POLL_S = 0.05
SERVERS = ("gunicorn", "granian")


@dataclass(frozen=True)
class Served:
    """A contestant that listens."""

    port: int
    pid: int


@contextmanager
def serving(contestant: str, scene: Scene, server: str = "gunicorn") -> Iterator[Served]:
    """A contestant that listens; the process started here ends with the block, and no other."""
    port = free_port()
    log = scene.folder / f"{contestant}-{server}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            _command(contestant, port, server),
            cwd=ROOT,
            env=scene.environment(),
            stdout=output,
            stderr=output,
        )
    try:
        _wait_until_up(port, process, log)
        yield Served(port, process.pid)
    finally:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _command(contestant: str, port: int, server: str) -> list[str]:
    target = f"bench.contestants.{contestant}:create_app"
    if server == "granian":
        options = (
            f"--interface wsgi --factory --workers 1 --blocking-threads {THREADS} --no-ws --log-level warning"
        )
        return [sys.executable, "-m", "granian", *options.split(), "--port", str(port), target]
    options = (
        f"--worker-class gthread --workers 1 --threads {THREADS} --keep-alive 75 --log-level warning "
        f"--no-control-socket --bind 127.0.0.1:{port}"
    )
    return [sys.executable, "-m", "gunicorn", *options.split(), f"{target}()"]


def _wait_until_up(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """The socket listens long before the application is imported: only an answer counts."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and process.poll() is None:
        line = HTTPConnection("127.0.0.1", port, timeout=START_TIMEOUT_S)
        try:
            line.request("GET", "/")
            line.getresponse().read()
        except OSError:
            time.sleep(POLL_S)
        else:
            return
        finally:
            line.close()
    raise RuntimeError(f"a contestant did not start:\n{log.read_text(encoding='utf-8', errors='replace')}")
