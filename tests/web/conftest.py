from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.web.world import World, build_world


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = build_world(f"sqlite:///{tmp_path / 'site.db'}")
    yield made
    made.database.dispose()


@pytest.fixture
def reader(world: World) -> FlaskClient:
    return world.reader()


def csrf_in(html: str) -> str:
    """The token of a rendered form."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', html)
    assert found is not None, "the page has no form with a token"
    return found[1]
