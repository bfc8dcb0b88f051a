from __future__ import annotations

import pytest

from models.db.engine import Database
from tests.builders import World


@pytest.fixture
def world(sqlite_database: Database) -> World:
    return World(sqlite_database)
