"""Servers for the tests of the bot: a real Redis-compatible one and a fake platform."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from redis import Redis

from bot.client import WechatClient
from bot.redis_gate import connect
from tests.bot.bot_fake_api import FakeApi
from tests.bot.bot_servers import RedisServer, make_client


@pytest.fixture(scope="session")
def shared_server() -> Iterator[RedisServer]:
    server = RedisServer()
    yield server
    server.close()


@pytest.fixture
def redis(shared_server: RedisServer) -> Iterator[Redis]:
    """An empty database on the shared server."""
    client = connect(shared_server.url)
    client.flushall()
    yield client
    client.close()


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    """A server this test may kill."""
    server = RedisServer()
    yield server
    server.close()


@pytest.fixture
def no_redis() -> Iterator[Redis]:
    """A client for an address where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        client = connect(f"redis://127.0.0.1:{probe.getsockname()[1]}/0")
    yield client
    client.close()


@pytest.fixture
def now() -> datetime:
    return datetime(2026, 11, 23, 4, 0, tzinfo=UTC)


@pytest.fixture
def api() -> Iterator[FakeApi]:
    fake = FakeApi()
    yield fake
    fake.close()


@pytest.fixture
def client(api: FakeApi, redis: Redis) -> WechatClient:
    return make_client(api.base, redis)
