"""Journeys share one rig per module: people are cheap, houses are not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from app.redis_server import RedisServer
from sandbox.credentials import Credentials
from tests.conftest import fresh_redis_url
from tests.journeys.town import Town
from tests.rig import Rig


@pytest.fixture(scope="module")
def town(
    tmp_path_factory: pytest.TempPathFactory, credentials: Credentials, redis_server: RedisServer
) -> Iterator[Town]:
    """A rig for all tests of a module; each makes students of its own."""
    folder = tmp_path_factory.mktemp("town")
    database_url, redis_url = f"sqlite:///{folder / 'campusnet.db'}", fresh_redis_url(redis_server)

    def make(**options: Any) -> Rig:
        return Rig(folder, credentials, database_url=database_url, redis_url=redis_url, **options)

    built = Town(make)
    yield built
    built.rig.close()
