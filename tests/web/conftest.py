from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from models.db.engine import Database
from tests.web.world import World, seed_database

MakeWorld = Callable[..., World]


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file to copy: making one takes longer than most tests."""
    path = tmp_path_factory.mktemp("web") / "seeded.db"
    seed_database(f"sqlite:///{path}")
    return path


@pytest.fixture
def make_world(tmp_path: Path, seeded: Path) -> Iterator[MakeWorld]:
    """Build a site; `changes` are fields of World."""
    made: list[World] = []

    def make(**changes: Any) -> World:
        path = shutil.copy(seeded, tmp_path / f"site{len(made)}.db")
        made.append(World(Database(f"sqlite:///{path}"), **changes))
        return made[-1]

    yield make
    for world in made:
        world.database.dispose()


@pytest.fixture
def world(make_world: MakeWorld) -> World:
    return make_world()


@pytest.fixture
def reader(world: World) -> FlaskClient:
    return world.reader()


def csrf_in(html: str) -> str:
    """The token of a rendered form."""
    found = re.search(r'name="csrf_token" value="([^"]+)"', html)
    assert found is not None, "the page has no form with a token"
    return found[1]
