"""Addresses that no page of ours links to are told that there is no such page; they break nothing."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from models.db.engine import Database
from tests.web.portal_visitor import visitor
from tests.web.world import World, seed_database

# One more than the largest number of a row, and one that fits no machine word.
BEYOND = (2**63, 10**30)


@pytest.fixture
def on_postgres(postgres_url: str) -> Iterator[World]:
    """SQLite takes a NUL for text like any other; PostgreSQL refuses the statement."""
    seed_database(postgres_url)
    world = World(Database(postgres_url))
    yield world
    world.database.dispose()


@pytest.mark.parametrize("number", BEYOND)
def test_no_notice_has_a_number_beyond_all_numbers(world: World, number: int) -> None:
    assert world.reader().get(f"/h5/notices/{number}").status_code == 404
    assert visitor(world).get(f"/self/notices/{number}").status_code == 404


def test_a_control_character_names_nothing(on_postgres: World) -> None:
    reader, owner = on_postgres.reader(), visitor(on_postgres)
    for path in ("/h5/orders/r1%00", "/h5/orders/r1%00/state", "/h5/pay/r1%00"):
        assert reader.get(path).status_code == 404, path
    for path in ("/self/swaps/portal-1%00", "/self/packages/P05%00", "/self/packages/P05%1b"):
        assert owner.get(path).status_code == 404, path
