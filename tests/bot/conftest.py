"""Servers for the tests of the bot: a real Redis-compatible one and a fake platform."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from redis import Redis

from bot.broadcast import Broadcaster
from bot.client import WechatClient
from bot.redis_gate import connect
from models.base import Base
from models.db.engine import Database
from tests.bot.bot_fake_api import FakeApi
from tests.bot.bot_servers import RedisServer, make_client
from tests.bot.broadcast_platform import Clock, Platform


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


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/test.db")
    Base.metadata.create_all(made.engine)
    yield made
    made.dispose()


@pytest.fixture
def clock(now: datetime) -> Clock:
    return Clock(now)


@pytest.fixture
def platform(api: FakeApi) -> Platform:
    return Platform(api)


@pytest.fixture
def caster(database: Database, client: WechatClient, clock: Clock) -> Broadcaster:
    return Broadcaster(database, client, clock, clock.sleep)
