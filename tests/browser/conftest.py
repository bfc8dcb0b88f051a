"""The whole house, a town of students and one Chromium for each module."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from app.redis_server import RedisServer
from sandbox.credentials import Credentials
from tests.browser.nas import ACCOUNTING_SECRET
from tests.browser.screen import Screen
from tests.browser_rig import chromium, errors_of
from tests.conftest import fresh_redis_url
from tests.journeys.town import Student, Town
from tests.rig import Rig

Hold = Callable[..., Screen]


@contextmanager
def open_town(
    folder: Path, credentials: Credentials, redis_server: RedisServer, **changes: dict[str, Any]
) -> Iterator[Town]:
    """A rig with its menu on the phones, configured with `changes`."""
    fixed: dict[str, Any] = {
        "database_url": f"sqlite:///{folder / 'campusnet.db'}",
        "redis_url": fresh_redis_url(redis_server),
        "billing": {"embedded": {"accounting_secret": ACCOUNTING_SECRET}},
    }

    def make(**options: Any) -> Rig:
        return Rig(folder, credentials, **(fixed | changes | options))

    built = Town(make)
    built.house.push_menu()
    yield built
    built.rig.close()


@pytest.fixture(scope="module")
def town(
    tmp_path_factory: pytest.TempPathFactory, credentials: Credentials, redis_server: RedisServer
) -> Iterator[Town]:
    """A rig that many tests share; each makes students of its own."""
    with open_town(tmp_path_factory.mktemp("browser"), credentials, redis_server) as opened:
        yield opened


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as launched:
        yield launched


@pytest.fixture
def hold(town: Town, browser: Browser) -> Iterator[Hold]:
    """Take a student's phone in hand; fails at the end when a page logged an error."""
    contexts, logs = [], []

    def take(student: Student, **options: Any) -> Screen:
        context = browser.new_context(
            **({"viewport": {"width": 1280, "height": 900}, "locale": "zh-CN"} | options)
        )
        contexts.append(context)
        page = context.new_page()
        logs.append(errors_of(page))
        return Screen(page, town.rig.sandbox.url, student.student)

    yield take
    for context in contexts:
        context.close()
    # Chromium logs each page that was answered with an error status; some are shown on purpose.
    assert [e for log in logs for e in log if "Failed to load resource" not in e] == []


@pytest.fixture(autouse=True)
def _calm(town: Town) -> Iterator[None]:
    """Nothing that a test broke stays broken."""
    yield
    town.rig.sandbox.engine.faults.clear()
