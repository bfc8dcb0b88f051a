"""Shared by all tests: real engines on loopback, nothing beyond it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import redis
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from hypothesis import settings
from pytest_socket import socket_allow_hosts

from app.redis_server import RedisServer
from payments.wechatpay import crypto
from sandbox.credentials import Credentials, issue
from tests import compiled_once
from tests.places import quick_folder
from tests.rig import Rig

pytest_plugins = ["tests.once", "tests.postgres"]


def pytest_configure() -> None:
    """Files of tests lie where syncing them costs nothing."""
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(quick_folder()))
    # A busy machine is no failure: how long an example takes is for benchmarks to say.
    settings.register_profile("house", deadline=None)
    settings.load_profile("house")


def pytest_xdist_auto_num_workers() -> int:
    """Two processes a core: a good part of the tests waits for a socket, a worker or a database."""
    return min(8, 2 * (os.cpu_count() or 1))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Seeds and figures that tests recorded, also those of other processes."""
    for outcome in ("passed", "failed"):
        for report in terminalreporter.getreports(outcome):
            if report.when == "call" and report.user_properties:
                told = " ".join(f"{name}={value}" for name, value in report.user_properties)
                terminalreporter.write_line(f"{report.nodeid}: {told}")


@pytest.fixture(autouse=True, scope="session")
def _loopback_only() -> None:
    socket_allow_hosts(["127.0.0.1", "::1", "localhost"], allow_unix_socket=True)


@pytest.fixture(autouse=True, scope="session")
def _each_key_is_read_once() -> Iterator[None]:
    # Reading a private key proves it prime: 25 ms, and every client of every test reads the same one.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(crypto, "load_pem_private_key", cache(load_pem_private_key))
        yield


@pytest.fixture(autouse=True, scope="session")
def _compiled_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        compiled_once.share(patch)
        yield


@pytest.fixture(scope="session")
def credentials() -> Credentials:
    return issue()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


def fresh_redis_url(server: RedisServer) -> str:
    """The server's only database, emptied: tests run one after the other."""
    with redis.Redis.from_url(server.url) as client:
        client.flushall()
    return server.url


@pytest.fixture
def make_rig(
    tmp_path: Path, credentials: Credentials, redis_server: RedisServer
) -> Iterator[Callable[..., Rig]]:
    """Build a rig; SQLite unless `database_url` says otherwise. Each has a Redis database of its own."""
    rigs: list[Rig] = []

    def make(**options: Any) -> Rig:
        options.setdefault("database_url", f"sqlite:///{tmp_path / 'campusnet.db'}")
        options.setdefault("redis_url", fresh_redis_url(redis_server))
        rigs.append(Rig(tmp_path, credentials, **options))
        return rigs[-1]

    yield make
    for rig in rigs:
        rig.close()


@pytest.fixture
def rig(make_rig: Callable[..., Rig]) -> Rig:
    return make_rig()


@pytest.fixture
def open_umask() -> Iterator[None]:
    """The umask of a shell that hides nothing."""
    before = os.umask(0)
    yield
    os.umask(before)
